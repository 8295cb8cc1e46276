"""Equations, or a network, that have variance and aspect among their fields."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from tendency.cell import AbstractCell, Carry
from tendency.errors import InputError
from tendency.forecasting import forecast
from tendency.propagation.method import AbstractPropagation, Setting


class Parametric(AbstractPropagation):
    """A cell whose state names variances and aspects: the parametric Kalman filter.

    Of a field alone `V` is the variance and `nu` the aspect (along each axis `nu_xx`,
    `nu_yy`), √(2ν) being the length of the correlation; of several fields u has `V_u`
    and `nu_u`: as `symbolic.moments` names them. The prior is a state, or a carry.
    """

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
            for letter in ("V", "nu"):
                if not _of(letter, name, state):
                    raise InputError(
                        f"the prior has the fields {', '.join(sorted(state))}, and no "
                        f"variance or aspect of {name}: add V and nu"
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
        variance = {name: states[_of("V", name, states)[0]] for name in means}
        length = {
            name: jnp.stack(
                [jnp.sqrt(2 * states[nu]) for nu in _of("nu", name, states)], 1
            )
            for name in means
        }
        mean = {name: states[name] for name in means}
        return {"mean": mean, "variance": variance, "length": length, "final": end}


def _means(state: dict[str, Array]) -> list[str]:
    """The fields that are neither variances nor aspects."""
    heads = ("V", "nu")
    return [n for n in state if n not in heads and n.split("_")[0] not in heads]


def _of(letter: str, name: str, state: dict[str, Array]) -> list[str]:
    """The names of its variance or of its aspects along the axes."""
    for head in (letter, f"{letter}_{name}"):
        if head in state:
            return [head]
        own = [n for n in state if n.startswith(f"{head}_") and n[-1:] == n[-2:-1]]
        own = [n for n in own if len(n) == len(head) + 3]
        if own:
            return own
    return []
