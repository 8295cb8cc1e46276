"""Spectra of waves and noise with known answers, drift, and bootstrap intervals."""

import numpy as np
import pytest
import xarray as xr

from tendency.errors import InputError
from tendency.scores.bootstrap import block_bootstrap
from tendency.scores.comparing import over_starts
from tendency.scores.deterministic import error_scores, errors
from tendency.scores.drift import drift_scores, moments
from tendency.scores.spectral import (
    effective_resolution,
    isotropic_spectra,
    row_spectra,
    spacing,
    spectral_means,
)

N, STEP = 64, 5.0  # [km]
RNG = np.random.default_rng(0)


def plane(values) -> xr.DataArray:
    """(start, lead, y, x) on a plane of 5 km."""
    axis = {"units": "km"}
    return xr.DataArray(
        values,
        dims=("init_time", "lead_time", "y", "x"),
        coords={
            "y": ("y", STEP * np.arange(np.shape(values)[2]), axis),
            "x": ("x", STEP * np.arange(np.shape(values)[3]), axis),
        },
        name="x",
    )


def wave(i: int, j: int, amplitude: float = 1.0) -> np.ndarray:
    x, y = np.arange(N), np.arange(N)[:, None]
    return amplitude * np.sin(2 * np.pi * (i * x + j * y) / N + 0.3)[None, None]


def means(spectra) -> xr.Dataset:
    return spectral_means(over_starts(spectra)).squeeze()


