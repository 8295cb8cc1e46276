"""Optical flow and semi-Lagrangian advection: known flows are found, fields carried."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tendency.errors import InputError
from tendency.statistical import advection
from tendency.statistical.advection import (
    carried,
    departures,
    estimated_flow,
    gaussian,
    smoothed,
)

ROWS, COLUMNS = 40, 48
Y, X = np.mgrid[:ROWS, :COLUMNS].astype(float)


def blobs(y, x):
    """A smooth field given anywhere."""
    rng = np.random.default_rng(1)
    total = 0
    for _ in range(14):
        cy, cx, w = rng.uniform(-5, 45), rng.uniform(-5, 53), rng.uniform(2.5, 5)
        total = total + np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * w**2))
    return total


def turned(y, x, angle, about=(20.0, 24.0)):
    """Where what is at (y, x) was before a turn."""
    dy, dx = y - about[0], x - about[1]
    c, s = np.cos(angle), np.sin(angle)
    return about[0] + c * dy - s * dx, about[1] + s * dy + c * dx


find = jax.jit(
    lambda f, seen: estimated_flow(f, seen, scales=(4, 2, 0.5), stiffness=1e-3)
)
CORE = np.hypot(Y - 19.5, X - 23.5) < 12
CIRCLE = np.hypot(Y - 19.5, X - 23.5) < 18


@pytest.mark.parametrize(
    ("seen", "within"),
    [(np.ones((ROWS, COLUMNS), bool), 0.03), (CIRCLE, 0.15)],
    ids=["all", "behind a mask"],
)
def test_a_uniform_and_a_turning_flow_are_found(seen, within):
    v = np.array([1.3, -2.2])
    fields = np.stack([blobs(Y - t * v[0], X - t * v[1]) for t in range(3)])
    found = np.asarray(find(jnp.asarray(fields * seen), jnp.asarray(seen)))
    for part, exact in zip(found, v, strict=True):
        np.testing.assert_allclose(part[CORE], exact, atol=within)
    angle = 0.06
    fields = np.stack([blobs(*turned(Y, X, t * angle)) for t in range(3)])
    found = np.asarray(find(jnp.asarray(fields * seen), jnp.asarray(seen)))
    for part, exact in zip(found, (Y, X) - np.array(turned(Y, X, angle)), strict=True):
        np.testing.assert_allclose(part[CORE], exact[CORE], atol=within)


def test_nothing_that_moves_gives_no_flow():
    still = jnp.zeros((2, ROWS, COLUMNS)).at[:, 3, 4].set(1.0)
    seen = jnp.ones((ROWS, COLUMNS), bool)
    assert float(abs(find(still, seen)).max()) < 1e-9
    nothing = find(jnp.zeros((2, ROWS, COLUMNS)), seen)
    assert float(abs(nothing).max()) == 0.0  # and no NaN


def test_departures_of_a_turn_come_round_with_second_order():
    """After a whole turn of a solid rotation every point departs from itself."""

    def error(steps):
        angle = 2 * np.pi / steps
        flow = jnp.asarray(np.stack([-angle * (X - 23.5), angle * (Y - 19.5)]))
        points = np.asarray(departures(flow, steps)[-1])
        core = np.hypot(Y - 19.5, X - 23.5) < 12
        return np.hypot(points[0] - Y, points[1] - X)[core].max()

    # The midpoint rule of a turn errs by (angle)³ / 6 a step, its length grows too.
    coarse, fine = error(40), error(80)
    assert np.log2(coarse / fine) == pytest.approx(2, abs=0.1)


def test_what_is_carried_comes_from_upstream_and_nothing_from_outside():
    field = jnp.asarray(1 + blobs(Y, X))
    flow = jnp.stack([jnp.full((ROWS, COLUMNS), 2.0), jnp.full((ROWS, COLUMNS), -1.0)])
    points = departures(flow, 3)
    moved = np.asarray(carried(field, points[2]))
    np.testing.assert_allclose(moved[6:, :-3], np.asarray(field)[:-6, 3:])
    assert moved[:6].max() == 0.0
    assert moved[:, -3:].max() == 0.0


def test_smoothing_keeps_a_constant_behind_a_mask():
    seen = jnp.asarray((np.hypot(Y - 19.5, X - 23.5) < 12).astype(float))
    field = smoothed(7 * seen, seen, 2.0)
    inside = np.asarray(field) > 0
    np.testing.assert_allclose(np.asarray(field)[inside], 7, rtol=1e-12)
    assert inside[19, 23]
    assert not inside[0, 0]
    np.testing.assert_allclose(gaussian(80, 3.0)[40].sum(), 1, atol=1e-4)


def test_a_flow_needs_two_fields():
    with pytest.raises(InputError, match="from 1 fields"):
        estimated_flow(jnp.zeros((1, 4, 4)), jnp.ones((4, 4), bool))


def test_a_flow_is_compiled_once(monkeypatch):
    """A nowcast every five minutes must not compile anew."""
    calls = []
    plain = advection.smoothed
    monkeypatch.setattr(
        advection, "smoothed", lambda *a, **k: calls.append(1) or plain(*a, **k)
    )
    for field in (1.0, 2.0):
        estimated_flow(
            jnp.full((2, 5, 7), field), jnp.ones((5, 7), bool), scales=[1], iterations=1
        )
        assert len(calls) == 1
