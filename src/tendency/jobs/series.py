"""Floor 5: the record of a job as its models see it, encoded and cut into windows."""

import dataclasses
from dataclasses import dataclass
from typing import Self

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from tendency.cell import Constant
from tendency.data.prepare import Preparation, lasting_share
from tendency.errors import InputError
from tendency.jobs.load import Material, fit_preparation
from tendency.jobs.settings import Job
from tendency.statistical.climatology import Climatology, climatology
from tendency.windows import Windows

_SEEN = 0.5  # the least share of a field that its EOFs are told from


@dataclass(frozen=True, eq=False)
class Encoded:
    """All times of a record in the space of a model."""

    material: Material
    preparation: Preparation
    states: Float[Array, "time latent"]
    weights: Float[np.ndarray, "time latent"] | Float[np.ndarray, "time 1"] | None

    @property
    def dt(self) -> float:
        """The step of the data [unit of the clock]."""
        return self.material.layout.clock.step

    def in_single_precision(self) -> Self:
        """The same, in float32: half the memory, and convolutions twice as quick."""
        weights = self.weights
        return dataclasses.replace(
            self,
            states=self.states.astype(jnp.float32),
            weights=None if weights is None else weights.astype(np.float32),
        )

    def windows(
        self, part: str, length: int, *, past: int = 0, timed: bool = False
    ) -> Windows:
        """Windows whose times lie in a part, but for the first `past` of each.

        With `timed` their forcing is the time [unit of the clock].
        """
        first, stop = getattr(self.material, part)
        first = max(0, first - past)
        weights = None if self.weights is None else self.weights[first:stop]
        return Windows.of(
            self.states[first:stop],
            length,
            forcing=self.material.series.t[first:stop] if timed else None,
            weights=weights,
            segments=self.material.series.part(first, stop).segments,
        )

    def samples(self, part: str) -> Float[Array, "time latent"]:
        """The states of a part."""
        first, stop = getattr(self.material, part)
        return self.states[first:stop]

    def starts(self, part: str, past: int, steps: int) -> Int[np.ndarray, " start"]:
        """Where forecasts of so many steps start and end within a part."""
        first, stop = getattr(self.material, part)
        return self.material.series.starts(past, steps, first=first, stop=stop)


def encode(
    job: Job, material: Material, *, on_grid: bool = False, areas: bool = False
) -> Encoded:
    """The record as the models of `job` see it.

    Arguments:
        on_grid: without EOFs and area weights, for models of the grid itself.
        areas: weigh each component by cos(latitude), where the scale does not.
    """
    if on_grid:
        flat = job.prepare.model_copy(update={"area_weights": False})
        job = job.model_copy(update={"prepare": flat})
    preparation = fit_preparation(job, material, reduced=not on_grid)
    series = material.series
    states = preparation.encode(
        jnp.asarray(filled(job, material)), jnp.asarray(series.t)
    )
    weights = series.weights
    if weights is not None and preparation.patterns is not None:
        share = weights.mean(1, keepdims=True)
        weights = np.where(share >= _SEEN, share, 0).astype(weights.dtype)
    if areas:
        cosine = np.cos(np.deg2rad(material.layout.latitude))
        cosine = np.maximum(cosine, 1e-3).astype(series.states.dtype)
        weights = np.broadcast_to(cosine, series.states.shape) * (
            1 if weights is None else weights
        )
    return Encoded(material, preparation, states, weights)


def filled(job: Job, material: Material) -> Float[np.ndarray, "time state"]:
    """The states, the climatology where a value is missing [units of the data]."""
    series = material.series
    missing = ~np.isfinite(series.states)
    if not missing.any():
        return series.states
    normal = np.asarray(climatology_of(job, material).at(jnp.asarray(series.t)))
    return np.where(missing, normal, series.states)


def climatology_of(job: Job, material: Material) -> Climatology:
    """The mean and the cycles of all that is learned from."""
    learn, clock = material.part("learn"), material.layout.clock
    periods = tuple(clock.cycle(name) for name in job.prepare.deseasonalise)
    try:
        return climatology(
            learn.states, learn.t, periods, job.prepare.harmonics, dt=clock.step
        )
    except InputError as error:
        raise InputError(f"prepare.deseasonalise: {error}") from error


def untouched(size: int, dtype: np.dtype) -> Preparation:
    """The preparation that changes nothing."""
    return Preparation(None, Constant(jnp.ones(size, dtype)))


def without_validation(job: Job, material: Material) -> tuple[Job, Material]:
    """The same with nothing learned from the validation part, not even EOFs.

    Of a `train` that nothing was set aside of the last fifth is left out.
    """
    first, stop = material.learn
    middle = material.validation[0]
    if not first < middle < stop:
        middle = first + round(0.8 * (stop - first))
    settings = job.prepare
    if isinstance(settings.eofs, int):
        most = min(middle - first - 1, material.layout.size)
        fewer = settings.model_copy(update={"eofs": min(settings.eofs, most)})
        job = job.model_copy(update={"prepare": fewer})
    part = (first, middle)
    return job, dataclasses.replace(material, learn=part, train=part)


def outside_damping(job: Job, material: Material) -> float:
    """How much of what the EOFs leave out is there a step later, by regression.

    Residuals of the times that gave the EOFs are too small to tell, so EOFs as many are
    fitted to the first part (`train`, or four fifths of it where nothing was set aside)
    and their residuals taken in the rest.
    """
    stop = material.learn[1]
    job, early = without_validation(job, material)
    middle = early.learn[1]
    preparation = fit_preparation(job, early)
    late = material.series.part(middle, stop)
    states = filled(job, material)[middle:stop]
    return lasting_share(preparation, states, late.t, late.follows)
