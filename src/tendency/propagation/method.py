"""What a way to propagate is."""

import abc
from typing import Any, ClassVar

import equinox as eqx
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from tendency.cell import AbstractCell
from tendency.errors import InputError
from tendency.grid import Grid


class Setting(eqx.Module):
    """What a propagation is asked for besides the model."""

    forcing: PyTree
    key: PRNGKeyArray | None
    steps: int = eqx.field(static=True)
    every: int = eqx.field(static=True)
    grid: Grid | None = eqx.field(static=True)


class AbstractPropagation(eqx.Module):
    """A way to propagate: a small frozen object that holds its settings."""

    finite: ClassVar[tuple[str, ...]] = ("mean", "variance")  # must be numbers

    @abc.abstractmethod
    def begin(self, cell: AbstractCell, prior: Any, setting: Setting) -> Any:
        """What `run` starts from.

        Raises:
            InputError: a prior of another kind, or settings that do not fit.
        """

    @abc.abstractmethod
    def run(self, cell: AbstractCell, start: Any, setting: Setting) -> dict[str, Any]:
        """The fields of `Propagated`, the start included; called under `jit`."""


def root_of(covariance: Float[Array, "n n"]) -> Float[Array, "n n"]:
    """B with B Bᵀ the covariance, columns from the largest variance to the smallest.

    Raises:
        InputError: it has a negative eigenvalue.
    """
    values, vectors = jnp.linalg.eigh(covariance)
    if not isinstance(values, Tracer) and float(values[0]) < -1e-8 * float(values[-1]):
        raise InputError(
            f"the covariance of the prior has the eigenvalue {values[0]:.3g}, none "
            "below zero was expected: give a covariance"
        )
    return (vectors * jnp.sqrt(jnp.maximum(values, 0.0))[None])[:, ::-1]
