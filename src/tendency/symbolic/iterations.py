"""Floor 1: linear equations on a grid, solved by iterations.

Conjugate gradients, or BiCGSTAB where the operator is not symmetric; derivatives go
through the equation and not through the iterations.
"""

from collections.abc import Callable

import jax.numpy as jnp
from jax.scipy.sparse.linalg import bicgstab, cg
from jaxtyping import Array


def solved(
    operator: Callable[[Array], Array],
    right: Array,
    water: Array | None,
    symmetric: bool,
    singular: bool,
) -> Array:
    """The x of operator(x) = right; not a number where the iterations do not arrive.

    Arguments:
        right: over the grid.
        water: 1 where there is an equation, 0 on land; None is water everywhere.
        singular: constants are in the kernel: x has no mean, and that of `right` is
            left out.
    """
    wet = jnp.ones_like(right) if water is None else water

    def without_mean(a: Array) -> Array:
        return wet * (a - jnp.sum(wet * a) / jnp.sum(wet)) if singular else wet * a

    goal = without_mean(right)
    rounding = float(jnp.finfo(goal.dtype).eps)
    method = cg if symmetric else bicgstab
    x, _ = method(operator, goal, tol=100 * rounding, maxiter=10 * goal.size)
    left = jnp.linalg.norm(operator(x) - goal)
    arrived = left <= rounding**0.6 * jnp.linalg.norm(goal)
    return without_mean(x) * jnp.where(arrived, 1.0, jnp.nan).astype(x.dtype)
