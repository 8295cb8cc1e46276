"""Every ready system: its order in space, and what it shares with hand-written ones."""

import equinox as eqx
import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import pytest
import sympy
from manufactured import offsets_of, order_of, sampled, state_of, tendencies

from tendency.errors import InputError
from tendency.grid import Axis, Grid
from tendency.physics import Lorenz63, Lorenz96
from tendency.physics import nonlinear_waves as waves
from tendency.physics.lorenz_equations import lorenz63_equations, lorenz96_equations
from tendency.physics.quasigeostrophic import (
    barotropic_vorticity,
    two_layer_quasigeostrophic,
)
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
from tendency.symbolic.system import TIME, System

SYSTEMS = {
    "advection": advection(),
    "advection in 2-D": advection(2),
    "advection in 3-D": advection(3),
    "diffusion": diffusion(),
    "diffusion in 2-D": diffusion(2),
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
    "wave in 3-D": wave(3),
    "linear shallow water": linear_shallow_water(2.0, 3.0, 1.5),
    "shallow water": shallow_water(3.0, 1.5, 0.0, 0.1),
}
ORDERS = (2, 4, 6, 8)
POINTS = {  # by the number of dimensions and the order
    1: {2: (48, 64), 4: (48, 64), 6: (32, 48), 8: (32, 44)},
    2: {2: (32, 48), 4: (32, 48), 6: (28, 40), 8: (28, 36)},
    3: {2: (16, 24), 4: (20, 30), 6: (20, 30), 8: (24, 32)},
}


def wavy(system, k: int):
    """A smooth periodic field of its own for every name."""
    phase = sum(2 * sympy.pi * s for s in system.coordinates)
    single = [sympy.sin(2 * sympy.pi * s + k) for s in system.coordinates]
    return 3 + sympy.cos(phase + TIME + k) / 3 + sum(single) / 2


def grid_of(system, n: int) -> Grid:
    return Grid.of(*(Axis(str(c), n) for c in system.coordinates))


class Problem:
    """A system with fields that solve it when forced, and what its tendency is."""

    def __init__(self, name):
        self.system = SYSTEMS[name]
        self.staggered = C_GRID if "shallow" in name else None
        base = [f for f in self.system.fields if not f.endswith("_t")]
        self.exact = {f: wavy(self.system, k) for k, f in enumerate(base)}
        self.given = {
            f.func.__name__: wavy(self.system, 5 + k)
            for k, f in enumerate(self.system.constants)
        }
        self.slopes = tendencies(self.system, self.exact, self.given)

    def model(self, method, n, staggered=None):
        grid = grid_of(self.system, n)
        fields = {k: sampled(e, self.system, grid) for k, e in self.given.items()}
        return generate(
            self.system, grid, method, constants=fields, staggered=staggered
        )

    def errors(self, method, n, staggered=None):
        """Of each field's tendency, over its largest value."""
        grid, model = grid_of(self.system, n), self.model(method, n, staggered)
        places = offsets_of(self.system, grid, staggered)
        found = jax.jit(lambda x: model(x, {}))(
            state_of(self.system, grid, self.exact, staggered)
        )
        errors = {}
        for name, slope in self.slopes.items():
            truth = sampled(slope, self.system, grid, places[name])
            errors[name] = float(abs(found[name] - truth).max() / abs(truth).max())
        return errors


def is_upwind(name: str) -> bool:
    """Whether it takes one side or the other by the sign of a speed, where asked."""
    if name in ("kdv", "ks", "shallow water"):  # transport in the form of fluxes
        with pytest.raises(InputError, match="upwind = true is asked for, which is"):
            Problem(name).model(Differences(upwind=True), 8)
        return False
    model = Problem(name).model(Differences(upwind=True), 8)
    return "minimum" in str(model.assignments)


