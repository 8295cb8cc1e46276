"""Floor 1: numbers kept within bounds by a change of variable."""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from tendency.errors import InputError


class Interval(eqx.Module):
    """The numbers between two bounds, which may be infinite.

    A fit changes z, which has none and a size near one:

        x = s z                     without bounds
        x = lower + s log(1 + eᶻ)   above one
        x = upper - s log(1 + eᶻ)   below one
        x = lower + (upper - lower) / (1 + e⁻ᶻ)   between two

    with a scale s [units of x], as far from the bound as the first guess.
    """

    lower: float = eqx.field(static=True, default=-math.inf)
    upper: float = eqx.field(static=True, default=math.inf)

    def scale(self, x: Any) -> Float[np.ndarray, "*x"]:
        """How large a step is that leaves x of the same size."""
        x = np.asarray(x, float)
        if math.isfinite(self.lower) and math.isfinite(self.upper):
            return np.full(x.shape, self.upper - self.lower)
        if math.isfinite(self.lower) or math.isfinite(self.upper):
            bound = self.lower if math.isfinite(self.lower) else self.upper
            return np.asarray(np.abs(x - bound))
        return np.where(x == 0, 1.0, np.abs(x))

    def to_free(self, x: Any, scale: Any) -> Float[np.ndarray, "*x"]:
        """From numbers within the bounds to z."""
        return np.asarray(self._to_free(np.asarray(x, float), np.asarray(scale)))

    def _to_free(self, x: Any, scale: Any) -> Any:
        if math.isfinite(self.lower) and math.isfinite(self.upper):
            share = (x - self.lower) / scale
            return np.log(share) - np.log1p(-share)
        if math.isfinite(self.lower):
            return _inverse_softplus((x - self.lower) / scale)
        if math.isfinite(self.upper):
            return _inverse_softplus((self.upper - x) / scale)
        return x / scale

    def to_bounded(self, z: Array, scale: Any) -> Array:
        """From z to numbers within the bounds."""
        if math.isfinite(self.lower) and math.isfinite(self.upper):
            return self.lower + scale * jax.nn.sigmoid(z)
        if math.isfinite(self.lower):
            return self.lower + scale * jnp.logaddexp(z, jnp.zeros_like(z))
        if math.isfinite(self.upper):
            return self.upper - scale * jnp.logaddexp(z, jnp.zeros_like(z))
        return scale * z

    def require(self, x: Any, name: str) -> None:
        """That numbers stand within.

        Raises:
            InputError: the bounds are crossed, or a number is not between them.
        """
        if not self.lower < self.upper:
            raise InputError(
                f"{name} has the bounds {self.lower:g} and {self.upper:g}, and the "
                "first was expected below the second"
            )
        x = np.asarray(x, float)
        bad = x[~((x > self.lower) & (x < self.upper))]
        if bad.size:
            raise InputError(
                f"{name} starts at {bad.flat[0]:g}, and {self.said(name)} was expected "
                "(not the bound itself): give another first guess"
            )

    @property
    def ends(self) -> tuple[Any, Any]:
        """Both bounds."""
        return self.lower, self.upper

    def within(self, other: "Interval") -> "Interval":
        """What two intervals have in common."""
        lower, upper = max(self.lower, other.lower), min(self.upper, other.upper)
        return Interval(lower, upper)

    def said(self, name: str) -> str:
        """`0 < a < 1`."""
        below = f"{self.lower:g} < " if math.isfinite(self.lower) else ""
        above = f" < {self.upper:g}" if math.isfinite(self.upper) else ""
        if below and not above:
            return f"{name} > {self.lower:g}"
        return f"{below}{name}{above}" if below or above else f"a finite {name}"


class Each(eqx.Module):
    """Bounds of their own for the components of a vector."""

    parts: tuple[Interval, ...]

    @property
    def ends(self) -> tuple[Any, Any]:
        """As of `Interval`, component by component."""
        both = [b.ends for b in self.parts]
        return np.array([a for a, _ in both]), np.array([b for _, b in both])

    def scale(self, x: Any) -> Float[np.ndarray, "*x"]:
        """As of `Interval`, component by component."""
        return np.array([b.scale(v) for b, v in zip(self.parts, x, strict=True)])

    def to_free(self, x: Any, scale: Any) -> Float[np.ndarray, "*x"]:
        """As of `Interval`, component by component."""
        each = zip(self.parts, np.asarray(x), np.asarray(scale), strict=True)
        return np.array([b.to_free(v, s) for b, v, s in each])

    def to_bounded(self, z: Array, scale: Any) -> Array:
        """As of `Interval`, component by component."""
        each = enumerate(self.parts)
        return jnp.stack([b.to_bounded(z[i], scale[i]) for i, b in each])

    def require(self, x: Any, name: str) -> None:
        """As of `Interval`, component by component."""
        for i, (one, value) in enumerate(zip(self.parts, x, strict=True), 1):
            one.require(value, f"{name}_{i}")


unbounded = Interval()
positive = Interval(0.0)


def _inverse_softplus(y: Any) -> Any:
    return y + np.log(-np.expm1(-y))
