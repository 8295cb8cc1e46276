"""What an assimilation gives back."""

from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PyTree

from tendency.assimilation.method import Progress

if TYPE_CHECKING:
    import xarray as xr


class Analyses(eqx.Module):
    """The times of the observations, before and after each analysis.

    Means and spreads (standard deviations) are states, time first; a component that was
    not observed is NaN in `innovation`, `expected_variance` and `residual`.
    """

    steps: Int[np.ndarray, " time"]  # of the model, from the first prior
    times: Float[np.ndarray, " time"]  # [time unit of the model]
    background_mean: PyTree[Array]
    background_spread: PyTree[Array]
    analysis_mean: PyTree[Array]
    analysis_spread: PyTree[Array]
    innovation: Float[Array, "time obs"]  # y - H(xᵇ)
    expected_variance: Float[Array, "time obs"]  # diag(H Pᵇ Hᵀ + R)
    residual: Float[Array, "time obs"]  # y - H(xᵃ), before inflation
    misfit: Float[Array, " time"]  # dᵀ (H Pᵇ Hᵀ + R)⁻¹ d of each innovation d
    log_likelihood: Float[Array, " time"]  # of each time, given those before
    failed: Bool[Array, "time member"]  # members that were not finite
    final: Progress  # give it as the prior of the next assimilation to go on
    saved: Any = None  # what `save` kept, time first
    smoothed_mean: Any = None  # as `analysis_mean`, where the method smooths
    smoothed_spread: Any = None
    effective_size: Any = None  # of weighted particles before resampling, [time]

    def to_xarray(self, layout: Any = None, times: Any = None) -> "xr.Dataset":
        """Means and spreads, innovations and likelihoods, labelled.

        Each variable of the state gives `NAME_background`, `NAME_background_spread`,
        `NAME_analysis` and `NAME_analysis_spread`, and where there are smoothed states
        `NAME_smoothed` and `NAME_smoothed_spread`.

        Arguments:
            layout: a `tendency.data.layout.Layout`, which knows the names, coordinates
                and units of the state; else leaves are named by their keys, or `state`.
            times: labels of the time axis, dates say; by default the model's time.
        """
        import xarray as xr

        labels = self.times if times is None else np.asarray(times)
        time = "time" if layout is None else layout.time
        found = xr.Dataset(coords={time: labels, "step": (time, self.steps)})
        for kind in ("background", "analysis", "smoothed"):
            for suffix, end in (("mean", ""), ("spread", "_spread")):
                states = getattr(self, f"{kind}_{suffix}")
                if states is None:
                    continue
                if layout is None:
                    named = xr.Dataset(by_key(states))
                else:
                    named = layout.unpack(np.asarray(states), labels)
                    found = found.assign_coords(named.coords)
                names = {name: f"{name}_{kind}{end}" for name in named.data_vars}
                found = found.assign(named.rename(names).data_vars)
        for name in ("innovation", "expected_variance", "residual"):
            found[name] = ((time, "observation"), np.asarray(getattr(self, name)))
        for name in ("misfit", "log_likelihood"):
            found[name] = (time, np.asarray(getattr(self, name)))
        return found


def by_key(states: PyTree[Array]) -> dict[str, tuple[tuple[str, ...], np.ndarray]]:
    """Each leaf under its key, with dimensions of its own."""
    found = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(states):
        name = "_".join(str(getattr(k, "key", getattr(k, "name", k))) for k in path)
        name = name or "state"
        inner = (f"{name}_{i}" for i in range(leaf.ndim - 1))
        found[name] = (("time", *inner), np.asarray(leaf))
    return found
