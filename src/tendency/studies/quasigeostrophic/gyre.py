"""A closed basin under the wind: two gyres, and between them a jet that sheds rings."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from tendency.cell import Carry
from tendency.forecasting import forecast
from tendency.grid import Axis, Grid
from tendency.integrate import Integrated, adams_bashforth3
from tendency.physics.double_gyre import WALLS, double_gyre, wall_mode
from tendency.studies.quasigeostrophic.setting import DAY, GRAVITY
from tendency.symbolic.generated import Generated, State, generate

CASE = "gyre"
ENERGIES = ("kinetic", "potential")
RATES = ("wind", "drag", "friction", "walls")
Fields = dict[str, Float[Array, "y x"]]
Means = dict[str, Float[Array, ""]]


class Basin(NamedTuple):
    """The setting, and how much of everything."""

    points: int = 128  # along each side
    length: float = 2.56e6  # [m]
    upper_depth: float = 500.0  # [m]
    lower_depth: float = 3_500.0  # [m]
    reduced_gravity: float = 0.022  # [m / s²]
    coriolis: float = 9.3e-5  # [1 / s]
    beta: float = 1.8e-11  # [1 / (m s)]
    wind_stress: float = 1e-4  # over the density [m² / s²]
    friction: float = 1e11  # biharmonic [m⁴ / s]
    bottom_drag: float = 1e-7  # [1 / s]
    dt: float = 3_600.0  # [s]
    spin_up: int = 20 * 360  # [days]
    days: int = 5 * 360  # of diagnostics
    every: int = 5  # days between two states

    @property
    def grid(self) -> Grid:
        """The basin, y before x."""
        axes = (Axis(c, self.points, 0.0, self.length, periodic=False) for c in "yx")
        return Grid.of(*axes)

    @property
    def steps_a_day(self) -> int:
        return round(DAY / self.dt)


GYRE = Basin()
# A coarse grid holds the western boundary current only if friction widens it.
SMALL_GYRE = Basin(points=48, friction=6e12, spin_up=3 * 360, days=360, every=10)


class Model(NamedTuple):
    """The cell, and what makes its diagnostic fields."""

    cell: Integrated
    diagnose: Generated


def model(basin: Basin) -> Model:
    """Central differences with Arakawa's Jacobian, Adams-Bashforth 3."""
    system = double_gyre(
        length=basin.length,
        upper_depth=basin.upper_depth,
        lower_depth=basin.lower_depth,
        reduced_gravity=basin.reduced_gravity,
        coriolis=basin.coriolis,
        beta=basin.beta,
        wind_stress=basin.wind_stress,
        friction=basin.friction,
        bottom_drag=basin.bottom_drag,
    )
    grid = basin.grid
    constants = wall_mode(system, grid)
    both = (
        generate(system, grid, boundaries=WALLS, constants=constants, diagnostics=yes)
        for yes in (False, True)
    )
    tendency, diagnose = both
    return Model(Integrated(tendency, basin.dt, adams_bashforth3), diagnose)


class Observed(eqx.Module):
    """What is saved of a carry: the sea surface, the vorticity, energies and rates.

    The surface is f₀ ψ₁ / g [m], the vorticity that of the upper layer over f₀ [1].
    Per unit of mass, hᵢ the layer's part of the depth: kinetic energy ½ Σ hᵢ |∇ψᵢ|²,
    available potential energy ½ h₁ F₁ (ψ₁ - ψ₂)² [m² / s²]; the work of the wind,
    bottom drag -h₂ r |∇ψ₂|², friction -A Σ hᵢ |∇∇²ψᵢ|² and what the differences of
    β ∂ψ/∂x make at the western and the eastern wall, of second order in the grid step
    [m² / s³]; and the volume that the upper layer has gained, the mean of ψ₁ - ψ₂ over
    its deviation [1].
    """

    diagnose: Generated

    def __call__(self, carry: Carry) -> tuple[Fields, Means]:
        found, p = self.diagnose(carry.state), self.diagnose.parameters
        chi = self.diagnose.constants.value["chi"]
        between = found["phi0"] + found["C"] * (1 + chi)
        share = {1: p["h1"], 2: p["h2"]}
        psi, zeta, lap = (
            {i: found[f"{name}{i}"] for i in share} for name in ("psi", "zeta", "lap")
        )
        y = jnp.asarray(self._northward, chi.dtype)[:, None]
        wind = p["wind"] * jnp.sin(2 * jnp.pi * y)
        means = {
            "kinetic": -sum(h * jnp.mean(psi[i] * zeta[i]) for i, h in share.items())
            / 2,
            "potential": p["h1"] * p["F1"] * jnp.mean(between**2) / 2,
            "wind": p["h1"] * jnp.mean(psi[1] * wind),
            "drag": p["h2"] * p["r"] * jnp.mean(psi[2] * zeta[2]),
            "friction": p["A"]
            * sum(h * jnp.mean(zeta[i] * lap[i]) for i, h in share.items()),
            "walls": p["beta"]
            * sum(
                h * jnp.mean(psi[i][:, 0] ** 2 - psi[i][:, -1] ** 2)
                for i, h in share.items()
            )
            / (2 * p["L"]),
            "volume": jnp.mean(between) / jnp.std(between),
        }
        return {"top": psi[1] + p["h2"] * found["C"], "zeta": zeta[1]}, means

    @property
    def _northward(self) -> Float[np.ndarray, " y"]:
        """From 0 to 1, on the cells."""
        points = self.diagnose.constants.value["chi"].shape[0]
        return (np.arange(points) + 0.5) / points


class Run(NamedTuple):
    """The basin after its spin-up."""

    height: Float[np.ndarray, "time y x"]  # [m]
    vorticity: Float[np.ndarray, "time y x"]  # over f₀
    means: dict[str, Float[np.ndarray, " time"]]


def simulate(basin: Basin, seed: int) -> Run:
    """From weak noise to gyres that vary."""
    cell, diagnose = model(basin)
    key = jax.random.key(seed)
    noise = 1e-7 * jax.random.normal(key, (2, basin.points, basin.points))
    carry = cell.init(_state(noise))
    before = basin.spin_up * basin.steps_a_day
    carry, _ = forecast(cell, carry, before, every=before)
    every = basin.every * basin.steps_a_day
    steps = basin.days * basin.steps_a_day
    _, saved = forecast(cell, carry, steps, save=Observed(diagnose), every=every)
    fields, means = jax.tree.map(np.asarray, saved)
    scale = basin.coriolis / GRAVITY
    return Run(fields["top"] * scale, fields["zeta"] / basin.coriolis, means)


def _state(q: Float[Array, "layer y x"]) -> State:
    return {"q1": q[0], "q2": q[1]}


def residual(ran: Run, basin: Basin) -> float:
    """What the energy changed by and no term accounts for [m² / s³]."""
    energy = np.sum([ran.means[name] for name in ENERGIES], axis=0)
    times = len(energy) - 1
    change = (energy[-1] - energy[0]) / (times * basin.every * DAY)
    return float(change - sum(np.trapezoid(ran.means[n]) / times for n in RATES))
