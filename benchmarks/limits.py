"""What has to stay within a time and a memory of its own, and how it grows.

Each size runs in a process of its own, once to compile and once by the clock; the
memory is the most that the process ever held, Python and JAX included.
"""

import json
import resource
import subprocess
import sys
import time
from typing import Any

from benchmarks.measure import HERE

# What, its arguments, the CPU seconds and the memory [GB] that were asked for.
LIMITS = (
    ("EnKF and EnKS, 1,000 steps, 100 members", ("smoother", "model"), 0.5, None),
    ("the same by analogs", ("smoother", "analogs"), 3, None),
    ("LETKF, 64 x 64, 40 members, 2 % observed", ("letkf", 64), None, None),
    ("LETKF, 128 x 128", ("letkf", 128), None, None),
    ("LETKF, 256 x 256", ("letkf", 256), 10, 4),
    ("LETKF, 512 x 512", ("letkf", 512), None, None),
    ("ETKF, Lorenz-96, 24 members, 1,000 cycles", ("cycles", 1_000), None, None),
    ("the same, 4,000 cycles", ("cycles", 4_000), None, None),
    ("the same, 16,000 cycles", ("cycles", 16_000), None, None),
    ("ConvLSTM, 256 x 256, 30 steps: a training step", ("maps", False), None, None),
    ("the same, each step computed again", ("maps", True), None, 4),
    ("the same, in parts of 6 steps", ("maps", 6), None, 4),
)


def measure() -> list[dict[str, Any]]:
    """A row for each."""
    rows = []
    for name, arguments, seconds, memory in LIMITS:
        command = [sys.executable, "-m", "benchmarks.limits", json.dumps(arguments)]
        done = subprocess.run(command, cwd=HERE.parent, capture_output=True, check=True)
        found = json.loads(done.stdout.splitlines()[-1])
        rows.append({"what": name, **found, "asked": [seconds, memory]})
    return rows


def _smoother(kind):
    """Lorenz-63, x observed every eighth step, as in the lecture's table."""
    import jax
    import jax.numpy as jnp

    import tendency
    from benchmarks.lorenz import DT, series
    from tendency.assimilation import EnsembleSmoother, StochasticEnKF
    from tendency.physics import Lorenz63
    from tendency.statistical import analog

    states = series(12_001)
    catalogue, truth = states[:10_001], states[11_000:12_001]
    if kind == "analogs":
        windows = tendency.Windows.of(catalogue, 2)
        cell = analog(windows, k=50, dt=DT, method="linear")
    else:
        cell = tendency.Integrated(Lorenz63(), DT)
    steps = range(8, 1001, 8)
    noise = jax.random.normal(jax.random.key(0), (125, 1))
    observations = tendency.Observations.of(
        truth[8::8, :1] + jnp.sqrt(2.0) * noise,
        list(steps),
        tendency.observing.Select(jnp.array([0])),
        error=2.0,
    )
    prior = tendency.ensemble_of(cell, truth[0], 1.0, size=100, key=jax.random.key(1))
    method = EnsembleSmoother(StochasticEnKF())

    def run():
        key = jax.random.key(2)
        found = tendency.assimilate(cell, prior, observations, method, key=key)
        jax.block_until_ready(found.smoothed_mean)

    return run


def _letkf(points):
    """One analysis; what is near is listed anew each time."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    import tendency
    from tendency.assimilation import LETKF, Localisation
    from tendency.cell import Carry
    from tendency.grid import Axis, Grid
    from tendency.observing import Select

    rng = np.random.default_rng(0)
    size = points * points
    index = np.sort(rng.choice(size, size // 50, replace=False))
    where = np.stack(np.unravel_index(index, (points, points)), 1)
    grid = Grid.of(*(Axis(c, points, 0.0, float(points)) for c in "yx"))
    observations = tendency.Observations.of(
        rng.normal(size=(1, index.size)),
        [0],
        Select(jnp.asarray(index)),
        error=0.5,
        positions=where,
    )
    ensemble = Carry(jnp.asarray(rng.normal(size=(40, points, points))))
    method = LETKF(localisation=Localisation.on(grid, 5.0))
    cell = tendency.Integrated(_still, 1.0)

    def run():
        key = jax.random.key(0)
        found = tendency.assimilate(cell, ensemble, observations, method, key=key)
        jax.block_until_ready(found.analysis_mean)

    return run


def _still(state, forcing=None):
    return 0 * state


def _cycles(cycles):
    import jax

    import tendency
    from benchmarks.assimilation import twin
    from tendency.assimilation import ETKF, Multiplicative

    cell, observations, ensemble, _ = twin("L96", 24, cycles)
    method = ETKF(Multiplicative(1.02), rotated=True)

    def run():
        key = jax.random.key(1)
        found = tendency.assimilate(cell, ensemble, observations, method, key=key)
        jax.block_until_ready(found.analysis_mean)

    return run


def _maps(checkpoint):
    """A step of Adam on one roll-out, 32 units, in single precision."""
    import jax
    import jax.numpy as jnp
    import optax

    import tendency
    from tendency.networks.maps import ConvLSTM, Convolution, Frame, MapRecurrent

    keys = jax.random.split(jax.random.key(0), 3)
    frame = Frame((1, 256, 256), dtype=jnp.float32)
    layer = ConvLSTM(frame.reads(), 32, dtype=jnp.float32, key=keys[0])
    readout = Convolution(32, 1, dtype=jnp.float32, key=keys[1])
    cell = MapRecurrent(layer, readout, frame, 1.0, spin_up_steps=0)
    states = jax.random.normal(keys[2], (31, 1, 256, 256), jnp.float32)
    windows = tendency.Windows.of(states, 31)
    loss = tendency.RolloutLoss(checkpoint=checkpoint)
    method = tendency.Descent(optax.adam(1e-3), epochs=1, batch=1)

    def run():
        tendency.fit(cell, windows, method, key=keys[0], loss=loss)

    return run


def main(kind, argument):
    import jax

    jax.config.update("jax_enable_x64", True)
    kinds = {"smoother": _smoother, "letkf": _letkf, "cycles": _cycles, "maps": _maps}
    run = kinds[kind](argument)
    run()
    cpu, wall = time.process_time(), time.perf_counter()
    run()
    found = {
        "cpu": time.process_time() - cpu,
        "wall": time.perf_counter() - wall,
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(*json.loads(sys.argv[1]))
