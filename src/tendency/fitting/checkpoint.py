"""Checkpoints of a fit: written atomically, taken up again bit for bit."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from tendency.errors import InputError
from tendency.files import read_tensors, write_tensors

_FORMAT = "tendency-checkpoint-1"


def fingerprint(arrays: PyTree, settings: Any) -> str:
    """A digest of all that decides a fit: data, first weights, key and settings."""
    digest = hashlib.sha256(repr(settings).encode())
    leaves, structure = jax.tree.flatten(arrays)
    for leaf in leaves:
        if eqx.is_array(leaf):
            if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
                leaf = jax.random.key_data(leaf)
            value = np.asarray(leaf, order="C")
            digest.update(f"{value.shape}{value.dtype}".encode())
            digest.update(value.tobytes())
    digest.update(str(len(leaves)).encode())
    return digest.hexdigest()


class Checkpoints:
    """`checkpoint.safetensors` and `log.jsonl` of one fit in one directory."""

    def __init__(self, directory: Path, fingerprint: str):
        self._path = directory / "checkpoint.safetensors"
        self._log = directory / "log.jsonl"
        self._fingerprint = fingerprint
        directory.mkdir(parents=True, exist_ok=True)

    def save(self, progress: PyTree) -> None:
        """Replace the checkpoint; a kill at any moment leaves the old or the new one."""
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
        self._forget_after(int(np.isfinite(resumed.train_loss).sum()))
        return resumed

    def log(self, figures: Sequence[Mapping[str, float]]) -> None:
        """Append a line an epoch."""
        if figures:
            lines = "".join(json.dumps(dict(f)) + "\n" for f in figures)
            with self._log.open("a", encoding="utf-8") as file:
                file.write(lines)

    def _forget_after(self, epochs: int) -> None:
        """Drop what was logged after the checkpoint, or cut off in the middle."""
        if not self._log.exists():
            return
        lines = self._log.read_text(encoding="utf-8").splitlines(keepends=True)
        self._log.write_text("".join(lines[:epochs]), encoding="utf-8")
