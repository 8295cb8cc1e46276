"""Between data and models: cycles, scales, area weights, EOFs, and back."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import tendency
from tendency.data.clock import Clock, infer_clock
from tendency.data.eof import eofs
from tendency.data.layout import Layout
from tendency.data.prepare import prepare
from tendency.errors import InputError


def series(count=400, space=(4, 3), step="D", seed=0) -> tuple[np.ndarray, Layout]:
    """Two variables of very different size on a grid, with cycle and noise."""
    rng = np.random.default_rng(seed)
    times = np.datetime64("2001-01-01", "us") + np.arange(count).astype(f"m8[{step}]")
    t = np.arange(count)[:, None, None]
    cycle = np.sin(2 * np.pi * t / 365.2425)
    data = {
        "p": 1e5 + 500 * cycle + 100 * rng.normal(size=(count, *space)),
        "q": 1e-3 + 2e-4 * cycle + 1e-4 * rng.normal(size=(count, *space)),
    }
    dataset = xr.Dataset(
        {k: (("time", "lat", "lon"), v) for k, v in data.items()},
        {"lat": np.linspace(-90, 60, space[0]), "time": times},
    )
    clock, _ = infer_clock(times)
    layout = Layout.of(dataset, clock)
    return layout.pack(dataset), layout


def numbers(count: int) -> np.ndarray:
    return np.arange(float(count))


@settings(max_examples=10)
@given(
    cycles=st.sampled_from([(), ("year",)]),
    standardise=st.booleans(),
    area=st.booleans(),
    seed=st.integers(0, 99),
)
def test_decode_undoes_encode(cycles, standardise, area, seed):
    states, layout = series(seed=seed)
    t = numbers(400)
    preparation = prepare(
        states,
        t,
        layout,
        deseasonalise=cycles,
        standardise=standardise,
        area_weights=area,
    )
    later = jnp.asarray(states[:5] * 1.01)
    latent = preparation.encode(later, jnp.asarray(t[:5]) + 1000)
    back = preparation.decode(latent, jnp.asarray(t[:5]) + 1000)
    np.testing.assert_allclose(back, later, rtol=1e-12)
    assert latent.shape[1] == preparation.size == layout.size
    if standardise and not area:
        spread = np.asarray(preparation.encode(jnp.asarray(states), jnp.asarray(t)))
        for part in layout.parts.values():
            np.testing.assert_allclose(spread[:, part].std(), 1, rtol=1e-3)


def test_the_cycle_is_taken_off():
    states, layout = series(count=1500)
    t = numbers(1500)
    raw = prepare(states, t, layout)
    flat = prepare(states, t, layout, deseasonalise=("year",), harmonics=1)
    encoded = [
        np.asarray(p.encode(jnp.asarray(states), jnp.asarray(t))) for p in (raw, flat)
    ]
    wave = np.exp(-2j * np.pi * t / 365.2425)
    power = [np.abs(wave @ z).mean() / len(t) for z in encoded]
    assert power[1] < 1e-10 * power[0]
    clim = np.asarray(flat.climatology(jnp.asarray(t)))
    expected = 1e5 + 500 * np.sin(2 * np.pi * t / 365.2425)
    np.testing.assert_allclose(
        clim[:, 0], expected, atol=25
    )  # noise of 100 / sqrt(1500)


def test_nothing_asked_for_is_nothing_done():
    states, layout = series()
    preparation = prepare(
        states, numbers(400), layout, standardise=False, area_weights=False
    )
    z = preparation.encode(jnp.asarray(states), jnp.asarray(numbers(400)))
    np.testing.assert_array_equal(z, states)


def test_area_weights():
    states, layout = series()
    t = numbers(400)
    even = prepare(states, t, layout, area_weights=False)
    weighted = prepare(states, t, layout)
    ratio = np.asarray(even.scale.value / weighted.scale.value)
    lat = layout.latitude
    np.testing.assert_allclose(
        ratio[lat > -90] ** 2, np.cos(np.deg2rad(lat[lat > -90]))
    )
    assert (ratio[lat == -90] == 0.1).all()  # the pole keeps a weight


def test_missing_values_become_the_climatology():
    states, layout = series()
    t = numbers(400)
    states[7, 3] = np.nan
    for modes in (None, 5):
        preparation = prepare(states, t, layout, eofs=modes)
        z = preparation.encode(jnp.asarray(states[7]), jnp.asarray(t[7]))
        filled = states[7].copy()
        filled[3] = preparation.climatology(jnp.asarray(t[7]))[3]
        expected = preparation.encode(jnp.asarray(filled), jnp.asarray(t[7]))
        np.testing.assert_allclose(z, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("shape", [(300, 20), (20, 300), (60, 50)])
def test_eofs_agree_with_the_singular_values(shape):
    rng = np.random.default_rng(0)
    X = rng.normal(size=shape) * np.geomspace(1, 0.1, shape[1])
    patterns, variance = eofs(X, 7)
    _, singular, right = np.linalg.svd(X, full_matrices=False)
    np.testing.assert_allclose(variance, singular[:7] ** 2 / shape[0], rtol=1e-10)
    np.testing.assert_allclose(patterns.T @ patterns, np.eye(7), atol=1e-10)
    np.testing.assert_allclose(np.abs(np.diag(patterns.T @ right[:7].T)), 1, rtol=1e-8)
    largest = patterns[np.abs(patterns).argmax(0), range(7)]
    assert (largest > 0).all()
    share, held = eofs(X, 0.5)
    total = (X**2).sum() / shape[0]
    assert held.sum() >= 0.5 * total > held[:-1].sum()
    assert share.shape == (shape[1], len(held))


def test_eofs_that_are_refused():
    X = np.random.default_rng(0).normal(size=(5, 8))
    with pytest.raises(InputError, match="6 EOFs were asked for and 5 times of 8"):
        eofs(X, 6)
    with pytest.raises(InputError, match="do not vary"):
        eofs(np.zeros((5, 8)), 1)


def test_eofs_keep_what_they_hold():
    states, layout = series()
    t = jnp.asarray(numbers(400))
    x = jnp.asarray(states)
    error = []
    for modes in (3, 12, 24):
        preparation = prepare(states, numbers(400), layout, eofs=modes)
        z = preparation.encode(x, t)
        assert z.shape == (400, modes)
        np.testing.assert_allclose(np.std(z[:, 0]), 1, rtol=1e-6)
        back = preparation.decode(z, t)
        error.append(float(jnp.abs((back - x) / preparation.scale.value[None]).max()))
        explained = preparation.explained
        assert explained is not None
        assert jnp.all(jnp.diff(explained.value) <= 0)
        # Encoding what was decoded changes nothing: a projection.
        np.testing.assert_allclose(preparation.encode(back, t), z, atol=1e-9)
    assert error[0] > error[1] > error[2]
    assert error[2] < 1e-9
    np.testing.assert_allclose(np.sum(explained.value), 1, rtol=1e-9)


def test_a_preparation_is_jitted_batched_and_saved(tmp_path):
    states, layout = series(count=800)
    t = numbers(800)
    preparation = prepare(states, t, layout, deseasonalise=("year",), eofs=4)
    x, when = jnp.asarray(states[:6]), jnp.asarray(t[:6])
    z = eqx.filter_jit(preparation.encode)(x, when)
    np.testing.assert_allclose(z, preparation.encode(x, when), atol=1e-10)
    cube = preparation.decode(z.reshape(2, 3, 4), when.reshape(2, 3))
    np.testing.assert_allclose(
        cube.reshape(6, -1), preparation.decode(z, when), rtol=1e-12
    )
    leaves = jax.tree.leaves(tendency.trainable(preparation))
    assert not any(leaves)
    path = tmp_path / "preparation.safetensors"
    tendency.save(path, preparation, {"layout": layout.to_dict()})
    back, metadata = tendency.load(path)
    np.testing.assert_array_equal(back.encode(x, when), preparation.encode(x, when))
    assert Layout.from_dict(metadata["layout"]) == layout


def test_float32_stays_float32():
    states, layout = series()
    preparation = prepare(states.astype("float32"), numbers(400), layout, eofs=3)
    x = jnp.asarray(states[:2], jnp.float32)
    t = jnp.asarray([0.0, 1.0])
    z = preparation.encode(x, t)
    assert z.dtype == preparation.decode(z, t).dtype == jnp.float32


def test_daily_cycles_in_hours():
    t = np.arange(240.0)
    states = np.cos(2 * np.pi * t / 24)[:, None] + 5
    dataset = xr.Dataset({"v": ("time", states[:, 0])})
    layout = Layout.of(dataset, Clock(1.0, "hour", "2000-01-01"))
    preparation = prepare(states, t, layout, deseasonalise=("day",), standardise=False)
    np.testing.assert_allclose(
        preparation.encode(jnp.asarray(states), jnp.asarray(t)), 0, atol=1e-12
    )


def test_what_cannot_be_prepared():
    states, layout = series(count=200)
    t = numbers(200)
    with pytest.raises(
        InputError, match=r"prepare.deseasonalise: the series spans 200"
    ):
        prepare(states, t, layout, deseasonalise=("year",))
    with pytest.raises(InputError, match=r"cycle of the day|harmonics of the day"):
        prepare(states, t, layout, deseasonalise=("day",))
    states[:, 2] = np.nan
    with pytest.raises(InputError, match="1 of 24 components of the state are missing"):
        prepare(states, t, layout)
    monthly = Layout(layout.variables, (), Clock(1.0, "month", "2000-01-01"))
    good, _ = series(count=200)
    with pytest.raises(InputError, match=r"6 harmonics .* of 1 month resolves 5"):
        prepare(good, t, monthly, deseasonalise=("year",), harmonics=6)
    prepare(good, t, monthly, deseasonalise=("year",), harmonics=5)
