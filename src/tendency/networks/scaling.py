"""Between the units of a state and the pure numbers that a network reads and gives."""

from typing import Self

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, DTypeLike, Float, PyTree

from tendency.cell import Constant, Standardisation, forcing_at
from tendency.errors import InputError
from tendency.networks.dense import at_least, float_type


class Scaling(eqx.Module):
    """The statistics of what a network reads and of what it gives; none is learned.

    It reads the standardised state, then the forcing: any pytree whose leaves hold
    `forcing_size` numbers in all, in the order of the tree. With a `forcing_size` of
    zero any forcing is left unread. What it gives (a tendency, an increment) is
    multiplied by `output_std`.
    """

    state: Standardisation  # [units of the state]
    output_std: Constant  # [units of what is given]
    forcing: Standardisation | None  # [units of the forcing]
    forcing_size: int = eqx.field(static=True)

    def __init__(
        self,
        size: int,
        state: Standardisation | None = None,
        output_std: Float[Array, "..."] | None = None,
        forcing_size: int = 0,
        forcing: Standardisation | None = None,
        *,
        dtype: DTypeLike | None = None,
    ):
        """Statistics not given are mean zero and standard deviation one.

        Raises:
            InputError: a size is impossible, or not that of the statistics.
        """
        at_least(1, size=size)
        at_least(0, forcing_size=forcing_size)
        dtype = float_type(dtype)
        self.state = _typed(state, "state", size, dtype)
        std = jnp.ones(size) if output_std is None else jnp.asarray(output_std)
        self.output_std = _typed(Standardisation(std, std), "output", size, dtype).std
        self.forcing = (
            None if forcing is None else _typed(forcing, "forcing", forcing_size, dtype)
        )
        self.forcing_size = forcing_size

    @classmethod
    def of_network(
        cls,
        reads: int,
        gives: int,
        state: Standardisation | None,
        increment_std: Float[Array, "..."] | None,
        forcing: Standardisation | None,
        *,
        dtype: DTypeLike,
    ) -> Self:
        """For a network that reads a state and a forcing, and gives a state.

        Increments not said to be otherwise are as large as the state's deviation.
        """
        if reads < gives:
            raise InputError(
                f"the network reads {reads} numbers and gives {gives}: it must read a "
                "state as large as it gives, and then the forcing"
            )
        if increment_std is None and state is not None:
            increment_std = state.std.value
        return cls(gives, state, increment_std, reads - gives, forcing, dtype=dtype)

    @property
    def size(self) -> int:
        """The number of components of the state."""
        return self.output_std.value.shape[0]

    def inputs(
        self, state: Float[Array, " size"], forcing: PyTree = None
    ) -> Float[Array, " inputs"]:
        """What the network reads, in its own type; a `Ramp` is read at its start.

        Raises:
            InputError: the forcing does not hold `forcing_size` numbers.
        """
        dtype = self.output_std.value.dtype
        anomaly = self.state.apply(state.astype(dtype))
        if self.forcing_size == 0:
            return anomaly
        values = flat_forcing(forcing, self.forcing_size, dtype)
        values = values if self.forcing is None else self.forcing.apply(values)
        return jnp.concatenate([anomaly, values])

    def after(
        self, state: Float[Array, " size"], y: Float[Array, " size"], increments: bool
    ) -> Float[Array, " size"]:
        """The next state, in the type of `state`, from what a network gives.

        It is state + output_std ⊙ y for an increment, mean + std ⊙ y for a value.
        """
        if increments:
            return state + (self.output_std.value * y).astype(state.dtype)
        return self.state.invert(y).astype(state.dtype)


def flat_forcing(forcing: PyTree, size: int, dtype: DTypeLike) -> Float[Array, " size"]:
    """The numbers of `forcing` at the start of the step, in the order of its tree.

    Raises:
        InputError: there are not `size` of them.
    """
    leaves = jax.tree.leaves(forcing_at(forcing, 0.0))
    found = sum(np.size(leaf) for leaf in leaves)
    if found != size:
        raise InputError(
            f"the forcing of a step holds {found} numbers and the model reads {size}: "
            "give the forcing that it was built for"
        )
    return jnp.concatenate([jnp.ravel(jnp.asarray(leaf, dtype)) for leaf in leaves])


def _typed(
    statistics: Standardisation | None, name: str, size: int, dtype: DTypeLike
) -> Standardisation:
    """`statistics` in `dtype`, one number a component."""
    if statistics is None:
        statistics = Standardisation.identity(size)
    for leaf in jax.tree.leaves(statistics):
        if leaf.shape not in ((), (size,)):
            raise InputError(
                f"the statistics of the {name} have shape {leaf.shape} and the model "
                f"has {size} components of it: give one number each"
            )
    return jax.tree.map(
        lambda leaf: jnp.broadcast_to(leaf, (size,)).astype(dtype), statistics
    )