def test_a_plane_wave_has_its_variance_at_its_wavenumber():
    field = plane(wave(6, 0, 2.0))
    rows = means(row_spectra(field, field, "x", taper="boxcar"))
    width = 1 / (N * STEP)
    assert rows.wavenumber.values[5] == pytest.approx(6 * width)
    expected = np.zeros(N // 2)
    expected[5] = 2.0 / width  # the variance, a² / 2, over the width of a wave
    np.testing.assert_allclose(rows.truth, expected, atol=1e-10)
    assert float(rows.error.max()) == 0
    field = plane(wave(3, 4, 2.0))  # 5 waves round
    rings = means(isotropic_spectra(field, field, taper="boxcar")).truth
    assert rings.wavenumber.values[rings.values.argmax()] == pytest.approx(5 * width)
    assert rings.max().item() == pytest.approx(2.0 / width)
    assert rings.sum().item() == pytest.approx(rings.max().item())


def test_parseval():
    field = plane(RNG.normal(size=(2, 1, N, N)))
    rows = means(row_spectra(field, field, "x", taper="boxcar"))
    width = 1 / (N * STEP)
    assert float(rows.truth.sum()) * width == pytest.approx(
        field.var("x").mean().item(), rel=1e-12
    )
    rings = means(isotropic_spectra(field, field, taper="boxcar"))
    assert float(rings.truth.sum()) * width == pytest.approx(
        field.var(("y", "x")).mean().item(), rel=1e-12
    )
    tapered = means(isotropic_spectra(field, field)).truth
    assert float(tapered.sum()) * width == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("criterion", ["ratio", "error"])
def test_effective_resolution_of_a_filter(criterion):
    """The forecast is the truth filtered by 1 / (1 + (k/k₀)²): known where it halves.

    The ratio is g², one half at k₀ √(√2 - 1); 1 - (1 - g)² is one half at k₀ √(√2 + 1).
    """
    k0 = 0.03  # [1/km]
    noise = RNG.normal(size=(8, 1, N, N))
    k = np.fft.fftfreq(N, STEP)
    gain = 1 / (1 + (k / k0) ** 2)
    smooth = np.fft.ifft(np.fft.fft(noise) * gain).real
    spectra = row_spectra(plane(smooth), plane(noise), "x", taper="boxcar")
    found = effective_resolution(over_starts(spectra), criterion=criterion)
    root = np.sqrt(2) - 1 if criterion == "ratio" else np.sqrt(2) + 1
    assert found.attrs["units"] == "km"
    # linear between waves that are 0.003 / km apart
    assert found.item() == pytest.approx(1 / (k0 * np.sqrt(root)), rel=0.01)


def test_ends_of_the_effective_resolution():
    noise = RNG.normal(size=(3, 2, N, N))
    told = noise * np.array([1.0, 0.1])[:, None, None]
    found = effective_resolution(
        over_starts(row_spectra(plane(told), plane(noise), "x"))
    )
    assert found.values.tolist() == [2 * STEP, np.inf]
    found = effective_resolution(
        over_starts(isotropic_spectra(plane(told), plane(noise)))
    )
    assert found.values.tolist() == [2 * STEP, np.inf]  # corners do not count


def test_rows_and_maps_with_gaps_are_left_out():
    truth = plane(RNG.normal(size=(2, 1, N, N)))
    told = truth + 1
    holed = truth.copy()
    holed[0, 0, 3, 5] = np.nan
    rows = over_starts(row_spectra(told, holed, "x"))
    assert rows["count"].item() == 2 * N - 1
    maps = over_starts(isotropic_spectra(told, holed))
    assert maps["count"].item() == 1
    alone = over_starts(isotropic_spectra(told[1:], truth[1:]))
    np.testing.assert_allclose(maps.forecast, alone.forecast)
    told[1, 0, 0, 0] = np.nan
    assert over_starts(row_spectra(told, holed, "x")).forecast.isnull().all()


def test_spacing():
    values = xr.DataArray(
        np.zeros((3, 4)),
        dims=("lat", "lon"),
        coords={"lat": [59.0, 60.0, 61.0], "lon": [0.0, 0.5, 1.0, 1.5]},
        name="h",
    )
    assert spacing(values, "lat") == (pytest.approx(111.195, abs=1e-3), "km")
    assert spacing(values, "lon") == (pytest.approx(111.195 / 4, abs=1e-3), "km")
    assert spacing(values.drop_vars("lon"), "lon") == (1.0, "points")
    uneven = values.assign_coords(lat=[0.0, 1.0, 3.0])
    with pytest.raises(InputError, match="not evenly spaced"):
        spacing(uneven, "lat")


def test_drift():
    truth = plane(RNG.normal(size=(50, 1, 4, 4)) + 3)
    told = xr.concat([0.5 * truth, 0.5 * truth + 10], "lead_time")
    found = drift_scores(
        over_starts(moments(told, xr.concat([truth] * 2, "lead_time")))
    )
    np.testing.assert_allclose(found.variance_ratio, 0.25, rtol=1e-10)
    energy = float(((0.5 * truth + 10) ** 2).mean() / (truth**2).mean())
    np.testing.assert_allclose(found.energy_ratio, [0.25, energy], rtol=1e-12)
    members = xr.concat([truth, 6 - truth], "member")  # whose mean is constant
    flat = truth * 0 + 3
    found = drift_scores(over_starts(moments(members, truth)))
    assert found.energy_ratio.item() == pytest.approx(
        float((members**2).mean() / (truth**2).mean())
    )
    assert float(abs(members.mean("member") - flat).max()) < 1e-12


def series(values) -> xr.DataArray:
    return xr.DataArray(np.asarray(values)[:, None], dims=("init_time", "lead_time"))


def test_bootstrap_of_a_mean_is_the_theory_of_means():
    """Of independent errors ±1.96 σ/√n; of errors repeated b times, √b wider."""
    zero = series(np.zeros(1200))
    for repeated in (1, 4):
        noise = np.repeat(RNG.normal(size=1200 // repeated), repeated)
        tally = errors(series(noise), zero)
        bounds = block_bootstrap(error_scores, tally, block=12, seed=0)["bias"]
        width = np.ptp(bounds.values)
        theory = 2 * 1.96 * noise.std() * np.sqrt(repeated / 1200)
        assert width == pytest.approx(theory, rel=0.2)
        assert bounds.sel(bound="lower") < noise.mean() < bounds.sel(bound="upper")


def test_bootstrap_of_a_difference_is_paired():
    truth = series(RNG.normal(size=400))
    noise = series(RNG.normal(size=400))
    one, two = errors(truth + noise, truth), errors(truth + 1.1 * noise, truth)

    def difference(a, b):
        return error_scores(a) - error_scores(b)

    bounds = block_bootstrap(difference, one, two, block=5, seed=1)["rmse"]
    assert (bounds < 0).all()
    alone = block_bootstrap(error_scores, one, block=5, seed=1)["rmse"]
    assert np.ptp(bounds.values) < 0.2 * np.ptp(alone.values)
    again = block_bootstrap(difference, one, two, block=5, seed=1)["rmse"]
    assert (bounds == again).all()
    with pytest.raises(InputError, match="at least two blocks"):
        block_bootstrap(error_scores, one, block=201, seed=0)
    with pytest.raises(InputError, match="level is 95"):
        block_bootstrap(error_scores, one, block=5, seed=0, level=95)
