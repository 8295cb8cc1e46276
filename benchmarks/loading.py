"""A training step whose samples are read from a Zarr store, against one in memory.

The same fit, in turns; the time of a step is the wall time of an epoch over its steps,
and what reading costs is the median over the rounds of the difference of a pair.
"""

import statistics
import tempfile
import time
from typing import Any

# What, points along an edge, widths of the UNet, times of the store and of a chunk.
CASES = (
    ("UNet (8, 16), 64 x 64, batch 8", 64, (8, 16), 104, 24),
    ("UNet (8, 16, 32), 128 x 128, batch 8", 128, (8, 16, 32), 56, 24),
)
BATCH, EPOCHS = 8, 4
ROUNDS = 3


def measure() -> list[dict[str, Any]]:
    """A row for each."""
    with tempfile.TemporaryDirectory() as folder:
        return [_row(folder, *case) for case in CASES]


def _row(
    folder: str, what: str, size: int, widths: tuple[int, ...], times: int, chunk: int
) -> dict[str, Any]:
    import jax
    import jax.numpy as jnp
    import numpy as np
    import optax
    import xarray as xr

    import tendency
    from tendency.lazy_windows import LazyWindows
    from tendency.networks.maps import Frame, MapStepper, UNet

    drawn = np.random.default_rng(0).normal(size=(times, 1, size, size))
    path = f"{folder}/{size}.zarr"
    dims = ("time", "channel", "row", "column")
    array = xr.Dataset({"x": (dims, drawn.astype(np.float32))})
    array.chunk(time=chunk).to_zarr(path, zarr_format=2, consolidated=True)
    states = xr.open_zarr(path)["x"]
    frame = Frame((1, size, size), dtype=jnp.float32)
    key = jax.random.key(0)
    network = UNet(frame.reads(), 1, widths, dtype=jnp.float32, key=key)
    cell = MapStepper(network, frame, 1.0)
    method = tendency.Descent(optax.adam(1e-3), epochs=EPOCHS, batch=BATCH)
    once = (times - 1) // BATCH
    steps = EPOCHS * once

    def a_step(windows: Any) -> float:
        began = time.perf_counter()
        tendency.fit(cell, windows, method, key=key)
        return (time.perf_counter() - began) / steps

    waited = [0.0]

    class Timed(LazyWindows):
        """That keeps how long the loop waits for its samples."""

        def batches(self, indices: Any) -> Any:
            inner: Any = super().batches(indices)
            try:
                while True:
                    began = time.perf_counter()
                    sample = next(inner, None)
                    waited[0] += time.perf_counter() - began
                    if sample is None:
                        return
                    yield sample
            finally:
                inner.close()

    def lazy() -> Any:
        waited[0] = 0.0
        return Timed(states, 2)

    def reading() -> float:
        windows = lazy()
        began = time.perf_counter()
        order = windows.order(key)[: once * BATCH].reshape(once, BATCH)
        for _ in windows.batches(iter(order)):
            pass
        return (time.perf_counter() - began) / once

    held = tendency.Windows.of(states.values, 2)
    _ = a_step(held), a_step(lazy()), reading()  # compiled
    rounds = []
    for _ in range(ROUNDS):
        memory, read = a_step(held), a_step(lazy())
        rounds.append((memory, read, waited[0] / steps, reading()))
    memory, read, wait, alone = map(statistics.median, zip(*rounds, strict=True))
    return {
        "what": what,
        "memory": memory,
        "read": read,
        "wait": wait,
        "alone": alone,
    }