@pytest.mark.parametrize("name", SYSTEMS)
def test_order_in_space(name):
    """Of central differences, and of upwind ones where there is what they are for."""
    problem = Problem(name)
    points = dict(POINTS[len(problem.system.coordinates)])
    if name == "ks":  # ∂⁴/∂x⁴ of rounding
        points[8] = (24, 36)
    methods = [Differences(order) for order in ORDERS]
    if is_upwind(name):
        methods += [Differences(order, upwind=True) for order in ORDERS]
    for method in methods:
        pair = points[method.order]
        coarse, fine = (problem.errors(method, n, problem.staggered) for n in pair)
        for field, error in fine.items():
            if error > 1e-14:  # else there is nothing to discretise
                slope = order_of((coarse[field], error), pair)
                assert slope == pytest.approx(method.order, abs=0.1), (method, field)


def test_upwind_differences_are_for_advection():
    found = [name for name in SYSTEMS if is_upwind(name)]
    assert found == ["advection", "advection in 2-D", "advection in 3-D", "burgers"]


def test_upwind_differences_let_no_wave_grow():
    """h is not what -d_x h carries: it stays central in the equation of u."""
    grid = Grid.of(Axis("x", 16))
    method = Differences(upwind=True)
    system = System.of(["d_t u = -d_x h - d_x u/2", "d_t h = -d_x u"], coordinates="x")
    model = generate(system, grid, method)
    flat, back = jax.flatten_util.ravel_pytree({k: jnp.ones(16) for k in "hu"})
    matrix = jax.jacfwd(lambda x: jax.flatten_util.ravel_pytree(model(back(x)))[0])(
        flat
    )
    assert np.linalg.eigvals(matrix).real.max() < 1e-12 * abs(matrix).max()


@pytest.mark.parametrize("name", SYSTEMS)
def test_transforms_are_exact_for_waves_that_they_resolve(name):
    """The products' too: u³ has three times the wavenumber, a third is left out."""
    problem = Problem(name)
    n = 12 if len(problem.system.coordinates) == 1 else 8
    assert max(problem.errors(Spectral(), n).values()) < 1e-13


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


BALANCED = [
    barotropic_vorticity(beta=0.7, viscosity=0.01, drag=0.1),
    two_layer_quasigeostrophic(
        deformation_radius=0.3,
        thickness_ratio=0.5,
        upper_velocity=1.0,
        lower_velocity=-0.3,
        beta=0.7,
        bottom_drag=0.1,
    ),
]


def balanced_errors(system, method, points):
    """From stream functions to vorticities by SymPy, and their tendency back."""
    y, x = system.coordinates
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
    exact = {f.func.__name__: e for f, e in fields.items()}
    given = {f.func.__name__: e for f, e in values.items()}
    slopes = tendencies(system, exact, given)
    found = []
    for n in points:
        grid = grid_of(system, n)
        tendency = eqx.filter_jit(generate(system, grid, method))
        rates = tendency({name: sampled(e, system, grid) for name, e in exact.items()})
        truth = {name: sampled(e, system, grid) for name, e in slopes.items()}
        found.append(
            {n: float(abs(rates[n] - x).max() / abs(x).max()) for n, x in truth.items()}
        )
    return found


@pytest.mark.parametrize("system", BALANCED, ids=lambda system: system.name)
def test_balanced_flow_is_exact_by_transforms(system):
    (errors,) = balanced_errors(system, Spectral(), [24])
    assert max(errors.values()) < 1e-11


@pytest.mark.parametrize("system", BALANCED, ids=lambda system: system.name)
def test_balanced_flow_is_of_order_two_by_differences(system):
    points = (48, 72)
    coarse, fine = balanced_errors(system, Differences(), points)
    for field, error in fine.items():
        slope = order_of((coarse[field], error), points)
        assert slope == pytest.approx(2, abs=0.1), field


@pytest.mark.parametrize("make", [advection, diffusion, tensor_diffusion, wave])
def test_dimensions_are_one_two_or_three(make):
    with pytest.raises(InputError, match="1, 2 or 3"):
        make(4)
