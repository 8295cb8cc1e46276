"""Floor 0: training samples of series that are too long for memory.

`LazyWindows` cuts them on the host, block by block of times, while the device works on
the samples before; `fit` takes them as it takes `Windows`.
"""

import hashlib
import math
import threading
from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, PRNGKeyArray, PyTree

from tendency.errors import InputError
from tendency.windows import Window, window_starts

_BLOCK_BYTES = 2**24  # of a series that does not say how it is stored


class LazyWindows:
    """Every window of `length` times that starts at one of `starts`, read as needed.

    A series is anything with a `shape`, a `dtype` and slices along its first axis,
    time: an array of dask, Zarr, h5py or xarray, a `numpy.memmap`, the states of a
    record that `tendency.data.packed` packs as they are read.

    Blocks of consecutive times are read whole and kept while they are used. An epoch
    goes through the blocks in a random order, `mixed` of them at a time, and draws the
    windows of these in a random order: every chunk of a file is read about once an
    epoch. With `mixed=None` the windows come in the order of `Windows`, all over the
    series, and the fit is that of `Windows`.
    """

    def __init__(
        self,
        states: PyTree,
        length: int,
        *,
        forcing: PyTree = None,
        weights: Float[np.ndarray, "*state"] | None = None,
        missing: Literal["refuse", "weight"] = "refuse",
        fill: float | Float[np.ndarray, "*state"] | None = None,
        stride: int = 1,
        segments: Sequence[int] | None = None,
        block: int | None = None,
        mixed: int | None = 8,
        ahead: int = 3,
        workers: int = 2,
    ):
        """As `Windows.of`, of arrays that are read later.

        Arguments:
            states: one series, time first.
            forcing: a pytree of series of as many times.
            weights: of the components, the same at all times; zero where there is no
                point.
            missing: what NaN in the states is where no weight is zero: `refuse` stops
                the fit, `weight` gives it a weight of zero and the value of `fill`.
            fill: what stands where nothing is known; by default the mean of what is
                known in the first block, zero where nothing is [units of the state].
            block: times that are read at once; by default as the series is chunked, and
                `length` at least.
            mixed: blocks whose windows are drawn together.
            ahead: batches that are read before they are asked for.
            workers: threads that read.

        Raises:
            InputError: as `Windows.of`; what is in the numbers is told when they are
                read.
        """
        leaves = jax.tree.leaves((states, forcing))
        sizes = {int(a.shape[0]) for a in leaves}
        if len(sizes) != 1:
            raise InputError(
                f"states and forcing have {sorted(sizes)} times, the same number was "
                "expected: cut them to a common period"
            )
        if len(jax.tree.leaves(states)) != 1:
            raise InputError(
                "the states are several series, one was expected: stack them to "
                "(time, channel, row, column)"
            )
        for name, number in (("ahead", ahead), ("workers", workers), ("mixed", mixed)):
            if number is not None and number < 1:
                raise InputError(f"{name} is {number}, at least 1 was expected")
        self.starts: Int[np.ndarray, " window"] = window_starts(
            sizes.pop(), length, stride, segments
        )
        self.length, self.mixed = length, mixed
        self.ahead, self.workers = ahead, workers
        self._states, self._forcing = states, forcing
        self._weights = weights if weights is None else np.asarray(weights)
        self._missing = missing
        self._given = self._fill = None if fill is None else np.asarray(fill)
        self.block = _block_of(states, length) if block is None else block
        if self.block < 1:
            raise InputError(f"block is {block} times, at least 1 was expected")
        kept = 8 if mixed is None else 2 * mixed + 2
        self._kept = max(kept, 2 + math.ceil(length / self.block))
        self._lock, self._first = threading.Lock(), threading.Lock()
        self._held: OrderedDict[int, Future] = OrderedDict()

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def bytes_of_window(self) -> int:
        """Of the states and the forcing of one."""
        leaves = jax.tree.leaves((self._states, self._forcing))
        each = (math.prod(a.shape[1:]) * np.dtype(a.dtype).itemsize for a in leaves)
        return self.length * sum(each)

    def order(self, key: PRNGKeyArray) -> Int[np.ndarray, " window"]:
        """The windows as they are drawn in an epoch."""
        if self.mixed is None:
            return np.asarray(jax.random.permutation(key, len(self)))
        draw = np.random.default_rng(np.asarray(jax.random.key_data(key)))
        blocks = self.starts // self.block
        drawn = draw.permutation(np.unique(blocks))
        pools = [
            draw.permutation(np.flatnonzero(np.isin(blocks, drawn[i : i + self.mixed])))
            for i in range(0, len(drawn), self.mixed)
        ]
        return np.concatenate(pools)

    def take(self, index: Int[np.ndarray, " batch"]) -> Window:
        """These windows, stacked along a leading axis, on the device.

        Raises:
            InputError: NaN in the forcing, or in the states where they are refused.
        """
        cut = [self._cut(int(self.starts[i])) for i in index]
        return Window(*jax.tree.map(lambda *a: jnp.asarray(np.stack(a)), *cut))

    def batches(self, indices: Iterator[Int[np.ndarray, " batch"]]) -> Iterator[Window]:
        """The windows at each of the indices, read ahead by threads, in order."""
        queue: deque[Future] = deque()
        pool = ThreadPoolExecutor(self.workers, "windows")
        try:
            for index in indices:
                queue.append(pool.submit(self.take, index))
                if len(queue) > self.ahead:
                    yield queue.popleft().result()
            while queue:
                yield queue.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def digest(self) -> str:
        """Of what the windows are: sizes, settings, and the first and last block."""
        what = [self.length, self.block, self.mixed, self._missing]
        arrays = [self.starts, *([] if self._given is None else [self._given])]
        arrays += [] if self._weights is None else [self._weights]
        last = int(self.starts[-1] + self.length - 1) // self.block
        for held in (self._held_block(0), self._held_block(last)):
            arrays += jax.tree.leaves(held)
        digest = hashlib.sha256(repr(what).encode())
        for a in arrays:
            digest.update(f"{a.shape}{a.dtype}".encode())
            digest.update(np.ascontiguousarray(a).tobytes())
        return digest.hexdigest()

    def _cut(self, start: int) -> tuple[Any, Any, Any]:
        stop, parts = start + self.length, []
        for b in range(start // self.block, (stop - 1) // self.block + 1):
            first = b * self.block
            inside = slice(max(start - first, 0), stop - first)
            parts.append(jax.tree.map(lambda a, s=inside: a[s], self._held_block(b)))
        if len(parts) == 1:
            return parts[0]
        return jax.tree.map(lambda *a: np.concatenate(a), *parts)

    def _held_block(self, number: int) -> tuple[Any, Any, Any]:
        """A block, read by whoever asks first."""
        with self._lock:
            found = self._held.get(number)
            mine = found is None
            entry = Future() if found is None else found
            self._held[number] = entry
            self._held.move_to_end(number)
            while len(self._held) > self._kept:
                self._held.popitem(last=False)
        if mine:
            try:
                entry.set_result(self._read(number))
            except BaseException as error:
                with self._lock:
                    self._held.pop(number, None)
                entry.set_exception(error)
        return entry.result()

    def _read(self, number: int) -> tuple[Any, Any, Any]:
        first = number * self.block
        times = slice(first, first + self.block)
        states = np.asarray(self._states[times])
        forcing = jax.tree.map(lambda a: np.asarray(a[times]), self._forcing)
        for leaf in jax.tree.leaves(forcing):
            bad = ~np.isfinite(leaf)
            if bad.any():
                raise InputError(
                    f"the forcing holds {bad.sum()} NaN or infinite values, the first "
                    f"at time index {first + np.argwhere(bad)[0][0]}: fill them, "
                    "weights serve the states alone"
                )
        finite = np.isfinite(states)
        if finite.all() and self._weights is None and self._missing == "refuse":
            return states, forcing, None
        counted = True if self._weights is None else self._weights > 0
        bad = ~finite & counted
        if bad.any() and self._missing == "refuse":
            where = np.argwhere(bad)[0]
            raise InputError(
                f"the states hold {bad.sum()} NaN or infinite values where their "
                f"weight is not zero, the first at time index {first + where[0]}: "
                'give missing="weight", or weights that are zero there'
            )
        weight = np.ones((), states.dtype) if self._weights is None else self._weights
        weights = np.where(finite, weight, 0).astype(states.dtype)
        if not finite.all():
            states = np.where(finite, states, self._filling()).astype(states.dtype)
        return states, forcing, weights

    def _filling(self) -> np.ndarray:
        """What stands where nothing is known; found once, by whoever asks first."""
        with self._first:
            if self._fill is None:
                block = np.asarray(self._states[: self.block], np.float64)
                known = np.isfinite(block)
                total = np.where(known, block, 0).sum(0)
                self._fill = total / np.maximum(known.sum(0), 1)
            return self._fill


def _block_of(series: Any, length: int) -> int:
    """The times of a block, whole chunks of the series."""
    chunks = getattr(series, "chunks", None)
    if chunks is None:  # xarray keeps those of an array that it has not read
        chunks = getattr(series, "encoding", {}).get("chunks")
    size = int(series.shape[0])
    if chunks:
        chunk = int(np.max(chunks[0]))
        return min(size, chunk * math.ceil(max(length, chunk) / chunk))
    each = math.prod(series.shape[1:]) * np.dtype(series.dtype).itemsize
    return min(size, max(length, _BLOCK_BYTES // max(each, 1)))
