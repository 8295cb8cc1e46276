"""The TOML of a job: read, refused in one sentence, written back."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tendency.errors import InputError
from tendency.jobs.config import dump_job, load_job, parse_job
from tendency.jobs.models import past_steps, window_times
from tendency.jobs.settings import Job

MINIMAL = """
out = "runs/x"
[data]
path = "x.nc"
variables = ["a"]
[split]
train = [1979-01-01, "2005"]
test = ["2006", "2010-06"]
[forecast]
steps = 10
[models.ar]
kind = "linear_ar"
"""


@pytest.fixture
def config(tmp_path) -> Path:
    path = tmp_path / "job.toml"
    path.write_text(MINIMAL)
    return path


def test_minimal(config):
    job = load_job(config)
    assert job.split.train == ["1979-01-01", "2005"]
    assert job.data.path == str(config.parent / "x.nc")
    assert job.out == str(config.parent / "runs/x")
    assert job.split.validation == 0.15
    assert job.seed == 0


def test_overrides(config):
    job = load_job(
        config,
        [
            "models.ar.lags=7",
            "prepare.eofs=0.9",
            "data.mask=land",
            "data.subset.lat=[30, 45.5]",
            "models.net={kind='mlp', width=8}",
            "split.test=[2006-01-01, 2007-01-01]",
            "report.title=Sea level = high",
        ],
    )
    ar, net = job.models["ar"].model_dump(), job.models["net"].model_dump()
    assert (ar["lags"], net["width"]) == (7, 8)
    assert job.prepare.eofs == 0.9
    assert job.data.mask == "land"
    assert job.data.subset == {"lat": [30, 45.5]}
    assert job.split.test == ["2006-01-01", "2007-01-01"]
    assert job.report.title == "Sea level = high"


REFUSED = {
    "data.varables=['x']": "data.varables is not a key .* did you mean variables",
    "forecst.steps=3": "forecst is not a key .* did you mean forecast",
    "models.ar.lag=3": "models.ar.lag is not a key .* did you mean lags",
    "forecast.steps=-1": "forecast.steps is -1, a number above 0",
    "forecast.steps=1.5": "forecast.steps is 1.5, a whole number",
    "forecast.steps=true": "forecast.steps is true, a whole number",
    "models.ar.kind=lstn": "models.ar.kind is .lstn.*did you mean lstm",
    "models.b.width=3": "models.b.kind is missing.*choose from linear_ar",
    "models.ar.lags=x": 'models.ar.lags is "x", a whole number',
    "models.ar.ridge=-1.0": "models.ar.ridge is -1.0, a number of at least 0",
    "models.persistence={kind='gru'}": "the name of a baseline",
    "split.validation=1.5": "split.validation is 1.5, a number below 1",
    "split.validation=abc": "split.validation is .abc., a number or a list",
    "split.train=['2000']": "split.train is .*a list of 2 or more",
    "split.train=['2000', '2001', '2002']": "a list of no more than 2",
    "prepare.eofs=-3": "prepare.eofs is -3",
    "prepare.eofs=1.0": "prepare.eofs is 1.0, a whole number or a number below 1",
    "prepare.eofs=nan": "prepare.eofs is NaN",
    "prepare.deseasonalise=year": "prepare.deseasonalise is .year., a list",
    "prepare.deseasonalise=['week']": "one of 'year' or 'day'",
    "data.start=2001-01-01": "data: start and step make a time axis together",
    "data.variables=[]": "data.variables is .., a list of 1 or more",
    "data.variables=[3]": "data.variables.0 is 3, text in quotes",
    "data.subset.lat=[{a=1}]": "data.subset.lat",
    "data=3": "data is 3, a table",
    "out=''": 'out is "", text that is not empty',
    "seed=-1": "seed is -1, a number of at least 0",
    "score.metrics=['rmsd']": "score.metrics.0 is .rmsd., one of 'rmse'",
    "data.path.y=3": "goes into path, which is not a table",
    "nothing": "not of the form table.key=value",
    "a.=3": "not of the form table.key=value",
}


@pytest.mark.parametrize("override", REFUSED)
def test_refused(config, override):
    with pytest.raises(InputError, match=REFUSED[override]) as caught:
        load_job(config, [override])
    assert "\n" not in str(caught.value)


def test_several_problems_are_counted(config):
    with pytest.raises(InputError, match=r"\(1 more problem after this one\)"):
        load_job(config, ["seed=-1", "forecast.steps=0"])


def test_a_missing_key_is_named(config):
    config.write_text(MINIMAL.replace("steps = 10", ""))
    with pytest.raises(InputError, match=r"forecast\.steps is missing"):
        load_job(config)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match=r"could not be read .*No such file"):
        load_job(tmp_path / "no.toml")
    path = tmp_path / "bad.toml"
    path.write_text("a = [1,\n b")
    with pytest.raises(InputError, match=r"not valid TOML .*line 2"):
        load_job(path)
    path.write_bytes(b"a = '\xff'")
    with pytest.raises(InputError, match="not valid TOML"):
        load_job(path)


def test_history_and_window_of_each_kind():
    told = {
        "linear_ar": ({"lags": 3}, 2, 4),
        "analog": ({"lags": 2}, 1, 3),
        "sparse_regression": ({}, 0, 5),
        "mlp": ({"horizon": 4}, 0, 5),
        "bilinear": ({"horizon": 4}, 0, 5),
        "gru": ({"history": 20, "horizon": 4}, 20, 25),
        "encoder_decoder": ({"history": 7, "horizon": 1}, 7, 9),
        "temporal_cnn": ({"kernel": 3, "depth": 2, "horizon": 2}, 12, 15),
        "transformer": ({"window": 8, "horizon": 2}, 7, 10),
        "convolutional": ({"lags": 2, "horizon": 3}, 1, 5),
        "unet": ({"lags": 2, "horizon": 3}, 1, 5),
        "conv_gru": ({"history": 5, "horizon": 2}, 5, 8),
    }
    content = tomllib.loads(MINIMAL)
    content["models"] = {k: {"kind": k, **v[0]} for k, v in told.items()}
    for name, model in parse_job(content).models.items():
        assert (past_steps(model), window_times(model)) == told[name][1:], name


dates = st.dates().map(str)
numbers = st.floats(-1e6, 1e6)
words = st.text(min_size=1, max_size=8)
models = st.one_of(
    st.fixed_dictionaries(
        {"kind": st.just("linear_ar")},
        optional={"lags": st.integers(1, 9), "ridge": st.floats(0, 10)},
    ),
    st.fixed_dictionaries(
        {"kind": st.sampled_from(["rnn", "lstm", "gru"])},
        optional={"width": st.integers(1, 9), "learning_rate": st.floats(1e-6, 1)},
    ),
)
contents = st.fixed_dictionaries(
    {
        "out": words,
        "data": st.fixed_dictionaries(
            {"path": words, "variables": st.lists(words, min_size=1, max_size=3)},
            optional={
                "subset": st.dictionaries(
                    words, numbers | dates | st.lists(numbers, min_size=2, max_size=2)
                ),
                "mask": st.sampled_from(["none", "land", "incomplete"]),
                "units": st.dictionaries(words, words, max_size=2),
            },
        ),
        "split": st.fixed_dictionaries(
            {
                "train": st.lists(dates, min_size=2, max_size=2),
                "test": st.lists(dates, min_size=2, max_size=2),
            },
            optional={"validation": st.floats(0, 0.99)},
        ),
        "forecast": st.fixed_dictionaries({"steps": st.integers(1, 99)}),
    },
    optional={
        "seed": st.integers(0, 99),
        "prepare": st.fixed_dictionaries(
            {}, optional={"eofs": st.integers(1, 9) | st.floats(0.01, 0.99)}
        ),
        "models": st.dictionaries(words, models, max_size=3),
    },
)


@given(contents)
def test_a_job_goes_through_toml(content):
    job = parse_job(content, folder=Path("/somewhere"))
    again = parse_job(tomllib.loads(dump_job(job)))
    assert isinstance(again, Job)
    assert again == job
