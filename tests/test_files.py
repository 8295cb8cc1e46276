"""Files written whole or not at all, and what is said of a file that is not ours."""

import errno
import os
import pickle
import stat
import struct

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from safetensors.numpy import save as save_safetensors

from tendency.errors import InputError
from tendency.files import (
    prepare_folder,
    read_tensors,
    write_atomically,
    write_tensors,
)

TENSORS = {
    "weights": np.arange(6.0).reshape(2, 3),
    "count": np.array(3, np.int32),
    "none": np.zeros((0, 4), np.float32),
    "strided": np.arange(10)[::2],
    "mask": np.array([True, False]),
}
HEADER = {"names": ["é", "θ"], "depth": {"two": 2.5}, "missing": None}


def fail(code):
    def failing(*args, **kwargs):
        raise OSError(code, os.strerror(code))

    return failing


def test_arrays_and_header_come_back_as_they_were(tmp_path):
    path = tmp_path / "file.safetensors"
    write_tensors(path, TENSORS, HEADER)
    tensors, header = read_tensors(path)
    assert header == HEADER
    assert tensors.keys() == TENSORS.keys()
    for name, array in TENSORS.items():
        assert_array_equal(tensors[name], array)
        assert tensors[name].dtype == array.dtype
        assert tensors[name].shape == array.shape


def test_a_new_file_replaces_the_old_one_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "file"
    write_atomically(path, b"old")
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["file"]


def test_a_file_has_the_permissions_that_the_user_gives_to_files(tmp_path):
    path, plain = tmp_path / "file", tmp_path / "plain"
    write_atomically(path, b"content")
    plain.write_bytes(b"content")
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


@pytest.mark.parametrize("call", ["fsync", "replace", "chmod"])
def test_a_full_disk_keeps_the_old_file_and_leaves_nothing_behind(
    tmp_path, monkeypatch, call
):
    path = tmp_path / "file"
    write_atomically(path, b"old")
    monkeypatch.setattr(os, call, fail(errno.ENOSPC))
    with pytest.raises(InputError, match=r"file could not be written \(No space left"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_an_interruption_leaves_nothing_behind(tmp_path, monkeypatch):
    def interrupted(handle):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "file", b"new")
    assert os.listdir(tmp_path) == []


def test_a_folder_that_is_not_there_is_named(tmp_path):
    path = tmp_path / "no" / "file"
    with pytest.raises(InputError, match=r"no/file could not .* \(No such file"):
        write_atomically(path, b"content")
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_is_not_writable_is_named(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="Permission denied"):
        write_atomically(tmp_path / "file", b"content")
    tmp_path.chmod(0o700)


def damaged(content):
    """Contents that are no file of ours, by name."""
    foreign = save_safetensors({"a": np.ones(2)})
    return {
        "empty": b"",
        "a few bytes": content[:5],
        "cut in the header": content[:100],
        "cut in the arrays": content[:-1],
        "too long": content + b"\0",
        "text": b"x,y\n1,2\n" * 20,
        "a pickle": pickle.dumps({"a": print}),
        "random": np.random.default_rng(0).bytes(500),
        "a huge header": struct.pack("<Q", 1 << 40) + content[8:],
        "not JSON": struct.pack("<Q", 8) + b"[1, 2]  ",
        "foreign": foreign,
    }


@pytest.mark.parametrize("kind", damaged(b" " * 200))
def test_what_is_not_a_whole_file_of_ours_is_refused(tmp_path, kind):
    path = tmp_path / "file.safetensors"
    write_tensors(path, TENSORS, HEADER)
    path.write_bytes(damaged(path.read_bytes())[kind])
    expected = (
        "without tendency's header" if kind == "foreign" else "not a whole safetensors"
    )
    with pytest.raises(InputError, match=f"file.safetensors is .*{expected}"):
        read_tensors(path)


def test_no_flipped_bit_goes_unseen(tmp_path):
    path = tmp_path / "file.safetensors"
    write_tensors(path, {"a": np.array([1.0, -2.5])}, {"dt": 0.01})
    content = path.read_bytes()
    bits = np.random.default_rng(0).integers(0, 8, len(content))
    for place, bit in enumerate(bits):
        flipped = bytearray(content)
        flipped[place] ^= 1 << bit
        path.write_bytes(flipped)
        with pytest.raises(InputError):
            read_tensors(path)


@pytest.mark.parametrize("text", ["{", "[1]", "3", "[" * 100_000])
def test_a_header_that_is_not_an_object_is_refused(tmp_path, monkeypatch, text):
    """Written with its digest, as only a hand could."""
    import tendency.files

    path = tmp_path / "file"
    monkeypatch.setattr(tendency.files.json, "dumps", lambda header: text)
    write_tensors(path, {}, {})
    monkeypatch.undo()
    with pytest.raises(InputError, match=r"the header of .* is damaged"):
        read_tensors(path)


def test_a_path_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nothing could not be read \(No such file"):
        read_tensors(tmp_path / "nothing")
    with pytest.raises(InputError, match=r"could not be read \(Is a directory"):
        read_tensors(tmp_path)


def test_a_folder_for_results_is_made_or_taken_empty(tmp_path):
    prepare_folder(tmp_path / "a" / "b")
    prepare_folder(tmp_path / "a" / "b")
    assert os.listdir(tmp_path / "a" / "b") == []


def test_a_folder_with_something_in_it_is_taken_only_when_asked(tmp_path):
    (tmp_path / "kept").write_text("mine")
    with pytest.raises(InputError, match="is not empty"):
        prepare_folder(tmp_path)
    prepare_folder(tmp_path, overwrite=True)
    with pytest.raises(InputError, match="kept is a file, a folder was expected"):
        prepare_folder(tmp_path / "kept")
    with pytest.raises(InputError, match="cannot be written to"):
        prepare_folder(tmp_path / "kept" / "below")
    assert (tmp_path / "kept").read_text() == "mine"
