"""Scores of yes or no and of fractions: counted by hand, and by pysteps."""

import hypothesis.strategies as st
import numpy as np
import pytest
import xarray as xr
from hypothesis import given

from tendency.errors import InputError
from tendency.scores.categorical import categorical_scores, contingency
from tendency.scores.comparing import over_starts
from tendency.scores.spatial import fractions, fractions_scores


def maps(values, **coords) -> xr.DataArray:
    """(start, lead, y, x)."""
    return xr.DataArray(
        np.asarray(values, float),
        dims=("init_time", "lead_time", "y", "x"),
        coords={"lead_time": np.arange(1.0, np.shape(values)[1] + 1), **coords},
        name="rain",
    )


def random_maps(seed: int, *shape: int) -> tuple[xr.DataArray, xr.DataArray]:
    f, o = np.random.default_rng(seed).gamma(0.5, 2.0, (2, *shape))
    return maps(f), maps(o)


def scores_of(forecast, truth, *thresholds):
    return categorical_scores(over_starts(contingency(forecast, truth, thresholds)))


def test_counted_by_hand():
    # 4 hits, 2 misses, 1 false alarm, 3 correct negatives, one not known
    told = [5, 2, 1, 1, 0, 0, 1, 0, 0, 0.9, 3]
    seen = [1, 1, 3, 1, 1, 2, 0, 0, 0, 0.0, np.nan]
    found = scores_of(maps([[[told]]]), maps([[[seen]]]), 1.0).isel(lead_time=0)
    assert found.pod.item() == 4 / 6
    assert found.far.item() == 1 / 5
    assert found.csi.item() == 4 / 7
    assert found.frequency_bias.item() == 5 / 6
    assert found.hss.item() == pytest.approx(
        2 * (4 * 3 - 1 * 2) / (6 * 5 + 5 * 4), rel=1e-14
    )


@given(st.integers(0, 2**31), st.floats(0.05, 1.5))
def test_identities(seed, threshold):
    found = scores_of(*random_maps(seed, 3, 2, 4, 5), threshold)
    pod, ratio, csi = found.pod, 1 - found.far, found.csi
    both = pod * ratio  # 1 / CSI = 1 / (1 - FAR) + 1 / POD - 1
    np.testing.assert_allclose(csi * (pod + ratio - both), both, rtol=1e-12)
    np.testing.assert_allclose(found.frequency_bias * ratio, pod, rtol=1e-12)
    assert not (csi > pod).any()
    assert not (csi > ratio).any()


def test_area_weighs_counts():
    lat = xr.Variable("y", [0.0, 60.0], {"units": "degrees_north"})
    told = maps([[[[1, 1], [0, 0]]]], latitude=lat)
    seen = maps([[[[1, 0], [1, 0]]]], latitude=lat)
    found = scores_of(told, seen, 1).squeeze()
    assert found.pod.item() == pytest.approx(1 / 1.5)
    assert found.csi.item() == pytest.approx(1 / 2.5)


def test_a_lost_forecast_does_not_gain():
    forecast, truth = random_maps(0, 2, 3, 6, 6)
    forecast[1, 2, 0, 0] = np.inf
    lost = [False, False, True]
    assert scores_of(forecast, truth, 1).csi.isnull().squeeze().values.tolist() == lost
    sums = over_starts(fractions(forecast, truth, [1.0], [3]))
    fss = fractions_scores(sums).fss.squeeze()
    assert fss.isnull().values.tolist() == lost


def test_fractions_of_a_displaced_band():
    """A band of one column, d off its place, in a window of w > d without an edge.

    Each fraction is 1/w over w columns, and the two share w - d of them.
    """
    wide, d = 60, 4
    seen, told = np.zeros((2, 1, 1, wide, wide))
    seen[..., 25], told[..., 25 + d] = 1, 1
    windows = [1, 3, 5, 11, 21]
    sums = over_starts(fractions(maps(told), maps(seen), [1.0], windows))
    fss = fractions_scores(sums).fss.squeeze().values
    expected = [max(0, 1 - d / w) for w in windows]
    # The edges across the band cut fractions of both alike and cancel.
    np.testing.assert_allclose(fss, expected, atol=1e-12)


def test_fractions_of_one_point_and_of_the_same():
    forecast, truth = random_maps(1, 2, 2, 8, 9)
    same = fractions_scores(over_starts(fractions(truth, truth, [1.0], [1, 3]))).fss
    np.testing.assert_allclose(same, 1)
    # In windows of a point the score is 2 H / (2 H + M + F).
    one = fractions_scores(over_starts(fractions(forecast, truth, [1.0], [1]))).fss
    n = over_starts(contingency(forecast, truth, [1.0])).isel(threshold=0)
    expected = 2 * n.hits / (2 * n.hits + n.misses + n.false_alarms)
    np.testing.assert_allclose(one.squeeze(), expected, rtol=1e-12)


def test_what_is_unknown_is_masked_before_fractions():
    forecast, truth = random_maps(2, 1, 1, 10, 10)
    truth[0, 0, :, 6:] = np.nan
    dry = xr.where(truth.isnull(), 0.0, forecast), truth.fillna(0.0)
    found, expected = (
        fractions_scores(over_starts(fractions(f, o, [1.0], [3, 5]))).fss
        for f, o in ((forecast, truth), dry)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-14)


def test_refused():
    forecast, truth = random_maps(3, 1, 1, 4, 5)
    with pytest.raises(InputError, match="a map of 4 x 5: choose windows from 1 to 4"):
        fractions(forecast, truth, [1.0], [5])
    with pytest.raises(InputError, match="needs a map of 2"):
        fractions(forecast.isel(x=0), truth.isel(x=0), [1.0], [1])


def test_another_library_agrees_on_fractions():
    from scores.spatial import fss_2d

    inner = {"y": slice(5, 15), "x": slice(5, 25)}  # the edge is told apart by others
    places = {"y": np.arange(20), "x": np.arange(30)}
    forecast, truth = (
        field.assign_coords(places).isel(inner).reindex(places).fillna(0.0)
        for field in random_maps(4, 1, 1, 20, 30)
    )
    for window in (3, 5):
        sums = over_starts(fractions(forecast, truth, [2.0], [window]))
        theirs = fss_2d(
            forecast,
            truth,
            event_threshold=2.0,
            window_size=(window, window),
            spatial_dims=("y", "x"),
            zero_padding=True,
        )
        ours = fractions_scores(sums).fss.item()
        assert ours == pytest.approx(theirs.item(), rel=1e-12)


@pytest.mark.filterwarnings("ignore")
def test_pysteps_agrees():
    pytest.importorskip("pysteps", reason="pysteps is not installed")
    from pysteps.verification.detcatscores import det_cat_fct  # pyright: ignore
    from pysteps.verification.spatialscores import fss  # pyright: ignore

    forecast, truth = random_maps(5, 1, 1, 24, 24)
    f, o = forecast.values[0, 0], truth.values[0, 0]
    found = scores_of(forecast, truth, 1.3).squeeze()
    theirs = det_cat_fct(f, o, 1.3)
    for ours, name in (("pod", "POD"), ("far", "FAR"), ("csi", "CSI"), ("hss", "HSS"),
                       ("frequency_bias", "BIAS")):  # fmt: skip
        assert found[ours].item() == pytest.approx(theirs[name], rel=1e-12), name
    for window in (1, 4, 7):
        sums = over_starts(fractions(forecast, truth, [1.3], [window]))
        assert fractions_scores(sums).fss.item() == pytest.approx(
            fss(f, o, 1.3, window), rel=1e-12
        )
