"""Equations, or a network, that have variance and aspect among their fields."""

from itertools import combinations_with_replacement
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from tendency.cell import AbstractCell, Carry
from tendency.errors import InputError
from tendency.forecasting import forecast
from tendency.propagation.method import AbstractPropagation, Setting


class Parametric(AbstractPropagation):
    """A cell whose state names variances and aspects: the parametric Kalman filter.

    Of a field alone `V` is the variance and `nu` the aspect, √(2ν) being the length of
    the correlation; of several fields u has `V_u` and `nu_u`; in two dimensions the
    aspects end in the coordinates, `nu_xx`, `nu_xy` and `nu_yy`: as `symbolic.moments`
    names them, and the length along x is √(2(ν_xx - ν_xy²/ν_yy)). The prior is a state,
    or a carry.

    Arguments:
        coordinates: of space, in the order of the axes.
    """

    coordinates: tuple[str, ...] = eqx.field(static=True, default=("x",))
    finite = ("mean", "variance", "length")  # a negative aspect has no length

    def begin(self, cell: AbstractCell, prior: Any, setting: Setting) -> Carry:
        state = prior.state if isinstance(prior, Carry) else prior
        if not isinstance(state, dict) or not _means(state):
            raise InputError(
                "the prior of Parametric is a state with the fields of moments, a "
                'mapping like {"u": ..., "V": ..., "nu": ...}: derive the equations '
                "with symbolic.moments"
            )
        for name in _means(state):
            for needed in (self._variance(name, state), *self._aspects(name, state)):
                if needed not in state:
                    raise InputError(
                        f"the prior has the fields {', '.join(sorted(state))}, and no "
                        f"{needed}, the variance or aspect of {name}: add it, or name "
                        "the coordinates, Parametric(coordinates=...)"
                    )
        return prior if isinstance(prior, Carry) else cell.init(prior)

    def run(self, cell: AbstractCell, start: Carry, setting: Setting) -> dict[str, Any]:
        end, states = forecast(
            cell,
            start,
            setting.steps,
            setting.forcing,
            every=setting.every,
            key=setting.key,
        )
        states = jax.tree.map(
            lambda a, b: jnp.concatenate([a[None], b]), start.state, states
        )
        means = _means(states)
        variance = {name: states[self._variance(name, states)] for name in means}
        length = {name: self._lengths(name, states) for name in means}
        mean = {name: states[name] for name in means}
        return {"mean": mean, "variance": variance, "length": length, "final": end}

    def _variance(self, name: str, state: dict[str, Array]) -> str:
        return "V" if len(_means(state)) == 1 else f"V_{name}"

    def _aspects(self, name: str, state: dict[str, Array]) -> list[str]:
        """The names of ν: one, or that of each pair of coordinates."""
        head = "nu" if len(_means(state)) == 1 else f"nu_{name}"
        if len(self.coordinates) == 1:
            return [head]
        pairs = combinations_with_replacement(self.coordinates, 2)
        return [f"{head}_{a}{b}" for a, b in pairs]

    def _lengths(self, name: str, states: dict[str, Array]) -> Array:
        """Along each axis; no number where the aspect is not positive.

        That of the metric ν⁻¹/2, as ensembles tell it, and not √(2 ν_xx), which is
        longer where the axes of the correlation are turned.
        """
        found = [states[one] for one in self._aspects(name, states)]
        if len(self.coordinates) == 1:
            return jnp.sqrt(2 * found[0])[:, None]
        xx, xy, yy = found
        fine = (xx > 0) & (xx * yy > xy**2)
        along = (xx - xy**2 / yy, yy - xy**2 / xx)
        both = jnp.sqrt(2 * jnp.stack(along, 1))
        return jnp.where(fine[:, None], both, jnp.full_like(both, jnp.nan))


def _means(state: dict[str, Array]) -> list[str]:
    """The fields that are neither variances nor aspects."""
    heads = ("V", "nu")
    return [n for n in state if n not in heads and n.split("_")[0] not in heads]
