"""The search is exact: against brute force, for any data, batch, and precision."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tendency.errors import InputError
from tendency.statistical.neighbours import Neighbours, nearest
from tendency.statistical.selection import first, smallest, threshold


@eqx.filter_jit
def found(search, queries):
    return jax.vmap(lambda q: nearest(search, q))(queries)


@eqx.filter_jit
def found_one(search, query):
    return nearest(search, query)


def brute(points, queries, k):
    distances = np.sqrt(np.square(points[None] - queries[:, None]).sum(-1))
    return np.sort(distances, axis=1)[:, :k], distances


def assert_exact(search, points, queries, rtol=1e-12):
    """The distances are those of the k nearest, and the indices are theirs, once each.

    States that tie may be exchanged, so that indices are compared by their distances.
    """
    distance, index = found(search, jnp.asarray(queries))
    expected, of_all = brute(points, queries, search.k)
    np.testing.assert_allclose(distance, expected, rtol=rtol, atol=1e-150)
    np.testing.assert_allclose(
        np.take_along_axis(of_all, np.asarray(index), 1), expected, rtol=rtol
    )
    assert all(len(set(row)) == search.k for row in np.asarray(index).tolist())


def curve(rng, size, noise=0.01):
    """A spiral in three dimensions: states that fill hardly more than one."""
    t = rng.uniform(0, 6, size)
    line = np.stack([t * np.cos(3 * t), t * np.sin(3 * t), t**2], axis=1)
    return line + noise * rng.standard_normal((size, 3))


@pytest.mark.parametrize(
    ("size", "d", "k"),
    [(1, 1, 1), (7, 2, 7), (60, 1, 3), (300, 8, 25), (700, 5, 40), (3000, 2, 2500)],
)
def test_the_k_nearest_are_found(size, d, k):
    rng = np.random.default_rng(size)
    points = rng.standard_normal((size, d))
    queries = np.concatenate([2 * rng.standard_normal((20, d)), points[:3]])
    assert_exact(Neighbours.of(jnp.asarray(points), k), points, queries)


def test_many_components_are_added_in_parts():
    rng = np.random.default_rng(0)
    for d in (19, 30, 45):
        points = rng.standard_normal((200, d))
        search = Neighbours.of(jnp.asarray(points), 9)
        assert_exact(search, points, rng.standard_normal((5, d)), rtol=1e-13)


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    scale=st.sampled_from([1e-8, 1.0, 1e6]),
    offset=st.sampled_from([0.0, 1.0, 1e4]),
    distinct=st.sampled_from([1, 3, 50, 1000]),
    decimals=st.sampled_from([1, 3, 17]),
)
def test_lists_and_blocks_agree_with_brute_force(
    seed, scale, offset, distinct, decimals
):
    """With duplicates, ties, and coordinates far larger than their differences."""
    rng = np.random.default_rng(seed)
    points = np.round(curve(rng, 1000), decimals)[rng.integers(0, distinct, 1000)]
    points = scale * (points + offset)
    near = points[:20] + scale * rng.choice([0, 1e-3, 0.3]) * rng.standard_normal(
        (20, 3)
    )
    far = scale * (offset + 10 * rng.standard_normal((20, 3)))
    queries = np.concatenate([near, far])
    search = _searches(points)
    assert_exact(search, points, queries)
    assert_exact(eqx.tree_at(lambda s: s.lists, search, None), points, queries)


def _searches(points):
    """With lists of the same shapes for any points, whether or not they would help."""
    from tendency.statistical import neighbour_lists

    usual = neighbour_lists._SETTLED
    neighbour_lists._SETTLED = (0.0, 0.0)
    try:
        return Neighbours.of(jnp.asarray(points), 12)
    finally:
        neighbour_lists._SETTLED = usual


def test_lists_are_made_where_they_help():
    rng = np.random.default_rng(0)
    assert Neighbours.of(jnp.asarray(curve(rng, 2000)), 20).lists is not None
    assert Neighbours.of(jnp.asarray(rng.standard_normal((2000, 8))), 20).lists is None
    assert Neighbours.of(jnp.asarray(rng.standard_normal((2000, 20))), 2).lists is None
    assert Neighbours.of(jnp.asarray(curve(rng, 100)), 20).lists is None


def test_short_lists_settle_most_and_the_rest_is_found_all_the_same():
    rng = np.random.default_rng(1)
    points = curve(rng, 4000)
    search = Neighbours.of(jnp.asarray(points), 20)
    assert search.lists is not None
    queries = curve(rng, 200)
    assert_exact(search, points, queries)
    assert_exact(search, points, 30 * rng.standard_normal((200, 3)))


def test_a_batch_finds_what_single_queries_find():
    rng = np.random.default_rng(2)
    points = curve(rng, 1000)
    queries = jnp.asarray(np.concatenate([curve(rng, 150), points[:3]]))
    for search in (_searches(points), Neighbours.of(jnp.asarray(points[:100]), 12)):
        together = found(search, queries)
        for i in (0, 7, 152):
            one = found_one(search, queries[i])
            np.testing.assert_array_equal(one[0], together[0][i])
            np.testing.assert_array_equal(one[1], together[1][i])
        nested = jax.vmap(lambda q, s=search: found(s, q))(
            queries[:150].reshape(3, 50, 3)
        )
        np.testing.assert_array_equal(nested[1].reshape(150, -1), together[1][:150])


def test_a_batch_of_catalogues_is_searched_one_by_one():
    rng = np.random.default_rng(3)
    points = rng.standard_normal((2, 90, 2))
    queries = jnp.asarray(rng.standard_normal((2, 2)))
    searches = [Neighbours.of(jnp.asarray(p), 5) for p in points]
    both = jax.tree.map(lambda *leaves: jnp.stack(leaves), *searches)
    each = jnp.stack(
        [found_one(s, q)[1] for s, q in zip(searches, queries, strict=True)]
    )
    np.testing.assert_array_equal(jax.vmap(nearest)(both, queries)[1], each)
    same = jax.vmap(nearest, in_axes=(0, None))(both, queries[0])[1]
    np.testing.assert_array_equal(same[0], each[0])


def test_a_query_that_is_not_finite_neither_hangs_nor_harms_the_others():
    rng = np.random.default_rng(4)
    points = curve(rng, 1000)
    queries = curve(rng, 30)
    spoilt = queries.copy()
    spoilt[3] = np.nan
    spoilt[4, 1] = np.inf
    spoilt[5, 2] = -np.inf
    for search in (_searches(points), Neighbours.of(jnp.asarray(points[:100]), 12)):
        expected = found(search, jnp.asarray(queries))
        got = found(search, jnp.asarray(spoilt))
        assert np.isnan(got[0][3]).all()
        assert not np.isfinite(got[0][4:6]).any()
        kept = np.r_[0:3, 6:30]
        np.testing.assert_array_equal(got[1][kept], expected[1][kept])


def test_float32_is_searched_in_float32():
    rng = np.random.default_rng(5)
    points = curve(rng, 1000).astype(np.float32)
    queries = np.concatenate([curve(rng, 20), points[:5]]).astype(np.float32)
    for search in (_searches(points), Neighbours.of(jnp.asarray(points[:99]), 12)):
        distance, _ = found(search, jnp.asarray(queries))
        assert distance.dtype == jnp.float32
        size = len(search.points.value)
        exact = points[:size].astype(float), queries.astype(float)
        expected, _ = brute(*exact, 12)
        np.testing.assert_allclose(distance, expected, rtol=1e-6, atol=1e-6)


def test_no_gradient_passes_through_the_choice():
    rng = np.random.default_rng(6)
    points = jnp.asarray(rng.standard_normal((80, 3)))
    search = Neighbours.of(points, 6)

    @jax.jit
    def sum_of_squares(query):
        return jnp.sum(jnp.square(search.points.value[search(query)] - query[None]))

    query = jnp.asarray(rng.standard_normal(3))
    index = found_one(search, query)[1]
    expected = 2 * jnp.sum(query[None] - points[index], 0)
    np.testing.assert_allclose(jax.grad(sum_of_squares)(query), expected, rtol=1e-12)
    tangent = jax.jvp(sum_of_squares, (query,), (jnp.ones(3),))[1]
    np.testing.assert_allclose(tangent, expected.sum(), rtol=1e-12)


def test_what_cannot_be_searched_is_refused():
    points = jnp.zeros((4, 2))
    with pytest.raises(
        InputError, match="5 neighbours were asked for in a catalogue of 4"
    ):
        Neighbours.of(points, 5)
    with pytest.raises(InputError, match="0 neighbours"):
        Neighbours.of(points, 0)
    with pytest.raises(InputError, match="2 NaN or infinite"):
        Neighbours.of(points.at[1].set(jnp.nan), 2)


select = jax.jit(smallest, static_argnums=1)


@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.sampled_from([1, 33, 300, 1100]),
    power=st.sampled_from([1, 8, 60]),
    decimals=st.sampled_from([1, 17]),
)
def test_the_smallest_are_selected_in_order_of_place(seed, size, power, decimals):
    rng = np.random.default_rng(seed)
    values = np.round(rng.random((3, size)) ** power, decimals)
    values[1, rng.random(size) < 0.3 * (size > 1)] = np.inf
    k = (size + 2) // 3
    places, limit = select(jnp.asarray(values), k)
    places = np.asarray(places)
    assert (np.diff(places, axis=1) > 0).all()
    got = np.sort(np.take_along_axis(values, places, 1), 1)
    np.testing.assert_array_equal(got, np.sort(values, 1)[:, :k])
    below = values <= np.asarray(limit)[:, None]
    tied = (values == got[:, -1:]).sum(1)
    assert (below.sum(1) <= k - 1 + tied).all()
    assert (below.sum(1) >= k).all()


def test_a_threshold_parts_values_that_differ_in_their_last_bit():
    ones = np.nextafter(1.0, 2.0) * np.ones(9)
    ones[:4] = 1.0
    assert threshold(jnp.asarray(ones), 4) == 1.0
    tiny = jnp.asarray([1e-300, 1e-200, 1e-100, 1.0])
    for rank in (1, 2, 3, 4):
        assert int(jnp.sum(tiny <= threshold(tiny, rank))) == rank
    assert (jnp.zeros(5) <= threshold(jnp.zeros(5), 2)).all()


@pytest.mark.parametrize("size", [1, 31, 64, 1000])
def test_the_first_flags_are_found(size):
    rng = np.random.default_rng(size)
    flags = rng.random((4, size)) < 0.4
    flags[:, -1] = True
    k = int(flags.sum(1).min())
    places = jax.jit(first, static_argnums=1)(jnp.asarray(flags), k)
    for row, place in zip(flags, np.asarray(places), strict=True):
        np.testing.assert_array_equal(place, np.flatnonzero(row)[:k])
