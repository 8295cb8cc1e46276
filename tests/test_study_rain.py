"""The study of rain: how warnings are chosen, the moving frame, what it writes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

from tendency.errors import InputError
from tendency.scores.records import read_scores
from tendency.statistical.persistence import Persistence
from tendency.studies._fields.fields import simulated_fields
from tendency.studies.rain import networks, study
from tendency.studies.rain.extrapolation import advection, persistence
from tendency.studies.rain.frame import features, logarithm, moving, sources
from tendency.studies.rain.merged import decided, warned
from tendency.studies.rain.page import verdict
from tendency.studies.rain.setting import (
    HISTORY,
    SMALL,
    Radar,
    leads_of,
    open_radar,
    radar_of,
    starts_of,
)
from tendency.studies.rain.verify import scores_of, truth_of


def test_warnings_have_the_highest_expected_csi():
    """Against every one of the 2⁸ choices, the expectation of each counted exactly."""
    rng = np.random.default_rng(0)
    p = rng.random(8) ** 2
    worlds = (np.arange(2**8)[:, None] >> np.arange(8)) & 1
    chance = np.prod(np.where(worlds, p, 1 - p), axis=1)

    def expected(choice):
        hits, all_ = worlds & choice, worlds | choice
        return chance @ (hits.sum(1) / np.maximum(all_.sum(1), 1))

    best = max(expected(w) for w in worlds[1:])
    chosen = warned(p)
    assert expected(chosen.astype(int)) > 0.97 * best  # a ratio of means, not its mean
    # All that is likelier than something that was chosen was chosen too.
    assert p[chosen].min() > p[~chosen].max()
    sure = np.array([1.0, 1.0, 0.0, 0.0])
    np.testing.assert_array_equal(warned(sure), sure == 1)


def test_a_point_is_warned_of_its_highest_level():
    seen = np.array([[True, True, True, False]])
    p = np.zeros((5, 1, 4))
    p[:, 0, 3] = 1.0  # where nothing is seen nothing is said
    p[:3, 0, 0] = 1.0
    p[:1, 0, 1] = 1.0
    p[3:, 0, 0] = 1e-9
    rate = decided(p, seen)
    np.testing.assert_array_equal(rate > 0, [[True, True, False, False]])
    assert rate[0, 0] >= 1.0 > rate[0, 1]


def moved(times=16, v=(0.5, 1), minutes=5):
    """A blob of rain that moves; three of 35 rows are not seen."""
    y, x = np.mgrid[:35, :32]
    fields = [
        8 * np.exp(-((y - 12 - v[0] * t) ** 2 + (x - 10 - v[1] * t) ** 2) / 30)
        for t in range(times)
    ]
    rate = np.array(fields)
    rate[:, :3] = np.nan
    times_ = np.datetime64("2001-01-01", "us") + minutes * np.arange(times) * np.array(
        1, "m8[m]"
    )
    dataset = xr.Dataset(
        {"rainfall_rate": (("time", "y", "x"), rate, {"units": "mm h-1"})},
        {"time": times_, "y": 2.0 * np.arange(35), "x": 2.0 * np.arange(32)},
    )
    return dataset


@pytest.fixture(scope="module")
def radar() -> Radar:
    dataset = moved(times=34)
    return radar_of(simulated_fields(dataset, "a blob"), SMALL)


def test_the_last_times_are_held_out_and_the_unseen_is_cut(radar):
    leads = leads_of(radar, SMALL)
    starts = starts_of(radar, leads)
    assert radar.seen.shape == (32, 32)
    assert leads == (1, 2, 3, 4, 6)
    assert starts[0] == radar.split
    assert starts[-1] + 6 == 33
    truth = truth_of(radar, starts, leads)
    np.testing.assert_array_equal(truth[0, 4], radar.rate[starts[0] + 6])


def test_advection_follows_what_moves_and_persistence_does_not(radar):
    start, leads = np.array([8]), (1, 6)
    carried = advection(radar, start, leads)
    # Within a cell of its place after a way of seven: the steepest slope is 1.25.
    assert abs(carried[0, 1] - radar.rate[14])[3:].max() < 1.25
    csi = {
        name: [
            s.value
            for s in scores_of(name, told, radar, start, leads)
            if (s.metric, s.case) == ("csi", "1 mm/h")
        ]
        for name, told in {
            "advection": carried,
            "persistence": persistence(radar, start, leads),
        }.items()
    }
    assert min(csi["advection"]) > 0.8
    assert csi["persistence"][1] < 0.5
    exact = scores_of("truth", truth_of(radar, start, leads), radar, start, leads)
    assert {(s.metric, s.value) for s in exact} == {
        ("csi", 1.0), ("pod", 1.0), ("far", 0.0), ("fss", 1.0),
    }  # fmt: skip
    # In the moving frame nothing changes but what comes from outside.
    now = moving(jnp.asarray(radar.rate[8 - HISTORY : 9]), radar.seen)
    points = sources(now.flow, 6)
    x = np.asarray(jax.jit(features)(now, jnp.float32(30.0), points[5]))
    known = x[-3] > 0.999
    fixed = logarithm(jnp.asarray(radar.rate[[4, 8]]))
    assert abs(x[-4][known]).max() < 0.15 * float(abs(fixed[1] - fixed[0]).max())
    assert known.mean() > 0.5


def test_records_that_are_no_radars_are_refused():
    with pytest.raises(InputError, match="a nowcast of rain needs minutes"):
        radar_of(simulated_fields(moved(minutes=24 * 60), "daily"), SMALL)
    with pytest.raises(InputError, match="left to learn from"):
        radar_of(simulated_fields(moved(times=9), "short"), SMALL)
    gap = moved(times=34).isel(time=[*range(10), *range(12, 34)])
    with pytest.raises(InputError, match="has a gap before 2001-01-01T01:00"):
        radar_of(simulated_fields(gap, "gap"), SMALL)


def test_the_verdict_is_that_of_the_scores(radar):
    start, leads = np.array([8]), (1, 6)
    scores = [
        s
        for name, told in {
            "Merged": truth_of(radar, start, leads),
            "Advection": advection(radar, start, leads),
            "Persistence": persistence(radar, start, leads),
        }.items()
        for s in scores_of(name, told, radar, start, leads)
    ]
    text = verdict(scores, [5.0, 30.0])
    assert "above (1.00) after 30 minutes" in text
    assert "below that of persistence at every lead" in text


def test_the_study_writes_scores_and_a_page(tmp_path, monkeypatch):
    still = {"UNet": Persistence(5.0)}  # pyright: ignore[reportCallIssue]
    monkeypatch.setattr(networks, "fitted_networks", lambda *_: still)
    monkeypatch.setattr(
        "tendency.studies.rain.extrapolation.lucas_kanade", lambda: None
    )
    tiny = SMALL._replace(points=32, pixels=100, epochs=1, pairs=12, times=34)
    monkeypatch.setattr(study, "SMALL", tiny)
    said = []
    study.run(tmp_path, seed=0, small=True, say=said.append)
    document, scores = read_scores(tmp_path / "scores.json")
    assert document["study"] == "rain"
    models = {s.model for s in scores}
    assert models >= {"Persistence", "Advection", "UNet"}
    assert {s.case for s in scores} <= {"1 mm/h", "5 mm/h"}
    assert all(0 <= s.value <= 1 for s in scores)
    page = (tmp_path / "report.html").read_text()
    assert "No file was given, so this is a simulation" in page
    assert any("pip install 'tendency[rain]'" in line for line in said)
    assert open_radar(None, tiny, 0).seen.all()
