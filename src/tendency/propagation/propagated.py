"""What a propagation gives back."""

from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PyTree

from tendency.assimilation.analyses import by_key
from tendency.grid import Grid

if TYPE_CHECKING:
    import xarray as xr


class PropagationFailed(ArithmeticError):
    """A variance that is none; `propagated` holds what was there before."""

    def __init__(self, message: str, propagated: "Propagated"):
        super().__init__(message)
        self.propagated = propagated


class Propagated(eqx.Module):
    """Mean and variance at several times, the prior's first."""

    steps: Int[np.ndarray, " time"]  # of the model, from the prior
    times: Float[np.ndarray, " time"]  # [time unit of the model]
    mean: PyTree[Array]  # states, time first
    variance: PyTree[Array]  # of each component, likewise [units squared]
    length: Any = None  # of the correlation, (time, axis, *grid) [units of the axes]
    covariance: Float[Array, "time n n"] | None = None  # of the flattened state
    members: int | None = None  # of an ensemble
    final: Any = None  # where the propagation stands

    @property
    def spread(self) -> PyTree[Array]:
        """Standard deviations."""
        return jax.tree.map(jnp.sqrt, self.variance)

    @property
    def sampling_error(self) -> float:
        """Of a variance, relative to it: √(2/(N-1)) of N members, 0 of no ensemble."""
        return 0.0 if self.members is None else (2 / (self.members - 1)) ** 0.5

    def distance(self, other: "Propagated", time: int = -1) -> dict[str, float]:
        """Relative differences of mean, variance and length to those of another.

        Root mean square over the components, over that of the other unless it is 0; of
        several fields the root mean square of theirs.
        """
        found = {}
        for name in ("mean", "variance", "length"):
            ours, theirs = getattr(self, name), getattr(other, name)
            if ours is None or theirs is None:
                continue
            ratios = []
            for a, b in zip(
                jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True
            ):
                a, b = np.asarray(a[time]), np.asarray(b[time])
                size = float(np.nanmean(b**2))
                apart = float(np.nanmean((a - b) ** 2))
                ratios.append(apart / size if size else apart)
            found[name] = float(np.mean(ratios)) ** 0.5
        return found

    def to_xarray(self, layout: Any = None, times: Any = None) -> "xr.Dataset":
        """Means and spreads, labelled: `NAME` and `NAME_spread` of each variable.

        Arguments:
            layout: a `tendency.data.layout.Layout`; else leaves are named by their
                keys, or `state`.
            times: labels of the time axis; by default the model's time.
        """
        import xarray as xr

        labels = self.times if times is None else np.asarray(times)
        time = "time" if layout is None else layout.time
        found = xr.Dataset(coords={time: labels, "step": (time, self.steps)})
        for states, end in ((self.mean, ""), (self.spread, "_spread")):
            if layout is not None:
                named = layout.unpack(np.asarray(states), labels)
                found = found.assign_coords(named.coords)
            else:
                named = xr.Dataset(by_key(states))
            names = {name: f"{name}{end}" for name in named.data_vars}
            found = found.assign(named.rename(names).data_vars)
        return found


def beside(states: PyTree[Array], grid: Grid | None) -> list[PyTree[Array]]:
    """For each axis the values before and after each point, `[before, after]`."""
    if grid is None:
        return []
    ends = len(grid.axes)

    def moved(x, axis, by):
        at = x.ndim - ends + axis
        rolled = jnp.roll(x, -by, at)
        if grid.axes[axis].periodic:
            return rolled
        here = jnp.arange(x.shape[at])
        outside = (here + by < 0) | (here + by >= x.shape[at])
        shape = [1] * x.ndim
        shape[at] = x.shape[at]
        return jnp.where(outside.reshape(shape), jnp.full_like(rolled, jnp.nan), rolled)

    return [
        jax.tree.map(
            lambda x, a=a: jnp.stack([moved(x, a, -1), moved(x, a, 1)]), states
        )
        for a in range(ends)
    ]


def length_of(
    products: list[Any], variance: PyTree[Array], grid: Grid
) -> PyTree[Array]:
    """The length of the correlation from that of neighbours on either side.

    With ε the error over its standard deviation and h the spacing, 1/length² is
    E[(ε(x+h) - ε(x-h))²] / (2h)², the metric by differences of order 2.

    Arguments:
        products: for each axis E[e(x+h) e(x-h)].
    """

    def leaf(V, *along):
        neighbours = beside(V, grid)
        rows = []
        for axis, (product, pair) in enumerate(zip(along, neighbours, strict=True)):
            correlation = product / jnp.sqrt(pair[0] * pair[1])
            spacing = 2 * grid.axes[axis].spacing
            slope = jnp.maximum(2 - 2 * correlation, jnp.finfo(V.dtype).tiny)
            rows.append(spacing / jnp.sqrt(slope))
        return jnp.stack(rows)

    return jax.tree.map(leaf, variance, *products)
