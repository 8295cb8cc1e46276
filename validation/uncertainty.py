"""Derived equations of uncertainty beside ensembles: how long they hold.

Advection and diffusion in a plane, by a flow that shears, and two species that react
while they are carried along. Errors of both start with one variance and length-scale;
variances and lengths by the equations of `moments` are compared at several times to
those of an ensemble, whose sampling noise is measured by a second one.

    python validation/uncertainty.py [MEMBERS]
"""

import sys

import jax
import jax.numpy as jnp
import numpy as np

from tendency.grid import Axis, Grid
from tendency.integrate import Integrated
from tendency.propagation import Members, Parametric, propagate
from tendency.symbolic.generated import generate
from tendency.symbolic.moments import moments
from tendency.symbolic.system import System

PLANE = System.of(
    [
        "d_t c = k*d_xx c + k*d_yy c - w*sin(2*pi*y)*d_x c - w*sin(2*pi*x)*d_y c",
    ],
    coordinates=["x", "y"],
    parameters={"k": 0.002, "w": 0.3},
    name="advection and diffusion",
)
REACTION = System.of(
    [
        "d_t A = k*d_xx A - w*d_x A - r*A*B + s*A",
        "d_t B = k*d_xx B - w*d_x B + r*A*B - s*B",
    ],
    coordinates=["x"],
    parameters={"k": 0.002, "w": 0.5, "r": 1.0, "s": 1.0},
    name="two species",
)
CASES = {  # system, points along an axis, length of the errors, dt, steps, every
    "plane": (PLANE, 40, 0.1, 0.02, 60, 6),
    "reaction": (REACTION, 128, 0.05, 0.01, 300, 30),
}
STD = 0.01


def main(members: int) -> None:
    """Print a table for each case."""
    for system, points, length, dt, steps, every in CASES.values():
        axes = [Axis(str(c), points) for c in system.coordinates]
        grid = Grid.of(*axes)
        mean = {
            f.func.__name__: _mean(grid, i) for i, f in enumerate(system.prognostic)
        }
        spectrum = _spectrum(grid, length)

        def draw(key, mean=mean, spectrum=spectrum):
            keys = jax.random.split(key, len(mean))
            return {
                name: field + STD * _errors(spectrum, field.shape, one)
                for (name, field), one in zip(mean.items(), keys, strict=True)
            }

        cell = Integrated(generate(system, grid), dt)
        one, other = (
            propagate(
                cell, draw, steps, Members(members), every=every, grid=grid, key=key
            )
            for key in jax.random.split(jax.random.key(0))
        )
        derived = Integrated(generate(moments(system).system(), grid), dt)
        start = _prior(mean, _seen(length, 1 / points), axes)
        method = Parametric(tuple(str(c) for c in system.coordinates))
        told = propagate(derived, start, steps, method, every=every)
        print(f"\n{system.name}, {members} members: relative distances and noise")
        print("    time  variance   noise   length   noise")
        for i, time in enumerate(told.times):
            apart = told.distance(one, i)
            noise = {n: v / 2**0.5 for n, v in one.distance(other, i).items()}
            print(
                f"{time:8.2f}  {apart['variance']:8.4f}{noise['variance']:8.4f}"
                f" {apart['length']:8.4f}{noise['length']:8.4f}",
                flush=True,
            )


def _mean(grid: Grid, which: int) -> jax.Array:
    """A wave about 1, of another phase for each field."""
    places = np.meshgrid(*(a.positions() for a in grid.axes), indexing="ij")
    waves = [np.cos(2 * np.pi * (x - 0.3 * which)) for x in places]
    return jnp.asarray(1 + 0.3 * np.prod(waves, axis=0))


def _spectrum(grid: Grid, length: float) -> np.ndarray:
    """Of the correlation exp(-r²/2 length²) on the periodic square or line."""
    one = []
    for axis in grid.axes:
        x = axis.positions() - axis.positions()[0]
        r = np.minimum(x, 1 - x)
        one.append(np.exp(-(r**2) / (2 * length**2)))
    shape = one[0] if len(one) == 1 else np.multiply.outer(*one)
    return np.sqrt(np.maximum(np.fft.rfftn(shape).real, 0))


def _errors(spectrum: np.ndarray, shape: tuple[int, ...], key: jax.Array) -> jax.Array:
    white = jnp.fft.rfftn(jax.random.normal(key, shape))
    return jnp.fft.irfftn(white * spectrum.astype(complex), s=shape)


def _seen(length: float, spacing: float) -> float:
    """The length as central differences tell it, which the ensemble's are."""
    slope = 2 - 2 * np.exp(-((2 * spacing) ** 2) / (2 * length**2))
    return float(2 * spacing / np.sqrt(slope))


def _prior(mean: dict, length: float, axes: list[Axis]) -> dict:
    nu = length**2 / 2
    state = dict(mean)
    alone, names = len(mean) == 1, list(mean)
    for i, name in enumerate(names):
        end, one = "" if alone else f"_{name}", jnp.ones_like(mean[name])
        state[f"V{end}"] = STD**2 * one
        if len(axes) == 1:
            state[f"nu{end}"] = nu * one
        else:
            state |= {f"nu{end}_xx": nu * one, f"nu{end}_yy": nu * one}
            state[f"nu{end}_xy"] = 0 * one
        state |= {f"V_{name}_{other}": 0 * one for other in names[i + 1 :]}
    return state


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
