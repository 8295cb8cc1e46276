"""Networks on maps in a job: each kind is built, two are fitted and forecast."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_jobs import FIELD, field, fitted, job_of

from tendency.cell import Carry
from tendency.errors import InputError
from tendency.fitting import EnsembleLoss
from tendency.jobs import maps
from tendency.jobs.fit import load_model
from tendency.jobs.forecast import run_forecasts
from tendency.jobs.load import load_material
from tendency.jobs.series import encode

_ = field  # a fixture


def model_of(job: Any, name: str) -> Any:
    return job.models[name]


SMALL: dict[str, dict[str, Any]] = {
    "unet": {"widths": [2, 3], "columns": "periodic", "lags": 2},
    "resnet": {"width": 2, "depth": 1, "members": 2},
    "fno": {"width": 2, "depth": 1, "modes": [2, 3], "margin": [2, 0]},
    "map_transformer": {"size": 4, "heads": 1, "depth": 1, "patch": 2},
    "conv_lstm": {"widths": [2], "history": 2},
    "conv_gru": {"widths": [2, 3], "history": 1},
    "predrnn": {"widths": [2, 2], "history": 1},
}


@pytest.fixture(scope="module")
def encoded(field: Any, tmp_path_factory):
    job = job_of(field, tmp_path_factory.mktemp("out"), **FIELD)
    return encode(job, load_material(job), on_grid=True, areas=True)


@pytest.mark.parametrize("kind", SMALL)
def test_each_kind_is_made_to_the_size_of_the_data(field, encoded, tmp_path, kind):
    """Persistence before its fit, on the grid, with the island left out."""
    job = job_of(field, tmp_path, models={"m": {"kind": kind, **SMALL[kind]}}, **FIELD)
    single = encoded.in_single_precision()
    cell = maps.initial(model_of(job, "m"), single, jax.random.key(0))
    past = {"unet": 1, "conv_lstm": 2, "conv_gru": 1, "predrnn": 1}
    assert cell.spin_up_steps == past.get(kind, 0)
    assert cell.frame.shape == (2, 6, 8)
    assert not np.asarray(cell.frame.land)[0, 2, 3]
    state = single.states[0]
    new = eqx.filter_eval_shape(cell.step, Carry(state, cell.init(state).memory))
    assert new.state.shape == state.shape == (94,)
    assert new.state.dtype == jnp.float32
    # One deviation a variable, of its steps.
    steps = np.diff(np.asarray(single.samples("train"))[:, :47], axis=0).std()
    np.testing.assert_allclose(cell.frame.output_std.value[:47], steps, rtol=1e-4)


def test_two_kinds_are_fitted_kept_and_forecast(field, tmp_path):
    quick = {"epochs": 1, "batch": 16, "horizon": 1, "ema": 0.9, "noise": 0.1}
    models = {
        "resnet": {"kind": "resnet", **SMALL["resnet"], **quick, "cycles": ["year"]},
        "gru": {"kind": "conv_gru", "widths": [2], "history": 1, "precision": "half",
                "spectral": 0.01, **quick},
    }  # fmt: skip
    job = job_of(field, tmp_path, models=models, **FIELD)
    material = fitted(job)
    starts, t = np.arange(130, 134), material.series.t
    states = np.where(np.isfinite(material.series.states), material.series.states, 0)
    spread = {}
    for name in models:
        kept = load_model(job, name, material)
        told = run_forecasts(kept, states, t, starts, 2, members=3)
        assert np.isfinite(told).all()
        spread[name] = told.std(2).mean()
        assert len(kept.header["notes"]["history"]["train_loss"]) == 1
    assert spread["gru"] < 1e-6 < spread["resnet"]
    # The phase of the year is read, of the time that a forecast is told.
    cell: Any = load_model(job, "resnet", material).cell
    assert cell.frame.cycles == (365.2425,)
    state = jnp.zeros(94, jnp.float32)
    phases = [cell.frame.inputs(state[None], jnp.asarray(t))[1] for t in (0.0, 91.31)]
    np.testing.assert_allclose(phases, [[0, 1], [1, 0]], atol=1e-4)


def test_what_a_network_on_maps_cannot_do_is_told(field, encoded, tmp_path):
    odd = {"kind": "unet", "widths": [2, 3, 4, 5], "columns": "periodic"}
    scored = {"kind": "fno", "members": 3}
    job = job_of(field, tmp_path, models={"odd": odd, "scored": scored}, **FIELD)
    cell = maps.initial(model_of(job, "odd"), encoded, jax.random.key(0))
    assert isinstance(maps.loss_of(model_of(job, "scored"), cell), EnsembleLoss)
    with pytest.raises(InputError, match="takes no gradient, spectral or energy"):
        job_of(field, tmp_path, models={"m": {**scored, "spectral": 0.1}}, **FIELD)
    job = job_of(
        field, tmp_path, models={"m": {**scored, "cycles": ["day"], "modes": [2, 2]}},
        **FIELD,
    )  # fmt: skip
    with pytest.raises(InputError, match=r"models.m: the phase of the day .* 1 day"):
        maps.check_grids(job, encoded.material.layout)
    with pytest.raises(InputError, match="the same number for each layer"):
        job_of(
            field, tmp_path, models={"m": {"kind": "predrnn", "widths": [2, 3]}},
            **FIELD,
        )  # fmt: skip
    for wrong in ({"kernel": 4}, {"widths": [2]}, {"columns": "wrap"}, {"ema": 1.0}):
        with pytest.raises(InputError, match=rf"models.odd.*{next(iter(wrong))}"):
            job_of(field, tmp_path, models={"odd": {**odd, **wrong}}, **FIELD)
