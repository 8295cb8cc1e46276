"""Longitude and latitude through the factors of the equations, against harmonics."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy
from manufactured import order_of, sampled

from tendency.forecasting import forecast
from tendency.grid import Axis, Grid
from tendency.integrate import Integrated
from tendency.physics.transport import tracer_on_the_sphere
from tendency.symbolic.boundary import neumann
from tendency.symbolic.coasts import Coast
from tendency.symbolic.generated import generate
from tendency.symbolic.system import TIME

A, KAPPA, TURN = 2.0, 0.8, 3.0
SYSTEM = tracer_on_the_sphere(A, KAPPA, TURN)
LON, LAT = SYSTEM.coordinates


def globe(n: int) -> Grid:
    """From pole to pole, twice as many longitudes."""
    return Grid.of(
        Axis("lon", 2 * n, 0.0, 2 * np.pi),
        Axis("lat", n, -np.pi / 2, np.pi / 2, periodic=False),
    )


def model(grid, coast=None, system=SYSTEM):
    ends = {"T": {"lat": neumann()}}
    return generate(system, grid, boundaries=ends, coast=coast)


HARMONICS = {  # by degree and order
    (1, 0): sympy.sin(LAT),
    (1, 1): sympy.cos(LAT) * sympy.cos(LON),
    (2, 1): sympy.sin(LAT) * sympy.cos(LAT) * sympy.cos(LON),
    (3, 2): sympy.sin(LAT) * sympy.cos(LAT) ** 2 * sympy.cos(2 * LON),
}


@pytest.mark.parametrize(("degree", "order"), HARMONICS)
def test_a_harmonic_turns_and_decays(degree, order):
    """In the mean over the area; the steps are short enough not to matter."""
    decay = sympy.exp(-KAPPA * degree * (degree + 1) * TIME / A**2)
    exact = decay * HARMONICS[degree, order].subs(LON, LON - TURN * TIME)
    points, errors, end, steps = (10, 20), [], 0.08, 300
    for n in points:
        grid = globe(n)
        cell = Integrated(model(grid), end / steps)
        start = {"T": sampled(exact, SYSTEM, grid)}
        carry, _ = forecast(cell, cell.init(start), steps, every=steps)
        error = carry.state["T"] - sampled(exact, SYSTEM, grid, t=end)
        area = np.cos(grid.coordinates()["lat"])
        errors.append(float(np.sqrt((area * np.square(error)).mean() / area.mean())))
    assert errors[-1] < 0.01
    assert order_of(errors, points) == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize("coast", [False, True])
def test_what_leaves_a_cell_enters_the_next(coast):
    """Weighted by area, from pole to pole, and with land."""
    grid = globe(12)
    rng = np.random.default_rng(0)
    water = rng.random(grid.shape) > 0.2
    cell = Integrated(model(grid, coast=Coast(water) if coast else None), 1e-3)
    start = jnp.asarray(rng.uniform(1, 2, grid.shape))
    carry, _ = forecast(cell, cell.init({"T": start}), 100, every=100)
    area = np.cos(grid.coordinates()["lat"]) * (water if coast else 1)
    end = np.asarray(carry.state["T"])
    assert np.abs(end - start)[water].max() > 0.1
    assert abs((area * end).sum() / (area * start).sum() - 1) < 1e-13


def test_diffusion_takes_variance_and_rotation_does_not():
    grid = globe(12)
    area = np.cos(grid.coordinates()["lat"])
    T = np.random.default_rng(1).normal(size=grid.shape)
    change = []
    for system in (tracer_on_the_sphere(A, 0.0, TURN), tracer_on_the_sphere(A, KAPPA)):
        rate = model(grid, system=system)
        slope = np.asarray(jax.jit(lambda x, f=rate: f({"T": x})["T"])(jnp.asarray(T)))
        terms = area * T * slope
        change.append(terms.sum() / np.abs(terms).sum())
    assert abs(change[0]) < 1e-13
    assert change[1] < -0.1
