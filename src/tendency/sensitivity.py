"""Floor 2: the tangent-linear model and its adjoint, of any cell.

Derivatives are exact (automatic): a perturbation of the carry is carried forward with
the forecast, a sensitivity backward along it. Both are linear in what is carried, and
are written for one: batch with `jax.vmap`.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from tendency.cell import AbstractCell, Carry
from tendency.errors import InputError
from tendency.forecasting import forecast


def tangent_linear(
    cell: AbstractCell,
    carry: Carry,
    perturbation: Carry,
    steps: int,
    forcing: PyTree[Array] = None,
) -> Carry:
    """M δ: what a small perturbation of the carry becomes after `steps`.

    Arguments:
        carry: where the forecast starts that M is the derivative of.
        perturbation: of each array of the carry, `Carry(state)` where it has no memory;
            counters and the like have none, what stands in their place is not read.
        forcing: as for `forecast`.

    Raises:
        InputError: the perturbation has another structure than the carry.
    """
    _same_structure(carry, perturbation, "perturbation", "the carry")
    return _tangent(cell, carry, perturbation, forcing, steps)


def adjoint(
    cell: AbstractCell,
    carry: Carry,
    sensitivity: Carry,
    steps: int,
    forcing: PyTree[Array] = None,
) -> Carry:
    """Mᵀ λ: what a scalar's sensitivity to the end says of the start.

    λ is the gradient of the scalar with respect to the carry after `steps`, Mᵀ λ that
    with respect to `carry`, so that <λ, M δ> = <Mᵀ λ, δ>. The forecast is recomputed
    in segments on the way back: memory grows with the root of `steps`.

    Arguments: as `tangent_linear`.

    Raises:
        InputError: the sensitivity has another structure than the carry.
    """
    _same_structure(carry, sensitivity, "sensitivity", "the carry")
    return _adjoint(cell, carry, sensitivity, forcing, steps)


@eqx.filter_jit
def _tangent(cell, carry, perturbation, forcing, steps):
    run, moving, fixed = _split(cell, carry, forcing, steps)
    change = eqx.filter(perturbation, jax.tree.map(eqx.is_inexact_array, carry))
    return _whole(jax.jvp(run, (moving,), (change,))[1], fixed)


@eqx.filter_jit
def _adjoint(cell, carry, sensitivity, forcing, steps):
    run, moving, fixed = _split(cell, carry, forcing, steps)
    change = eqx.filter(sensitivity, jax.tree.map(eqx.is_inexact_array, carry))
    return _whole(jax.vjp(run, moving)[1](change)[0], fixed)


def _split(cell, carry, forcing, steps):
    moving, fixed = eqx.partition(carry, eqx.is_inexact_array)

    def run(moving):
        start = eqx.combine(moving, fixed)
        end, _ = forecast(cell, start, steps, forcing, save=_nothing, checkpoint=True)
        return eqx.filter(end, eqx.is_inexact_array)

    return run, moving, fixed


def _nothing(carry: Carry) -> tuple[()]:
    return ()


def _whole(moving: Any, fixed: Any) -> Carry:
    """Zero where nothing can be perturbed."""
    return eqx.combine(moving, jax.tree.map(jnp.zeros_like, fixed))


def _same_structure(carry: Carry, other: Carry, what: str, expected: str) -> None:
    shapes = [
        jax.tree.map(jnp.shape, eqx.filter(tree, eqx.is_array_like))
        for tree in (carry, other)
    ]
    if jax.tree.structure(carry) != jax.tree.structure(other) or not all(
        jax.tree.leaves(jax.tree.map(lambda a, b: a == b, *shapes))
    ):
        raise InputError(
            f"the {what} holds {_told(other)} and {expected} {_told(carry)}: give an "
            "array of the same shape for each of them"
        )


def _told(carry: Carry) -> str:
    leaves = jax.tree_util.tree_leaves_with_path(carry)
    each = [f"{jax.tree_util.keystr(path)} {jnp.shape(x)}" for path, x in leaves]
    return ", ".join(each) or "nothing"
