"""Layers side by side: each branch alone, and merged."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tendency.errors import InputError
from tendency.networks import LSTM, MergedLayers, Recurrent, RecurrentCell, merged_lstm

XS = np.random.default_rng(0).normal(size=(4, 3))


@eqx.filter_jit
def told(network, xs):
    """Unfolded, folded, and each branch of the layers on its own part."""
    layers = network.stack.layers[0]
    held, ys = network.init(), []
    for x in xs:
        held, y = network.step(held, x)
        ys.append(y)
    parts = [
        branch.scan(branch.init(), part)[1]
        for branch, part in zip(layers.branches, (xs[:, :1], xs[:, 1:]), strict=True)
    ]
    given = layers.scan(layers.init(), xs)[1]
    return network.scan(network.init(), xs), (held, jnp.stack(ys)), parts, given


def test_each_branch_reads_its_own_part_and_folded_agrees_with_unfolded(key):
    one, two = jax.random.split(key)
    layers = merged_lstm((1, 2), 3, 4, key=one)
    assert layers.sizes == (3, 4)
    network = Recurrent(layers, 3, key=two)
    unfolded, folded, parts, given = told(network, jnp.asarray(XS))
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12)  # noqa: E731
    jax.tree.map(close, unfolded, folded)
    joined = np.concatenate([np.asarray(p) for p in parts], axis=1)
    merge = (np.asarray(layers.merge.weight), np.asarray(layers.merge.bias))
    close(given, np.tanh(joined @ merge[0] + merge[1]))
    # What a branch does not read does not touch its hidden state.
    other = told(network, jnp.asarray(XS + np.array([0.0, 0.0, 1.0])))
    near, far = (h[0] for h in other[0][0][0]), (h[0] for h in unfolded[0][0])
    for i, (a, b) in enumerate(zip(near, far, strict=True)):
        assert bool((np.asarray(a) == np.asarray(b)).all()) == (i == 0)
    cell = RecurrentCell(network, 1.0, spin_up_steps=2)
    state = jnp.asarray(XS[0])
    after = eqx.filter_eval_shape(lambda c, x: c.step(c.init(x)).state, cell, state)
    assert after.shape == (3,)


def test_layers_of_no_branches_are_refused(key):
    with pytest.raises(InputError, match="no branches"):
        MergedLayers((), 3, key=key)
    assert MergedLayers((LSTM(2, 3, key=key),), 1, key=key).sizes == (2, 1)
