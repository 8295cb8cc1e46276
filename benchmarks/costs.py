"""What a generated model costs: to compile, and to step with ever more points.

Each system is compiled, and each size stepped, in a process of its own, with one
thread: `python -m benchmarks.costs WHAT ARGUMENT` prints one of them as JSON.
"""

import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

from benchmarks.measure import HERE

SIZES = (64, 96, 128, 192, 256, 384, 512, 768, 1024)
ARRAYS = 16  # read or written by four stages that each pass over memory once
REPEATED = 7
ASKED = 10.0  # [s]


def compilations() -> list[dict[str, Any]]:
    """A row for each system, the largest program first; that one is judged."""
    rows = [_alone("compile", name) for name in SYSTEMS]
    rows.sort(key=lambda row: -row["operations"])
    return [{**row, "asked": None if i else ASKED} for i, row in enumerate(rows)]


def scaling() -> list[dict[str, Any]]:
    """A row for each size, and what the machine's memory gives beside it."""
    return [_alone("step", str(points)) for points in SIZES]


def _alone(*arguments: str) -> dict[str, Any]:
    environment = dict(os.environ, JAX_PLATFORMS="cpu", NPROC="1", OMP_NUM_THREADS="1")
    environment.pop("JAX_COMPILATION_CACHE_DIR", None)
    command = [sys.executable, "-m", "benchmarks.costs", *arguments]
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, cwd=HERE.parent, env=environment
    )
    return json.loads(done.stdout)


def _shallow_water(slip: Literal["free", "no"], coast: bool) -> Any:
    import numpy as np

    from tendency.grid import Axis, Grid
    from tendency.physics.shallow_water import C_GRID, shallow_water
    from tendency.symbolic.boundary import neumann, walls
    from tendency.symbolic.coasts import Coast
    from tendency.symbolic.generated import generate

    grid = Grid.of(Axis("x", 64, 0.0, 1e6), Axis("y", 64, 0.0, 1e6, periodic=False))
    from_the_middle = np.hypot(*np.meshgrid(*[np.linspace(-1, 1, 64)] * 2))
    return generate(
        shallow_water(viscosity=100.0),
        grid,
        boundaries=walls(grid, {"x": "u", "y": "v"}, slip, others={"h": neumann()}),
        staggered=C_GRID,
        coast=Coast(from_the_middle > 0.2, slip) if coast else None,
    )


def _layers() -> Any:
    from benchmarks.models import MODELS

    return MODELS["layers"](64).cell.tendency


def _basin() -> Any:
    from tendency.studies.quasigeostrophic.gyre import SMALL_GYRE, model

    return model(SMALL_GYRE).cell.tendency


def _tensor() -> Any:
    import numpy as np

    from tendency.grid import Axis, Grid
    from tendency.physics.transport import tensor_diffusion
    from tendency.symbolic.differences import Differences
    from tendency.symbolic.generated import generate

    cube, system = Grid.of(*(Axis(c, 32) for c in "xyz")), tensor_diffusion(3)
    given = {f.func.__name__: np.ones(cube.shape) for f in system.constants}
    return generate(system, cube, Differences(8), constants=given)


SYSTEMS: Mapping[str, Callable[[], Any]] = {
    "shallow water, a coast, no-slip": lambda: _shallow_water("no", True),
    "shallow water, walls, free-slip": lambda: _shallow_water("free", False),
    "two-layer quasi-geostrophic, spectral": _layers,
    "two gyres in a closed basin": _basin,
    "tensor diffusion, 3-D, order 8": _tensor,
}


def compiled(name: str) -> dict[str, Any]:
    """Generate, lower and compile a forecast by RK4."""
    import jax

    jax.config.update("jax_enable_x64", True)

    import tendency

    jax.numpy.zeros(1).block_until_ready()  # JAX itself starts
    began = time.perf_counter(), time.process_time()
    tendencies = SYSTEMS[name]()
    generated = time.perf_counter(), time.process_time()
    cell = tendency.Integrated(tendencies, dt=1.0)
    state = {k: jax.ShapeDtypeStruct(s, float) for k, s in tendencies.shapes}

    def forward(state):
        return tendency.forecast(cell, cell.init(state), 1_000, every=1_000)[0].state

    lowered = jax.jit(forward).lower(state)
    lowered.compile()
    ended = time.perf_counter(), time.process_time()
    return {
        "system": name,
        "operations": lowered.as_text().count(" = stablehlo."),
        "generate": generated[1] - began[1],
        "wall": ended[0] - generated[0],
        "cpu": ended[1] - generated[1],
    }


def stepped(points: int) -> dict[str, Any]:
    """CPU time of a step of diffusion, and what copies of arrays take beside it."""
    import numpy as np

    from benchmarks.generated import prepare

    answer, run = prepare("diffusion", points)
    steps = answer["work"]

    def copied(nbytes: int) -> Callable[[int], None]:
        a, b = np.ones(nbytes // 8), np.zeros(nbytes // 8)

        def copy(times: int) -> None:
            for _ in range(times):
                np.copyto(b, a)

        return copy

    size = points**2 * 8
    near, far = copied(size), copied(2**28)
    turns = [(_took(run), _took(near), _took(far)) for _ in range(REPEATED)]
    step, beside, memory = (
        statistics.median(column) for column in zip(*turns, strict=True)
    )
    return {
        "points": points**2,
        "side": points,
        "step": step / steps,
        "moved": ARRAYS * size / (step / steps),  # [bytes / s]
        "near": 2 * size / beside,
        "memory": 2 * 2**28 / memory,
    }


def _took(work: Callable[[int], None]) -> float:
    """CPU seconds of one call, from as many as take a tenth of a second."""
    times, took = 1, 0.0
    while True:
        before = time.process_time()
        work(times)
        took = time.process_time() - before
        if took > 0.1:
            return took / times
        times *= 2 if took <= 0.01 else math.ceil(0.12 / took)


if __name__ == "__main__":
    what, argument = sys.argv[1:]
    row = compiled(argument) if what == "compile" else stepped(int(argument))
    print(json.dumps(row))
