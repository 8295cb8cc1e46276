"""A tendency of linear terms and products: the quadratic terms of most fluids."""

from typing import Self

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, DTypeLike, Float, PRNGKeyArray, PyTree

from tendency.cell import Standardisation
from tendency.networks.dense import Dense, at_least, glorot, product
from tendency.networks.scaling import Scaling


class Bilinear(eqx.Module):
    """dz/dt = L z + b + P [(A z + a) ⊙ (B z + c)], of the standardised state z.

    The tendency of the state x = mean + std ⊙ z is std ⊙ dz/dt [units of the state per
    time], so that x keeps its units. With n components any quadratic system can be
    written with n (n + 1) / 2 products; Lorenz-63 needs two. Stepped by a scheme with
    `Integrated` it is the residual network of the source, whose blocks share weights.

    Source: Fablet, Ouala & Herzet (2018, EUSIPCO; arXiv:1712.07003).
    """

    linear: Dense  # L, b
    left: Dense  # A, a
    right: Dense  # B, c
    mixing: Float[Array, "products size"]  # P, transposed
    scaling: Scaling

    def __init__(
        self,
        size: int,
        products: int,
        *,
        standardisation: Standardisation | None = None,
        dtype: DTypeLike | None = None,
        key: PRNGKeyArray,
    ):
        """Glorot weights; without a `standardisation`, z is x.

        Raises:
            InputError: a size is below 1, or not that of the statistics.
        """
        at_least(1, size=size, products=products)
        keys = jax.random.split(key, 4)
        self.linear = Dense(size, size, dtype=dtype, key=keys[0])
        self.left = Dense(size, products, dtype=dtype, key=keys[1])
        self.right = Dense(size, products, dtype=dtype, key=keys[2])
        self.mixing = glorot(keys[3], products, size, dtype)
        std = None if standardisation is None else standardisation.std.value
        self.scaling = Scaling(size, standardisation, std, dtype=dtype)

    @classmethod
    def of(
        cls, samples: Float[Array, "time size"], products: int, *, key: PRNGKeyArray
    ) -> Self:
        """With the size, the statistics and the type of `samples`, time first."""
        samples = jnp.asarray(samples)
        return cls(
            samples.shape[1],
            products,
            standardisation=Standardisation.of(samples),
            dtype=samples.dtype,
            key=key,
        )

    def __call__(
        self, state: Float[Array, " size"], forcing: PyTree = None
    ) -> Float[Array, " size"]:
        z = self.scaling.inputs(state)
        layers = (self.linear, self.left, self.right)  # one product in place of three
        weight = jnp.concatenate([layer.weight for layer in layers], axis=1)
        bias = jnp.concatenate([layer.bias for layer in layers])
        size, ends = len(z), len(z) + len(self.left.bias)
        y = product(z, weight) + bias
        dz = y[:size] + product(y[size:ends] * y[ends:], self.mixing)
        return (self.scaling.output_std.value * dz).astype(state.dtype)

    def coefficients(
        self,
    ) -> tuple[
        Float[Array, " size"], Float[Array, "size size"], Float[Array, "size size size"]
    ]:
        """The c, M, Q of dxᵢ/dt = cᵢ + Σⱼ Mᵢⱼ xⱼ + Σⱼₖ Qᵢⱼₖ xⱼ xₖ.

        Q is symmetric in j and k. Two models are equal where these are; their weights
        may differ. Units are those of the state per time, over its powers.
        """
        left, right, mixing = self.left.weight, self.right.weight, self.mixing
        products = jnp.einsum("jp,kp,pi->ijk", left, right, mixing)
        quadratic = (products + products.transpose(0, 2, 1)) / 2
        linear = (
            self.linear.weight.T
            + jnp.einsum("jp,p,pi->ij", left, self.right.bias, mixing)
            + jnp.einsum("jp,p,pi->ij", right, self.left.bias, mixing)
        )
        constant = self.linear.bias + (self.left.bias * self.right.bias) @ mixing

        per_unit = 1 / self.scaling.state.std.value
        shift = -self.scaling.state.mean.value * per_unit  # z = per_unit x + shift
        by_shift = quadratic @ shift
        constant = constant + (linear + by_shift) @ shift
        linear = (linear + 2 * by_shift) * per_unit[None]
        quadratic = quadratic * per_unit[None, :, None] * per_unit[None, None]
        std = self.scaling.output_std.value
        return std * constant, std[:, None] * linear, std[:, None, None] * quadratic
