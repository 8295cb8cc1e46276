"""Every ready system: its order in space, and what it shares with hand-written ones."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy
from manufactured import order_of, residual, sampled

from tendency.errors import InputError
from tendency.grid import Axis, Grid
from tendency.physics import Lorenz63, Lorenz96
from tendency.physics import nonlinear_waves as waves
from tendency.physics import quasi_geostrophic as balanced
from tendency.physics.lorenz_equations import lorenz63_equations, lorenz96_equations
from tendency.physics.shallow_water import (
    C_GRID,
    linear_shallow_water,
    shallow_water,
    wave,
)
from tendency.physics.transport import advection, diffusion, tensor_diffusion
from tendency.symbolic.differences import Differences
from tendency.symbolic.generated import generate
from tendency.symbolic.spectral import Spectral
from tendency.symbolic.system import TIME

SYSTEMS = {
    "advection": advection(),
    "advection in 2-D": advection(2),
    "advection in 3-D": advection(3),
    "diffusion": diffusion(),
    "diffusion in 3-D": diffusion(3),
    "tensor in 1-D": tensor_diffusion(1),
    "tensor in 2-D": tensor_diffusion(2),
    "tensor in 3-D": tensor_diffusion(3),
    "burgers": waves.burgers(0.01),
    "kdv": waves.korteweg_de_vries(),
    "ks": waves.kuramoto_sivashinsky(),
    "allen-cahn": waves.allen_cahn(),
    "wave": wave(),
    "wave in 2-D": wave(2),
    "linear shallow water": linear_shallow_water(2.0, 3.0, 1.5),
    "shallow water": shallow_water(3.0, 1.5, 0.0, 0.1),
}


def wavy(system, k: int):
    """A smooth periodic field of its own for every name."""
    phase = sum(2 * sympy.pi * s for s in system.coordinates)
    single = [sympy.sin(2 * sympy.pi * s + k) for s in system.coordinates]
    return 3 + sympy.cos(phase + TIME + k) / 3 + sum(single) / 2


@pytest.mark.parametrize("order", [2, 4, 6])
@pytest.mark.parametrize("name", SYSTEMS)
def test_order_in_space(name, order):
    system = SYSTEMS[name]
    base = [f for f in system.fields if not f.endswith("_t")]
    exact = {f: wavy(system, k) for k, f in enumerate(base)}
    given = {
        f.func.__name__: wavy(system, 5 + k) for k, f in enumerate(system.constants)
    }
    dim = len(system.coordinates)
    points = {1: (48, 64), 2: (32, 48), 3: (20, 30)}[dim]
    errors: dict[str, list[float]] = {f: [] for f in system.fields}
    for n in points:
        grid = Grid.of(*(Axis(str(c), n) for c in system.coordinates))
        found = residual(
            system,
            grid,
            Differences(order),
            exact,
            given=given,
            constants={k: sampled(e, system, grid) for k, e in given.items()},
            staggered=C_GRID if "shallow" in name else None,
        )
        for field, error in found.items():
            errors[field].append(error)
    for field, pair in errors.items():
        if pair[-1] > 1e-12:  # else there is nothing to discretise
            assert order_of(pair, points) == pytest.approx(order, abs=0.1), field


def test_lorenz_models_are_those_written_by_hand():
    state = jnp.asarray([1.0, -2.0, 25.0])
    found = generate(lorenz63_equations(), Grid.of())(
        dict(zip("xyz", state, strict=True))
    )
    np.testing.assert_allclose(
        jnp.stack([found[k] for k in "xyz"]), Lorenz63()(state), rtol=1e-14
    )
    many = jnp.asarray(np.random.default_rng(0).normal(size=12))
    names = [f"x{i}" for i in range(12)]
    tendency = generate(lorenz96_equations(12), Grid.of())
    found = tendency(dict(zip(names, many, strict=True)))
    np.testing.assert_allclose(
        jnp.stack([found[k] for k in names]), Lorenz96()(many), rtol=1e-13
    )


def test_shallow_water_keeps_mass_and_a_state_of_rest():
    grid = Grid.of(Axis("x", 10), Axis("y", 8))
    tendency = generate(shallow_water(beta=0.0), grid, staggered=C_GRID)
    rng = np.random.default_rng(0)
    state = {k: jnp.asarray(1 + rng.normal(size=s)) for k, s in tendency.shapes}
    slope = eqx.filter_jit(tendency)(state)
    assert abs(slope["h"].sum()) < 1e-13 * abs(slope["h"]).sum()
    rest = {
        "h": jnp.full((10, 8), 3.0),
        "u": jnp.zeros((10, 8)),
        "v": jnp.zeros((10, 8)),
    }
    assert all(abs(x).max() == 0 for x in jax.tree.leaves(tendency(rest)))


@pytest.mark.parametrize(
    "system",
    [
        balanced.barotropic_vorticity(0.7, 0.1, 0.01),
        balanced.two_layer_quasi_geostrophic(0.3, 0.5, 1.0, 0.7, 0.1),
    ],
    ids=lambda system: system.name,
)
def test_balanced_flow_is_exact_by_transforms(system):
    """From stream functions to vorticities by SymPy, and their tendency back."""
    n = 24
    grid = Grid.of(Axis("x", n), Axis("y", n))
    x, y = system.coordinates
    turn = 2 * sympy.pi
    psi = [
        sympy.sin(turn * x) * sympy.cos(turn * 2 * y) + sympy.cos(turn * (x - y)),
        sympy.cos(turn * x) + sympy.sin(turn * (x + y)) / 2,
    ]
    values = dict(zip(system.unknown, psi, strict=False))
    fields = {}
    for equation in system.implicit:
        (field,) = [f for f in system.prognostic if equation.has(f)]
        (fields[field],) = sympy.solve(equation.subs(values).doit(), field)
    values |= fields
    values |= {p: sympy.Float(v) for p, v in system.parameters.items()}
    tendency = generate(system, grid, Spectral())
    state = {
        f.func.__name__: sampled(e.subs(values), system, grid)
        for f, e in fields.items()
    }
    found = eqx.filter_jit(tendency)(state)
    for field, equation in system.prognostic.items():
        full = equation.xreplace(dict(system.diagnostic)).subs(values).doit()
        expected = sampled(full.subs(values), system, grid)
        scale = float(abs(expected).max())
        np.testing.assert_allclose(
            found[field.func.__name__], expected, atol=1e-11 * scale
        )


def test_balanced_flow_asks_for_the_spectral_method():
    grid = Grid.of(Axis("x", 8), Axis("y", 8))
    with pytest.raises(InputError, match="spectral"):
        generate(balanced.barotropic_vorticity(), grid)


@pytest.mark.parametrize("make", [advection, diffusion, tensor_diffusion, wave])
def test_dimensions_are_one_two_or_three(make):
    with pytest.raises(InputError, match="1, 2 or 3"):
        make(4)
