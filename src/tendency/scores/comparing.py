"""Floor 4: what all scores share, which values count and with which weight.

Forecast and truth are arrays of one variable along `init_time`, `lead_time` and space,
the forecast perhaps along `member` too. A score is made in two steps: a *tally* is a
Dataset of sums over space, one a start and lead time, and the score is a function of
those sums added over starts. So scores of many files are added up a part at a time, a
root is taken after the mean over starts, and a bootstrap draws starts without going
back to the maps.

Missing values of the truth are left out, and so are points at which there is never a
forecast. A forecast that is not finite where the truth is known was lost: its sums are
NaN, and with them the score at that lead time, so that a model does not gain by
diverging.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr

from tendency.errors import InputError

START, LEAD, MEMBER = "init_time", "lead_time", "member"


@dataclass(frozen=True, eq=False)
class Compared:
    """A forecast beside the truth, zero in both where they do not count."""

    forecast: xr.DataArray  # (init_time, lead_time, [member], *space)
    truth: xr.DataArray  # (init_time, lead_time, *space)
    known: xr.DataArray  # (init_time, lead_time, *space), where both count
    area: xr.DataArray  # over space, or 1
    lost: xr.DataArray  # (init_time, lead_time)

    @property
    def space(self) -> list[str]:
        """The dimensions over which a tally is summed."""
        return [str(d) for d in self.known.dims if d not in (START, LEAD)]

    def total(self, values: xr.DataArray) -> xr.DataArray:
        """Σ w v over the points that count, NaN where the forecast was lost."""
        values = (values * self.area).where(self.known, 0.0)
        return values.sum(self.space).where(~self.lost)

    def weight(self) -> xr.DataArray:
        """Σ w, the weight of the points that count."""
        return self.total(xr.ones_like(self.truth))


def compared(
    forecast: xr.DataArray, truth: xr.DataArray, *, members: bool = False
) -> Compared:
    """Set a forecast beside the truth, in float64.

    Arguments:
        members: keep the members of an ensemble; otherwise their mean is compared.

    Raises:
        InputError: the forecast has points that are not those of the truth.
    """
    if MEMBER in forecast.dims and not members:
        forecast = forecast.mean(MEMBER, skipna=False)
    forecast = forecast.drop_vars("valid_time", errors="ignore").astype(np.float64)
    truth = truth.drop_vars("valid_time", errors="ignore").astype(np.float64)
    for name in (START, LEAD):
        if name not in forecast.dims:
            forecast = forecast.expand_dims(name)
    whole = forecast.sizes
    forecast, truth = xr.align(forecast, truth, join="inner")
    _check_points(whole, forecast)
    finite = abs(forecast) < np.inf
    if MEMBER in forecast.dims:
        finite = finite.all(MEMBER)
    known = (abs(truth) < np.inf) & finite.any([START, LEAD])
    known = known.transpose(START, LEAD, ...)
    lost = (known & ~finite).any([d for d in known.dims if d not in (START, LEAD)])
    area = area_weights(truth)
    return Compared(
        forecast.where(known & finite, 0.0),
        truth.where(known, 0.0),
        known,
        xr.DataArray(1.0) if area is None else area,
        lost,
    )


def _check_points(whole: Mapping[Hashable, int], forecast: xr.DataArray) -> None:
    """Whether the truth knows of all points of the forecast, the same to the last bit.

    Raises:
        InputError: it does not.
    """
    for dim, size in whole.items():
        if dim not in (START, LEAD, MEMBER) and forecast.sizes[dim] < size:
            raise InputError(
                f"{size - forecast.sizes[dim]} of {size} points of {forecast.name} "
                f"along {dim} are not in the truth, all were expected: give both the "
                "same coordinates, or interpolate one of them"
            )


def over_starts(tally: xr.Dataset) -> xr.Dataset:
    """The sums of all starts together, by lead time."""
    return tally.sum(START, skipna=False, keep_attrs=True)


def area_weights(data: xr.Dataset | xr.DataArray) -> xr.DataArray | None:
    """cos(latitude), or `None` where the data have no latitude."""
    array = latitude_of(data)
    if array is None:
        return None
    weights = array.copy(data=np.cos(np.deg2rad(array.values)).clip(0))
    return weights.drop_vars(str(array.name), errors="ignore")


def latitude_of(data: xr.Dataset | xr.DataArray) -> xr.DataArray | None:
    """The coordinate of latitude, by CF's names or units, else by its own name."""
    for name, array in data.coords.items():
        units = str(array.attrs.get("units", ""))
        if array.ndim and (
            array.attrs.get("standard_name") == "latitude"
            or units.startswith(("degrees_n", "degree_n"))
            or str(name).lower() in ("lat", "latitude")
        ):
            return array
    return None
