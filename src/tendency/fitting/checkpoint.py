"""Checkpoints of a fit: written atomically, taken up again bit for bit."""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from tendency.errors import InputError
from tendency.files import read_tensors, write_atomically, write_tensors, writing

_FORMAT = "tendency-checkpoint-1"


def fingerprint(*parts: PyTree) -> str:
    """A digest of all that decides a fit: data, first weights, key and settings.

    A function counts by its name and by what it closes over, which is where an Optax
    optimiser keeps its learning rate.
    """
    digest = hashlib.sha256()
    leaves, structure = jax.tree.flatten(parts)
    digest.update(re.sub(r" at 0x[0-9a-f]+", "", str(structure)).encode())
    for leaf in leaves:
        for piece in _pieces(leaf, 0):
            digest.update(piece)
    return digest.hexdigest()


def _pieces(leaf: Any, depth: int) -> Iterator[bytes]:
    if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    if isinstance(leaf, jax.Array | np.ndarray | np.generic):
        value = np.asarray(leaf, order="C")
        yield f"{value.shape}{value.dtype}".encode() + value.tobytes()
    elif isinstance(leaf, bool | int | float | complex | str | None):
        yield repr(leaf).encode()
    elif isinstance(leaf, Callable):
        yield getattr(leaf, "__qualname__", type(leaf).__qualname__).encode()
        cells = getattr(leaf, "__closure__", None) or ()
        inside = [c.cell_contents for c in cells] if depth < 8 else []
        for inner in jax.tree.leaves(inside):
            yield from _pieces(inner, depth + 1)
    else:
        yield type(leaf).__qualname__.encode()


class Checkpoints:
    """`checkpoint.safetensors` and `log.jsonl` of one fit in one directory."""

    def __init__(
        self,
        directory: Path,
        fingerprint: str,
        figures: Callable[[PyTree], Sequence[Mapping[str, float]]],
    ):
        """`figures` reads off the progress what the log says of each epoch done."""
        self._path = directory / "checkpoint.safetensors"
        self._log = directory / "log.jsonl"
        self._fingerprint = fingerprint
        self._figures = figures
        with writing(directory):
            directory.mkdir(parents=True, exist_ok=True)
            for left_by_a_kill in directory.glob(f".{self._path.name}.*"):
                left_by_a_kill.unlink()

    def save(self, progress: PyTree) -> None:
        """Replace the checkpoint; a kill leaves the old or the new one, whole."""
        leaves = jax.tree.leaves(progress)
        tensors = {str(i): np.asarray(leaf) for i, leaf in enumerate(leaves)}
        header = {"format": _FORMAT, "fingerprint": self._fingerprint}
        write_tensors(self._path, tensors, header)

    def resume(self, progress: PyTree) -> PyTree:
        """`progress` as last saved, or as it is where nothing was.

        Raises:
            InputError: the checkpoint is damaged, or another fit's.
        """
        if not self._path.exists():
            with writing(self._log):
                self._log.unlink(missing_ok=True)
            return progress
        tensors, header = read_tensors(self._path)
        if header.get("format") != _FORMAT:
            raise InputError(f"{self._path} is not a checkpoint of a fit: move it away")
        if header.get("fingerprint") != self._fingerprint:
            raise InputError(
                f"{self._path} was written by a fit with other data, settings or key: "
                "give another directory, or remove the file to begin anew"
            )
        leaves, structure = jax.tree.flatten(progress)
        saved = [jnp.asarray(tensors[str(i)]) for i in range(len(leaves))]
        resumed = jax.tree.unflatten(structure, saved)
        # A kill may fall between the two files: the log follows from the checkpoint.
        write_atomically(self._log, _lines(self._figures(resumed)).encode())
        return resumed

    def log(self, figures: Sequence[Mapping[str, float]]) -> None:
        """Append a line an epoch."""
        if figures:
            with writing(self._log), self._log.open("a", encoding="utf-8") as file:
                file.write(_lines(figures))


def _lines(figures: Sequence[Mapping[str, float]]) -> str:
    return "".join(json.dumps(dict(f)) + "\n" for f in figures)
