"""The cell and its small companions: what may be learned, and statistics."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jaxtyping import Array
from numpy.testing import assert_allclose

from tendency.cell import (
    AbstractCell,
    Constant,
    Ramp,
    Standardisation,
    forcing_at,
    trainable,
)


class Model(eqx.Module):
    weight: Array
    statistics: Standardisation
    table: np.ndarray
    count: Array
    activation: object = jnp.tanh
    size: int = 3


@pytest.fixture
def model():
    return Model(
        jnp.arange(3.0),
        Standardisation(jnp.array([1.0, 2.0]), jnp.array([3.0, 0.0])),
        np.ones(2),
        jnp.arange(2),
    )


def test_trainable_picks_inexact_arrays_outside_constants(model):
    weights = eqx.filter(model, trainable(model))
    (leaf,) = jax.tree.leaves(weights)
    assert_allclose(leaf, model.weight)


def test_trainable_has_the_structure_that_partition_and_combine_need(model):
    weights, rest = eqx.partition(model, trainable(model))
    assert eqx.tree_equal(eqx.combine(weights, rest), model)


def test_a_constant_inside_a_list_inside_a_constant_is_kept_out():
    tree = {"a": [Constant((jnp.ones(2), {"b": jnp.ones(1)}))], "c": jnp.ones(3)}
    assert [a.shape for a in jax.tree.leaves(eqx.filter(tree, trainable(tree)))] == [
        (3,)
    ]


def test_no_optimiser_moves_a_constant_even_with_weight_decay(model):
    weights, rest = eqx.partition(model, trainable(model))
    optimiser = optax.adamw(0.1, weight_decay=0.5)

    def loss(weights):
        full = eqx.combine(weights, rest)
        return jnp.sum(full.statistics.apply(full.weight[:2]) ** 2)

    @eqx.filter_jit
    def moved_once(weights):
        slope = jax.grad(loss)(weights)
        with jax.numpy_dtype_promotion("standard"):
            change, _ = optimiser.update(slope, optimiser.init(weights), weights)
        return optax.apply_updates(weights, change)

    moved: Any = eqx.combine(moved_once(weights), rest)
    assert not jnp.allclose(moved.weight, model.weight)
    assert eqx.tree_equal(moved.statistics, model.statistics)
    assert moved.table is model.table
    assert eqx.tree_equal(moved.count, model.count)


def test_standardisation_inverts_itself():
    samples = np.random.default_rng(0).normal(3.0, 2.0, (50, 2, 3))
    scaling = Standardisation.of(jnp.asarray(samples))
    anomalies = jax.vmap(scaling.apply)(jnp.asarray(samples))
    assert_allclose(anomalies.mean(0), np.zeros((2, 3)), atol=1e-14)
    assert_allclose(anomalies.std(0), np.ones((2, 3)), rtol=1e-13)
    assert_allclose(jax.vmap(scaling.invert)(anomalies), samples, rtol=1e-14)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e9 / 3])
def test_a_component_that_never_varies_keeps_its_units(value):
    """The mean of equal numbers is rounded: their measured spread is not quite zero."""
    samples = jnp.stack([jnp.full(7, value), jnp.arange(7.0)], axis=1)
    scaling = Standardisation.of(samples)
    assert_allclose(scaling.std.value, [1.0, 2.0])
    assert_allclose(scaling.apply(samples[0])[0], 0.0, atol=1e-6)


def test_standardisation_leaves_out_what_is_missing():
    samples = jnp.array(
        [[1.0, jnp.nan, jnp.nan], [jnp.nan, 4.0, jnp.nan], [3.0, 8, jnp.nan]]
    )
    scaling = Standardisation.of(samples)
    assert_allclose(scaling.mean.value, [2.0, 6.0, 0.0])
    assert_allclose(scaling.std.value, [1.0, 2.0, 1.0])


def test_the_identity_standardisation_changes_nothing():
    state = jnp.array([3.0, -1.0])
    scaling = Standardisation.identity(2)
    assert_allclose(scaling.apply(state), state, rtol=0)
    assert_allclose(scaling.invert(state), state, rtol=0)


def test_a_standardisation_follows_the_precision_of_the_samples():
    scaling = Standardisation.of(jnp.ones((4, 2), jnp.float32))
    assert scaling.apply(jnp.ones(2, jnp.float32)).dtype == jnp.float32


def test_a_ramp_is_read_at_the_fraction_of_the_step():
    ramp = Ramp({"wind": jnp.array([0.0, 1.0])}, {"wind": jnp.array([2.0, -1.0])})
    assert_allclose(forcing_at(ramp, 0.0)["wind"], [0.0, 1.0], rtol=0)
    assert_allclose(forcing_at(ramp, 0.25)["wind"], [0.5, 0.5], rtol=0)
    assert_allclose(forcing_at(ramp, 1.0)["wind"], [2.0, -1.0], rtol=0)


def test_any_other_forcing_is_held():
    held = {"wind": jnp.ones(2)}
    assert forcing_at(held, 0.7) is held
    assert forcing_at(None, 0.7) is None


def test_the_interface_itself_cannot_be_built():
    with pytest.raises(TypeError, match="abstract"):
        AbstractCell()  # pyright: ignore[reportAbstractUsage, reportCallIssue]
