"""Floor 1: cells and tendencies made of others.

`Sum` adds tendencies (a physical one and a learned closure), `Ring` is one tendency at
all points of a circle, `Augmented` moves chosen parameters of a cell into its memory so
that an assimilation estimates them, `Perturbed` makes any cell stochastic, as does
`PatternNoise` with errors that hang together, and `Latent` steps the few numbers that
an auto-encoder makes of a state.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from tendency.cell import AbstractCell, Carry, Constant, Tendency, differs
from tendency.errors import InputError


class Sum(eqx.Module):
    """The sum of several tendencies of one state, say physics and a closure."""

    terms: tuple[Tendency, ...]

    def __init__(self, *terms: Tendency):
        self.terms = terms

    def __call__(self, state: PyTree[Array], forcing: PyTree = None) -> PyTree[Array]:
        parts = [term(state, forcing) for term in self.terms]
        return jax.tree.map(lambda *leaves: sum(leaves[1:], leaves[0]), *parts)


class Ring(eqx.Module):
    """The same tendency at every point of a circle, forced by the points beside it.

        dxᵢ/dt = f(xᵢ; xᵢ₋ᵣ, ..., xᵢ₋₁, xᵢ₊₁, ..., xᵢ₊ᵣ), periodic in i.

    What is learned of one point is learned of all: the parameters are as few as f has.
    The neighbours, `2 reach` numbers, are the forcing of `tendency`, whose state is one
    number: `MLP(1, width, forcing_size=4)`, or a `SparseTendency` that is `forced`, has
    a reach of 2. A forcing given to the step follows them, the same at all points.

    Raises:
        InputError: a reach below 1; a state of fewer points than a window has.
    """

    tendency: Tendency
    reach: int = eqx.field(static=True)  # [points]

    def __check_init__(self):
        if self.reach < 1:
            raise InputError(
                f"the reach of a ring is {self.reach} points, at least 1 was expected"
            )

    def around(self, state: Float[Array, " n"]) -> Float[Array, "n beside"]:
        """The neighbours of each point."""
        if state.shape[0] < 2 * self.reach + 1:
            raise InputError(
                f"the ring has {state.shape[0]} points and a reach of {self.reach}, at "
                f"least {2 * self.reach + 1} points were expected: reach less far"
            )
        shifts = [k for k in range(-self.reach, self.reach + 1) if k]
        return jnp.stack([jnp.roll(state, -k) for k in shifts], axis=1)

    def __call__(
        self, state: Float[Array, " n"], forcing: Float[Array, " m"] | None = None
    ) -> Float[Array, " n"]:
        def one(x, beside):
            if forcing is not None:
                beside = jnp.concatenate([beside, forcing])
            return self.tendency(x[None], beside)[0]

        return jax.vmap(one)(state, self.around(state))


class Augmented(AbstractCell):
    """A cell that keeps chosen parameters in its memory, constant in time.

    A filter that recombines the whole carry then estimates state and parameters
    together (state augmentation). `where(cell)` picks the parameters as for
    `equinox.tree_at`: one leaf, or a tuple of leaves.
    """

    cell: AbstractCell
    where: Callable[[Any], Any] = eqx.field(static=True)

    @property
    def dt(self) -> float:
        return self.cell.dt

    @property
    def spin_up_steps(self) -> int:
        return self.cell.spin_up_steps

    def init(self, state: PyTree[Array]) -> Carry:
        return Carry(state, (self.cell.init(state).memory, self.where(self.cell)))

    def step(
        self, carry: Carry, forcing: PyTree = None, *, key: PRNGKeyArray | None = None
    ) -> Carry:
        memory, parameters = carry.memory
        cell = eqx.tree_at(self.where, self.cell, parameters)
        new = cell.step(Carry(carry.state, memory), forcing, key=key)
        return Carry(new.state, (new.memory, parameters))


class Perturbed(AbstractCell):
    """A cell with additive Gaussian model error: x' = step(x) + std √dt ε, ε ~ N(0, I).

    `std` broadcasts against the state [units of the state per square root of time];
    it is the diffusion of an Itô equation under Euler-Maruyama. With `key=None` the
    step is the wrapped cell's.
    """

    cell: AbstractCell
    std: Constant

    def __init__(self, cell: AbstractCell, std: float | Array):
        self.cell = cell
        self.std = Constant(jnp.asarray(std))

    @property
    def dt(self) -> float:
        return self.cell.dt

    @property
    def spin_up_steps(self) -> int:
        return self.cell.spin_up_steps

    def init(self, state: PyTree[Array]) -> Carry:
        return self.cell.init(state)

    def step(
        self, carry: Carry, forcing: PyTree = None, *, key: PRNGKeyArray | None = None
    ) -> Carry:
        if key is None:
            return self.cell.step(carry, forcing)
        leaves = jax.tree.leaves(carry.state)
        key, *keys = jax.random.split(key, 1 + len(leaves))
        new = self.cell.step(carry, forcing, key=key)
        leaves, structure = jax.tree.flatten(new.state)
        scale = self.std.value * self.dt**0.5
        noisy = [
            x + (scale * jax.random.normal(k, x.shape, x.dtype)).astype(x.dtype)
            for x, k in zip(leaves, keys, strict=True)
        ]
        return Carry(jax.tree.unflatten(structure, noisy), new.memory)


class PatternNoise(AbstractCell):
    """A cell whose model error has patterns: x' = step(x) + √dt Σₖ εₖ Pₖ, ε ~ N(0, I).

    The covariance of the error of a step is dt Σ P Pᵀ: give the empirical orthogonal
    functions of what the cell missed, each as large as it was. With `key=None` the step
    is the wrapped cell's.
    """

    cell: AbstractCell
    patterns: Constant  # (mode, *state) [units of the state per square root of time]

    def __init__(self, cell: AbstractCell, patterns: Float[Array, "mode *state"]):
        self.cell, self.patterns = cell, Constant(jnp.asarray(patterns))

    @property
    def dt(self) -> float:
        return self.cell.dt

    @property
    def spin_up_steps(self) -> int:
        return self.cell.spin_up_steps

    def init(self, state: Float[Array, "*state"]) -> Carry:
        return self.cell.init(state)

    def step(
        self, carry: Carry, forcing: PyTree = None, *, key: PRNGKeyArray | None = None
    ) -> Carry:
        if key is None:
            return self.cell.step(carry, forcing)
        key, drawn = jax.random.split(key)
        new = self.cell.step(carry, forcing, key=key)
        patterns = self.patterns.value
        amplitudes = jax.random.normal(drawn, patterns.shape[:1], patterns.dtype)
        noise = self.dt**0.5 * jnp.tensordot(amplitudes, patterns, axes=1)
        return Carry(new.state + noise.astype(new.state.dtype), new.memory)


class Latent(AbstractCell):
    """x' = D(f(E(x))): a cell of few numbers between an encoder and a decoder.

    A state that is not the last prediction was inserted (spin-up, an analysis, a
    perturbation) and is encoded; from a prediction the latent cell goes on where it
    was, so that what the decoder loses is lost once. The memory holds the latent carry
    and the last prediction, which a difference within rounding keeps. With empirical
    orthogonal functions it is the linear case.

    Arguments:
        codec: has `encode(state) -> z` and `decode(z) -> state`.
        cell: of z.
        scale: the size of a difference that tells an insertion, times rounding [units
            of the state].
    """

    codec: Any
    cell: AbstractCell
    scale: Constant

    def __init__(self, codec: Any, cell: AbstractCell, *, scale: float | Array = 1.0):
        self.codec, self.cell = codec, cell
        self.scale = Constant(jnp.asarray(scale))

    @property
    def dt(self) -> float:
        return self.cell.dt

    @property
    def spin_up_steps(self) -> int:
        return self.cell.spin_up_steps

    def init(self, state: Float[Array, "*state"]) -> Carry:
        return Carry(state, (self.cell.init(self.codec.encode(state)), state))

    def step(
        self, carry: Carry, forcing: PyTree = None, *, key: PRNGKeyArray | None = None
    ) -> Carry:
        held, predicted = carry.memory
        scale = self.scale.value.astype(predicted.dtype)
        inserted = differs(carry.state, predicted, scale)
        z = jax.tree.map(
            lambda new, old: jnp.where(inserted, new, old),
            self.codec.encode(carry.state),
            held.state,
        )
        held = self.cell.step(Carry(z, held.memory), forcing, key=key)
        new = self.codec.decode(held.state).astype(carry.state.dtype)
        return Carry(new, (held, new))
