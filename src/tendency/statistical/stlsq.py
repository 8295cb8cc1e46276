"""Floor 1: sparse solutions of linear systems, alone (`STLSQ`) or bagged (`Bagging`).

A system has a row per equation, a column per unknown and one or more targets.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from tendency.errors import InputError


class STLSQ(eqx.Module):
    """Sequentially thresholded least squares.

    Fits, drops the unknowns below `threshold`, fits the others again, until none is
    dropped: Brunton, Proctor & Kutz (2016, PNAS 113, 3932), code 1. The last fit is
    without ridge, so that what is kept is not shrunk.

    `ridge` is the weight of |coefficients|² against the mean squared residual. With
    `normalise` both threshold and ridge apply to coefficient times typical size of its
    term, in units of the tendency, and not to the coefficient.

    Raises:
        InputError: a negative threshold or ridge.
    """

    threshold: float | Array = 0.1  # [units of a coefficient, or of the tendency]
    ridge: float | Array = 0.0
    normalise: bool = eqx.field(static=True, default=False)
    iterations: int = eqx.field(static=True, default=20)  # at most

    def __check_init__(self):
        for name, value in (("threshold", self.threshold), ("ridge", self.ridge)):
            if not value >= 0:
                raise InputError(
                    f"the {name} of the sparse regression is {value}, expected zero "
                    "or more: change its sign"
                )

    def __call__(
        self,
        features: Float[Array, "row unknown"],
        targets: Float[Array, "row target"],
        sizes: Float[Array, " unknown"],
        available: Bool[Array, " unknown"] | None = None,
    ) -> Float[Array, "unknown target"]:
        """The sparse solution, target by target; zero marks what was dropped.

        `sizes` are the typical sizes of the terms, `available` those that may be used.
        """
        rows, unknowns = features.shape
        if available is None:
            available = jnp.ones(unknowns, bool)
        system = jnp.concatenate([features, targets], axis=1)
        triangle = jnp.linalg.qr(system, mode="r")  # all that least squares depend on
        a, bs = triangle[:, :unknowns], triangle[:, unknowns:]
        norms = jnp.linalg.norm(a, axis=0)
        norms = jnp.where(norms > 0, norms, jnp.ones_like(norms))
        a = a / norms[None]
        sizes = sizes if self.normalise else jnp.ones_like(sizes)
        penalty = jnp.diag((rows * self.ridge) ** 0.5 * sizes / norms)

        def fit(b, active, penalty):
            left = jnp.concatenate([a * active[None].astype(a.dtype), penalty])
            right = jnp.concatenate([b, jnp.zeros(len(penalty), b.dtype)])
            solution = jnp.linalg.lstsq(left, right)[0] / norms
            return jnp.where(active, solution, jnp.zeros_like(solution))

        def one(b):
            def unfinished(now):
                active, last, count = now
                return jnp.any(active != last) & (count < self.iterations)

            def drop(now):
                active, _, count = now
                large = jnp.abs(fit(b, active, penalty)) * sizes >= self.threshold
                return active & large, active, count + 1

            start = (available, jnp.zeros_like(available), 0)
            active, _, _ = jax.lax.while_loop(unfinished, drop, start)
            return fit(b, active, penalty[:0])

        return jax.vmap(one, in_axes=1, out_axes=1)(bs)


class Bagging(eqx.Module):
    """Ensemble sparse regression: the median over bootstrap samples of the rows.

    A term is kept if at least a fraction `inclusion` of the bags where it was available
    kept it, with the median of its coefficients over those bags. Each bag draws
    `fraction` of the rows with replacement, and leaves out `dropped` terms of the
    library at random (library bagging): Fasel, Kutz, Brunton & Brunton (2022, Proc. R.
    Soc. A 478, 20210904), section 2.

    Raises:
        InputError: fewer than one bag; a fraction or inclusion outside 0 to 1.
    """

    bags: int = eqx.field(static=True, default=100)
    fraction: float = eqx.field(static=True, default=1.0)
    dropped: int = eqx.field(static=True, default=0)
    inclusion: float | Array = 0.6

    def __check_init__(self):
        if self.bags < 1 or self.dropped < 0:
            raise InputError(
                f"bagging got {self.bags} bags with {self.dropped} terms dropped, at "
                "least 1 and 0 were expected: raise them"
            )
        for name, value in (("fraction", self.fraction), ("inclusion", self.inclusion)):
            if not 0 < value <= 1:
                raise InputError(
                    f"the {name} of bagging is {value}, expected above 0 and up to 1: "
                    "choose another"
                )

    def __call__(
        self,
        regression: STLSQ,
        features: Float[Array, "row unknown"],
        targets: Float[Array, "row target"],
        sizes: Float[Array, " unknown"],
        terms: int,
        *,
        key: PRNGKeyArray,
    ) -> tuple[Float[Array, "unknown target"], Float[Array, "unknown target"]]:
        """The solution, and the fraction of the bags that kept each coefficient.

        A library of `terms` terms may stand in the columns several times over, each
        term repeated: it is dropped or kept as a whole.
        """
        rows, unknowns = features.shape
        drawn = max(round(self.fraction * rows), 1)

        def bag(draw):
            index, rank = draw
            available = jnp.repeat(rank >= self.dropped, unknowns // terms)
            solution = regression(features[index], targets[index], sizes, available)
            return jnp.where(available[:, None], solution, jnp.nan)

        row_key, term_key = jax.random.split(key)
        indices = jax.random.randint(row_key, (self.bags, drawn), 0, rows)
        ranks = jax.random.uniform(term_key, (self.bags, terms)).argsort(axis=1)
        solutions = jax.lax.map(bag, (indices, ranks), batch_size=10)
        kept = (solutions != 0) & ~jnp.isnan(solutions)
        offered = jnp.maximum((~jnp.isnan(solutions)).sum(axis=0), 1)
        inclusion = kept.sum(axis=0) / offered
        median = jnp.nan_to_num(jnp.nanmedian(solutions, axis=0))
        enough = inclusion >= self.inclusion
        return jnp.where(enough, median, jnp.zeros_like(median)), inclusion
