"""Where the energy comes from and where it goes."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from tendency.cell import Carry
from tendency.studies.quasigeostrophic.setting import Flow
from tendency.symbolic.fourier import InFourierSpace
from tendency.symbolic.generated import State

Means = dict[str, Float[Array, ""]]
ENERGIES = ("kinetic", "potential")
RATES = ("conversion", "drag", "filter")


class Observed(eqx.Module):
    """What is saved of a carry: the state, its energy and what changes the energy.

    Per unit of mass, with h₁ = δ / (1 + δ) and h₂ = 1 / (1 + δ) of the depth:
    kinetic ½ Σ hᵢ |∇ψᵢ|² and available potential ½ h₁ F₁ (ψ₁ - ψ₂)² [m² / s²];
    conversion from the sheared flow h₁ F₁ (U₁ - U₂) ψ₁ ∂ψ₂/∂x, bottom drag
    -h₂ r |∇ψ₂|², and what the filter of small scales takes in a step, over its length
    [m² / s³]; all are means over the box.
    """

    cell: InFourierSpace
    flow: Flow

    def __call__(self, carry: Carry) -> tuple[State, Means]:
        rates = self.rates(carry.state) | {"filter": self.filtered(carry)}
        surface = {"surface": self.surface_energy(carry.state)}
        return carry.state, self.energies(carry.state) | rates | surface

    def energies(self, state: State) -> Means:
        one, two = self.flow.stream(state)
        upper, lower = self._thickness
        kinetic = upper * self._speed2(one) + lower * self._speed2(two)
        between = self.flow.on_grid(one - two)
        potential = upper * self.flow.coupling[0] * jnp.mean(between**2)
        return {"kinetic": kinetic / 2, "potential": potential / 2}

    def rates(self, state: State) -> Means:
        """Of conversion and of drag."""
        one, two = self.flow.stream(state)
        upper, lower = self._thickness
        kx, _ = self.flow.wavenumbers
        slope = self.flow.on_grid(1j * kx * two)
        setting = self.flow.setting
        factor = upper * self.flow.coupling[0] * setting.shear
        return {
            "conversion": factor * jnp.mean(self.flow.on_grid(one) * slope),
            "drag": -lower * setting.bottom_drag * self._speed2(two),
        }

    def filtered(self, carry: Carry) -> Float[Array, ""]:
        """What the filter takes in the next step."""
        cell = self.cell
        bare = InFourierSpace(cell.tendency, cell.dt, cell.scheme)
        before = self.energies(bare.step(carry).state)
        after = self.energies(cell.step(carry).state)
        return sum((after[e] - before[e] for e in ENERGIES), jnp.zeros(())) / cell.dt

    def surface_energy(self, state: State) -> Float[Array, ""]:
        """The kinetic energy of the upper layer [m² / s²]."""
        return self._speed2(self.flow.stream(state)[0]) / 2

    @property
    def _thickness(self) -> tuple[float, float]:
        ratio = self.flow.setting.thickness_ratio
        return ratio / (1 + ratio), 1 / (1 + ratio)

    def _speed2(self, stream) -> Float[Array, ""]:
        kx, ky = self.flow.wavenumbers
        u, v = self.flow.on_grid(1j * ky * stream), self.flow.on_grid(1j * kx * stream)
        return jnp.mean(u**2 + v**2)
