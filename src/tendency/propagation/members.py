"""The moments of an ensemble that never is in memory as a whole."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from tendency.assimilation.kalman import row_of
from tendency.assimilation.prior import Gaussian
from tendency.cell import AbstractCell, Carry
from tendency.errors import InputError
from tendency.forecasting import forecast
from tendency.grid import Grid
from tendency.propagation.method import AbstractPropagation, Setting, root_of
from tendency.propagation.propagated import beside, length_of


class Sums(eqx.Module):
    """Of some members: their number, mean, and sums of products of anomalies."""

    count: Float[Array, ""]
    mean: PyTree[Array]
    squares: PyTree[Array]
    products: list[PyTree[Array]]  # of the neighbours on either side, by axis

    @classmethod
    def of(cls, states: PyTree[Array], weights: Array, grid: Grid | None) -> "Sums":
        """Of members of weight 1; those of weight 0 do not count."""
        count = weights.sum()

        def total(x):
            w = weights.reshape(-1, *[1] * (x.ndim - 1)).astype(x.dtype)
            return jnp.where(w > 0, x, jnp.zeros_like(x)).sum(0)

        mean = jax.tree.map(lambda x: total(x) / count.astype(x.dtype), states)
        apart = jax.tree.map(lambda x, m: x - m[None], states, mean)
        products = [
            jax.tree.map(lambda pair: total(pair[0] * pair[1]), axis)
            for axis in beside(apart, grid)
        ]
        return cls(count, mean, jax.tree.map(lambda x: total(x**2), apart), products)

    def joined(self, other: "Sums", grid: Grid | None) -> "Sums":
        """Of both: Chan, Golub & LeVeque (1983, Am. Stat. 37, 242), equation 2.1."""
        count = self.count + other.count
        share = other.count / count
        weight = self.count * share
        gap = jax.tree.map(jnp.subtract, other.mean, self.mean)
        mean = jax.tree.map(lambda m, g: m + share.astype(m.dtype) * g, self.mean, gap)

        def sum_of(a, b, product):
            return a + b + weight.astype(a.dtype) * product

        squares = jax.tree.map(
            sum_of, self.squares, other.squares, jax.tree.map(jnp.square, gap)
        )
        products = [
            jax.tree.map(lambda a, b, p: sum_of(a, b, p[0] * p[1]), mine, theirs, pair)
            for mine, theirs, pair in zip(
                self.products, other.products, beside(gap, grid), strict=True
            )
        ]
        return Sums(count, mean, squares, products)


class Source(eqx.Module):
    """Where members come from: drawn about a mean, by a function, or given."""

    mean: Any = None
    root: Float[Array, "n n"] | None = None  # of the covariance, by columns
    ensemble: Any = None
    draw: Callable[[PRNGKeyArray], PyTree[Array]] | None = eqx.field(
        static=True, default=None
    )

    def member(self, cell: AbstractCell, index: Array, key: Any) -> Carry:
        """One of them."""
        if self.ensemble is not None:
            return jax.tree.map(lambda x: x[index], self.ensemble)
        if self.draw is not None:
            return cell.init(self.draw(key))
        row, carry_of = row_of(self.mean)
        assert self.root is not None
        white = jax.random.normal(key, row.shape, row.dtype)
        return carry_of(row + self.root.astype(row.dtype) @ white)


class Members(AbstractPropagation):
    """An ensemble in batches, of which the moments alone are kept.

    Memory is that of one batch, whatever the size. The relative sampling error of a
    variance is √(2/(N-1)), `Propagated.sampling_error`. A stochastic cell draws for
    each member where there is a key; of a given ensemble without one it takes its mean
    step.

    The prior is a `Gaussian`, an ensemble, or a function from a key to a state, defined
    once, for fields whose covariance is too large for a matrix.

    Arguments:
        size: how many members; that of the ensemble where one is given.
        batch: how many at a time.
        within: the relative sampling error of variances that is accepted.

    Raises:
        InputError: fewer than two members, or fewer than `within` asks for.
    """

    size: int | None = eqx.field(static=True, default=None)
    batch: int = eqx.field(static=True, default=256)
    within: float | None = eqx.field(static=True, default=None)

    def __check_init__(self):
        if self.batch < 1:
            raise InputError(
                f"batches of {self.batch} were asked for, 1 or more expected"
            )
        if self.size is not None:
            self._check(self.size)

    def _check(self, size: int) -> None:
        if size < 2:
            raise InputError(f"{size} members have no variance: give 2 or more")
        error = (2 / (size - 1)) ** 0.5
        if self.within is not None and error > self.within:
            raise InputError(
                f"of {size} members a variance errs by {error:.2g} of itself, and "
                f"{self.within:g} was asked for: give {int(2 / self.within**2) + 2} "
                "members"
            )

    def begin(self, cell: AbstractCell, prior: Any, setting: Setting) -> Source:
        if isinstance(prior, Carry):
            size = jax.tree.leaves(prior)[0].shape[0]
            self._check(size)
            if self.size not in (None, size):
                raise InputError(
                    f"{self.size} members were asked for and the ensemble has {size}: "
                    "leave the size out"
                )
            return Source(ensemble=prior)
        if self.size is None:
            raise InputError("the number of members is missing: give Members(size=...)")
        if setting.key is None:
            raise InputError("members are drawn at random: give a key")
        if isinstance(prior, Gaussian):
            return Source(prior.mean, root_of(prior.covariance))
        if callable(prior):
            return Source(draw=prior)
        raise InputError(
            f"the prior is of the type {type(prior).__name__}, a Gaussian, an ensemble "
            "or a function from a key to a state was expected"
        )

    def run(
        self, cell: AbstractCell, start: Source, setting: Setting
    ) -> dict[str, Any]:
        size = self.size or jax.tree.leaves(start.ensemble)[0].shape[0]
        batches = -(-size // self.batch)
        draw_key = run_key = None
        if setting.key is not None:
            draw_key, run_key = jax.random.split(setting.key)

        def one(index):
            index = jnp.minimum(index, size - 1)
            of = None if draw_key is None else jax.random.fold_in(draw_key, index)
            noise = None if run_key is None else jax.random.fold_in(run_key, index)
            first = start.member(cell, index, of)
            _, states = forecast(
                cell,
                first,
                setting.steps,
                setting.forcing,
                every=setting.every,
                key=noise,
            )
            return jax.tree.map(
                lambda a, b: jnp.concatenate([a[None], b]), first.state, states
            )

        def sums(number):
            index = number * self.batch + jnp.arange(self.batch)
            states = jax.vmap(one)(index)
            real = jnp.result_type(*jax.tree.leaves(states))
            return Sums.of(states, (index < size).astype(real), setting.grid)

        def add(so_far, number):
            return so_far.joined(sums(number), setting.grid), None

        found, _ = jax.lax.scan(add, sums(jnp.zeros((), int)), jnp.arange(1, batches))
        scale = 1 / (found.count - 1)
        variance = jax.tree.map(lambda s: s * scale.astype(s.dtype), found.squares)
        told = {"mean": found.mean, "variance": variance, "members": size}
        if (grid := setting.grid) is not None:
            products = [
                jax.tree.map(lambda p: p * scale.astype(p.dtype), axis)
                for axis in found.products
            ]
            lengths = jax.vmap(lambda p, v: length_of(p, v, grid))
            told["length"] = lengths(products, variance)
        return told
