"""The tangent-linear model and the adjoint, against each other and differences."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_recurrent import cell_of

from tendency import Integrated, adams_bashforth3, forecast, tangent_linear
from tendency import adjoint as adjoint_of
from tendency.cell import Carry
from tendency.errors import InputError
from tendency.grid import Axis, Grid
from tendency.networks import GRU
from tendency.physics import Lorenz96
from tendency.physics.nonlinear_waves import burgers
from tendency.physics.quasigeostrophic import barotropic_vorticity
from tendency.physics.shallow_water import C_GRID, shallow_water
from tendency.symbolic.boundary import neumann, walls
from tendency.symbolic.coasts import Coast
from tendency.symbolic.differences import Differences
from tendency.symbolic.generated import generate
from tendency.symbolic.spectral import Spectral


def _burgers():
    grid = Grid.of(Axis("x", 60))
    cell = Integrated(generate(burgers(0.01), grid, Differences(4)), 0.002)
    return cell, {"u": jnp.asarray(np.sin(2 * np.pi * np.arange(60) / 60))}


def _water():
    """Between walls, with land."""
    grid = Grid.of(Axis("x", 8), Axis("y", 6, periodic=False))
    water = np.ones(grid.shape, bool)
    water[2:4, :2] = False
    tendency = generate(
        shallow_water(9.81, 1.0, 0.3, 0.01),
        grid,
        boundaries=walls(grid, {"x": "u", "y": "v"}, "no", others={"h": neumann()}),
        staggered=C_GRID,
        coast=Coast(water, "no"),
    )
    keys = jax.random.split(jax.random.key(1), 3)
    state = {
        name: float(name == "h") + 0.1 * jax.random.normal(k, shape)
        for (name, shape), k in zip(tendency.shapes, keys, strict=True)
    }
    return Integrated(tendency, 1e-3), state


def _vorticity():
    """By transforms, its stream function from an elliptic equation."""
    system = barotropic_vorticity(beta=1.0, viscosity=0.01)
    grid = Grid.of(Axis("y", 8), Axis("x", 8))
    state = {"zeta": jax.random.normal(jax.random.key(2), grid.shape)}
    return Integrated(generate(system, grid, Spectral()), 0.02), state


def _lorenz():
    state = 8 + jax.random.normal(jax.random.key(2), (12,))
    return Integrated(Lorenz96(), 0.01, adams_bashforth3), state


CASES = {
    "burgers": _burgers,
    "shallow water with a coast": _water,
    "vorticity by transforms": _vorticity,
    "lorenz, AB3": _lorenz,
}
STEPS = 30


def _like(carry, seed):
    leaves, structure = jax.tree.flatten(carry)
    keys = jax.random.split(jax.random.key(seed), len(leaves))
    noise = [
        jax.random.normal(k, jnp.shape(x))
        if eqx.is_inexact_array(x)
        else jnp.zeros_like(x)
        for k, x in zip(keys, leaves, strict=True)
    ]
    return jax.tree.unflatten(structure, noise)


def _dot(a, b):
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return sum(float(jnp.vdot(x, y)) for x, y in pairs if eqx.is_inexact_array(x))


def _carry(case):
    cell, state = CASES[case]()
    carry, _ = forecast(cell, cell.init(state), 5)  # its memory is informed
    return cell, carry


@pytest.mark.parametrize("case", CASES)
def test_the_adjoint_is_the_transpose(case):
    cell, carry = _carry(case)
    change, weight = _like(carry, 3), _like(carry, 4)
    forward = tangent_linear(cell, carry, change, STEPS)
    backward = adjoint_of(cell, carry, weight, STEPS)
    one, other = _dot(weight, forward), _dot(backward, change)
    size = np.sqrt(_dot(weight, weight) * _dot(forward, forward))
    assert abs(one - other) < 1e-12 * size


@pytest.mark.parametrize("case", CASES)
def test_the_tangent_is_the_derivative(case):
    """What a Taylor expansion leaves falls with the square of the perturbation."""
    cell, carry = _carry(case)
    change = _like(carry, 5)
    forward = tangent_linear(cell, carry, change, STEPS)

    def left(size):
        moved = jax.tree.map(
            lambda x, d: x + size * d if eqx.is_inexact_array(x) else x, carry, change
        )
        ends = [forecast(cell, c, STEPS)[0].state for c in (moved, carry)]
        rest = jax.tree.map(lambda a, b, d: a - b - size * d, *ends, forward.state)
        return np.sqrt(_dot(rest, rest))

    assert left(1e-3) / left(5e-4) == pytest.approx(4, abs=0.05)


def test_a_hidden_state_is_part_of_both():
    cell = cell_of(GRU, jax.random.key(0))
    carry = cell.init(jnp.ones(2))
    change = _like(carry, 1)
    forward = tangent_linear(cell, carry, change, 4)
    backward = adjoint_of(cell, carry, forward, 4)
    assert jax.tree.structure(forward) == jax.tree.structure(carry)
    assert _dot(forward, forward) == pytest.approx(_dot(backward, change), rel=1e-12)


def test_a_perturbation_of_another_shape_is_refused():
    _, state = _lorenz()
    with pytest.raises(InputError, match=r"perturbation.*\(3,\).*\(12,\).*same shape"):
        tangent_linear(
            Integrated(Lorenz96(), 0.01), Carry(state), Carry(jnp.ones(3)), 2
        )
