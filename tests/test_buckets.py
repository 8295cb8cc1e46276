"""Samples of several lengths: a batch is of one length, an epoch sees each once."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from support import Map

from tendency.buckets import Buckets
from tendency.errors import InputError
from tendency.fitting import Descent, LeastSquares, RolloutLoss, fit
from tendency.fitting.updates import epoch_key
from tendency.windows import Window

KEY = jax.random.key(0)
LOSS = RolloutLoss()


def samples(count: int, length: int, seed: int) -> Window:
    """Of x' = A x + b with noise."""
    draw = np.random.default_rng(seed)
    x = [draw.normal(size=(count, 2))]
    for _ in range(length - 1):
        x.append(x[-1] @ np.array([[0.9, 0.2], [-0.2, 0.8]]).T + [0.1, 0.3])
    noise = 0.01 * draw.normal(size=(count, length, 2))
    return Window(jnp.asarray(np.stack(x, 1) + noise))


DATA = Buckets.of([samples(7, 3, 1), samples(5, 6, 2)])
VALIDATION = Buckets.of([samples(3, 4, 3), samples(2, 7, 4)])
CELL = Map(jnp.eye(2), jnp.zeros(2))


def test_an_epoch_sees_each_sample_at_most_once():
    rows = np.asarray(DATA.batches(KEY, 2))
    assert rows.shape == (DATA.steps(2), 3) == (5, 3)
    for group, size in enumerate(DATA.sizes):
        places = rows[rows[:, 0] == group, 1:].ravel()
        assert len(set(places)) == len(places) == size // 2 * 2
        assert places.max() < size
    others = [np.asarray(DATA.batches(jax.random.key(i), 2)) for i in range(1, 9)]
    assert len({tuple(r[:, 0]) for r in others}) > 1, "batches are permuted too"
    assert len({tuple(r[r[:, 0] == 0, 1:].ravel()) for r in others}) == 8


def test_descent_by_hand():
    rate, epochs, batch = 0.05, 4, 2
    method = Descent(optax.sgd(rate), epochs, batch=batch)
    watched = {}
    fitted = fit(
        CELL, DATA, method, key=KEY, loss=LOSS, validation=VALIDATION,
        watch=lambda epoch, cell: watched.update({epoch: np.array(cell.matrix)}),
    )  # fmt: skip
    assert_array_equal(watched[epochs - 1], fitted.cell.matrix)

    @eqx.filter_jit
    def mean(cell, window):
        return jax.vmap(lambda w: LOSS(cell, w))(window).mean()

    slope, now, losses = eqx.filter_grad(mean), CELL, []
    for epoch in range(epochs):
        for group, *places in np.asarray(DATA.batches(epoch_key(KEY, epoch), batch)):
            change = slope(now, DATA.take(int(group), jnp.asarray(places)))
            now = jax.tree.map(lambda w, g: w - rate * g, now, change)
        sums = [
            float(mean(now, g)) * n
            for g, n in zip(VALIDATION.groups, VALIDATION.sizes, strict=True)
        ]
        losses.append(sum(sums) / len(VALIDATION))
    assert_allclose(fitted.history["validation_loss"], losses, rtol=1e-12)
    assert losses[-1] < 0.2 * losses[0]


class Killed(Exception):
    pass


def test_a_fit_that_was_killed_goes_on_to_the_last_bit(tmp_path):
    method = Descent(optax.adam(0.02), 6, batch=2, checkpoint_every=3, ema=0.9)

    def run(**more):
        return fit(
            CELL, DATA, method, key=KEY, loss=LOSS, validation=VALIDATION, **more
        )

    def kill(figures):
        if figures["epoch"] == 3:
            raise Killed

    with pytest.raises(Killed):
        run(directory=tmp_path, report=kill)
    resumed, whole = run(directory=tmp_path), run()
    assert eqx.tree_equal(resumed.cell, whole.cell)
    assert_array_equal(
        resumed.history["validation_loss"], whole.history["validation_loss"]
    )
    other = Buckets.of([samples(7, 3, 1), samples(5, 6, 9)])
    with pytest.raises(InputError, match="other data, settings or key"):
        fit(
            CELL, other, method, key=KEY, loss=LOSS, validation=VALIDATION,
            directory=tmp_path,
        )  # fmt: skip


def test_the_largest_samples_are_those_of_the_memory():
    assert DATA.bytes_of_window == 6 * 2 * 8
    assert DATA.longest(9).states.shape == (9, 6, 2)
    assert DATA.length == 3


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: Buckets.of([]), "no bucket"),
        (lambda: Buckets.of([samples(0, 3, 1)]), r"bucket 0 hold \[0\] samples"),
        (
            lambda: Buckets.of([Window(jnp.ones((3, 2, 1)), weights=jnp.ones((2, 2)))]),
            r"bucket 0 hold \[2, 3\] samples",
        ),
        (
            lambda: fit(
                CELL, DATA, LeastSquares(), key=KEY, loss=LOSS, watch=lambda *_: None
            ),
            "LeastSquares has no epochs to watch",
        ),
        (
            lambda: fit(CELL, DATA, LeastSquares(), key=KEY, loss=LOSS),
            "LeastSquares needs all windows at once and was given Buckets",
        ),
        (
            lambda: fit(
                CELL, DATA, Descent(optax.sgd(0.1), 1), key=KEY, loss=LOSS,
                free_initial_states=True,
            ),
            "the windows are in buckets",
        ),
        (
            lambda: fit(
                CELL, DATA, Descent(optax.sgd(0.1), 1), key=KEY,
                loss=RolloutLoss(horizon=3),
            ),
            "3",
        ),
    ],
)  # fmt: skip
def test_bad_input(make, word):
    with pytest.raises(InputError, match=word):
        make()
