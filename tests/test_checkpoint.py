"""A fit that was killed goes on as if nothing had happened, to the last bit."""

import errno
import json
import os
import signal
import time

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support import child, fitting_problem

from tendency.errors import InputError
from tendency.fitting import Descent, RolloutLoss, fit
from tendency.store import save

EPOCHS = 30
ADAM = optax.adam(0.02)
FILES = {"checkpoint.safetensors", "log.jsonl"}


def run(directory, **changes):
    """All that a checkpoint must carry: moments, means, best weights, free states."""
    cell, windows, validation = fitting_problem()
    cell = changes.pop("cell", cell)
    windows = changes.pop("windows", windows)
    names = ("optimiser", "epochs", "batch", "curriculum", "checkpoint_every", "ema")
    descent = {
        "optimiser": ADAM,
        "epochs": EPOCHS,
        "batch": 4,
        "curriculum": ((0, 1), (12, 3)),
        "checkpoint_every": 4,
        "ema": 0.9,
    } | {name: changes.pop(name) for name in names if name in changes}
    options = {
        "key": jax.random.key(0),
        "loss": RolloutLoss(),
        "validation": validation,
        "free_initial_states": True,
    } | changes
    return fit(cell, windows, Descent(**descent), directory=directory, **options)


def log_of(directory):
    lines = (directory / "log.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def assert_same(fitted, expected):
    assert eqx.tree_equal(fitted.cell, expected.cell)
    assert eqx.tree_equal(fitted.initial_states, expected.initial_states)
    assert eqx.tree_equal(dict(fitted.history), dict(expected.history))
    assert fitted.best == expected.best


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The fit that nothing interrupts, and its directory."""
    directory = tmp_path_factory.mktemp("whole")
    return run(directory), directory


def test_a_fit_leaves_a_checkpoint_and_a_line_an_epoch(whole):
    fitted, directory = whole
    assert set(os.listdir(directory)) == FILES
    assert log_of(directory) == [
        {"epoch": i, "train_loss": a, "validation_loss": b}
        for i, (a, b) in enumerate(zip(*fitted.history.values(), strict=True))
    ]
    assert len(log_of(directory)) == EPOCHS


def test_a_directory_changes_no_number(whole):
    assert_same(run(None), whole[0])


def test_a_finished_fit_is_not_done_again(whole):
    fitted, directory = whole
    before = (directory / "checkpoint.safetensors").stat().st_mtime_ns
    assert_same(run(directory), fitted)
    assert (directory / "checkpoint.safetensors").stat().st_mtime_ns == before
    assert len(log_of(directory)) == EPOCHS


KILLED = """
import os, sys, time
from pathlib import Path
import test_checkpoint

real, calls = os.fsync, []

def slow(handle):  # the kill may well fall into a write, and falls before the end
    calls.append(handle)
    time.sleep(0.01 if len(calls) < 18 else 600)
    real(handle)

os.fsync = slow
test_checkpoint.run(Path(sys.argv[1]))
"""


def test_a_killed_fit_goes_on_to_the_same_bits(whole, tmp_path):
    process = child(KILLED, str(tmp_path))
    log = tmp_path / "log.jsonl"
    while process.poll() is None:
        if log.exists() and log.read_bytes().count(b"\n") >= EPOCHS // 3:
            process.kill()
            process.wait()
        time.sleep(0.003)
    _, error = process.communicate()
    assert process.returncode == -signal.SIGKILL, error
    assert (tmp_path / "checkpoint.safetensors").exists()
    expected, directory = whole
    assert_same(run(tmp_path), expected)
    assert log_of(tmp_path) == log_of(directory)
    assert set(os.listdir(tmp_path)) == FILES


class Killed(BaseException):
    """The end of the process, as far as the fit can tell."""


@pytest.mark.parametrize("write", [1, 2, 5, 9, 10, 17])
@pytest.mark.parametrize("after", [False, True])
def test_a_kill_may_fall_between_any_two_writes(
    whole, tmp_path, monkeypatch, write, after
):
    """Just before a checkpoint takes its place, or just after, before the log."""
    real, calls = os.replace, []

    def replace(source, target):
        calls.append(target)
        if len(calls) == write and not after:
            raise Killed
        real(source, target)
        if len(calls) == write:
            raise Killed

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(Killed):
        run(tmp_path)
    monkeypatch.undo()
    expected, directory = whole
    assert_same(run(tmp_path), expected)
    assert log_of(tmp_path) == log_of(directory)


def test_a_log_torn_in_the_middle_of_a_line_is_mended(whole, tmp_path, monkeypatch):
    expected, directory = whole
    interrupted(tmp_path, monkeypatch)
    with (tmp_path / "log.jsonl").open("a") as log:
        log.write('{"epoch": 99, "train')
    assert_same(run(tmp_path), expected)
    assert log_of(tmp_path) == log_of(directory)


def interrupted(directory, monkeypatch, write=9):
    """Run a fit up to its ninth checkpoint."""
    real, calls = os.replace, []

    def replace(source, target):
        calls.append(target)
        if len(calls) == write:
            raise Killed
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(Killed):
        run(directory)
    monkeypatch.undo()


def test_a_log_without_its_checkpoint_is_begun_anew(whole, tmp_path):
    (tmp_path / "log.jsonl").write_text('{"epoch": 0, "train_loss": -1.0}\n')
    run(tmp_path)
    assert log_of(tmp_path) == log_of(whole[1])


def test_what_a_killed_write_left_behind_is_swept_up(whole, tmp_path, monkeypatch):
    interrupted(tmp_path, monkeypatch)
    (tmp_path / ".checkpoint.safetensors.abc123").write_bytes(b"half a checkp")
    run(tmp_path)
    assert set(os.listdir(tmp_path)) == FILES


def other_windows():
    _, windows, _ = fitting_problem()
    return eqx.tree_at(lambda w: w.states, windows, windows.states * 1.000001)


@pytest.mark.parametrize(
    "change",
    [
        {"key": jax.random.key(1)},
        {"windows": other_windows()},
        {"cell": eqx.tree_at(lambda c: c.offset, fitting_problem()[0], jnp.ones(2))},
        {"validation": None},
        {"loss": RolloutLoss(horizon=2)},
        {"loss": RolloutLoss(teacher_forcing=True)},
        {"optimiser": optax.adam(0.03)},
        {"optimiser": optax.adam(optax.cosine_decay_schedule(0.02, 90))},
        {"optimiser": optax.adamw(0.02)},
        {"epochs": 31},
        {"batch": 3},
        {"ema": 0.8},
        {"curriculum": ((0, 1), (13, 3))},
        {"where": lambda c: c.offset},
    ],
    ids=lambda change: next(iter(change)),
)
def test_the_checkpoint_of_another_fit_is_refused(whole, change):
    _, directory = whole
    content = (directory / "checkpoint.safetensors").read_bytes()
    message = (
        "written by a fit with other data, settings or key: give another directory"
    )
    with pytest.raises(InputError, match=message):
        run(directory, **change)
    assert (directory / "checkpoint.safetensors").read_bytes() == content


def test_an_optimiser_made_anew_is_the_same_optimiser(whole):
    """Two processes never hold the same object."""
    fitted, directory = whole
    schedule = optax.adam(0.02)
    assert_same(run(directory, optimiser=schedule), fitted)


@pytest.mark.parametrize("damage", ["cut", "flipped", "text", "model"])
def test_a_damaged_checkpoint_is_refused(whole, tmp_path, damage):
    path = tmp_path / "checkpoint.safetensors"
    content = (whole[1] / "checkpoint.safetensors").read_bytes()
    middle = len(content) // 2
    flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    path.write_bytes({"cut": content[:-9], "flipped": flipped}.get(damage, b"text"))
    if damage == "model":
        save(path, fitting_problem()[0])
    message = "not a checkpoint of a fit" if damage == "model" else "damaged|cut short"
    with pytest.raises(InputError, match=message):
        run(tmp_path)


def test_a_full_disk_ends_the_fit_and_keeps_the_last_checkpoint(
    whole, tmp_path, monkeypatch
):
    real, calls = os.fsync, []

    def fsync(handle):
        calls.append(handle)
        if len(calls) > 5:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(
        InputError, match=r"checkpoint.safetensors could not be written"
    ):
        run(tmp_path)
    monkeypatch.undo()
    assert_same(run(tmp_path), whole[0])


def test_a_directory_that_cannot_be_one_is_refused(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match=r"file could not be written \(File exists"):
        run(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"


def test_no_checkpoint_is_written_where_none_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(None)
    assert np.asarray(os.listdir(tmp_path)).size == 0
