"""What a way to propagate is."""

import abc
from typing import Any, ClassVar

import equinox as eqx
from jaxtyping import PRNGKeyArray, PyTree

from tendency.cell import AbstractCell
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
