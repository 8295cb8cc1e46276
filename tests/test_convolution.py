"""The convolution of maps: against that of `jax.lax`, with all its derivatives."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tendency.networks.maps import convolution
from tendency.networks.maps.convolution import convolve

CASES = [  # kernel, stride, zeros
    ((3, 3), 1, (0, 0)),
    ((3, 3), 1, (1, 1)),
    ((5, 3), 2, (0, 1)),
    ((1, 1), 1, (0, 0)),
    ((1, 1), 2, (0, 0)),
    ((1, 1), 2, (1, 0)),
    ((7, 7), 3, (3, 2)),
]


def plain(x, kernel, stride=1, zeros=(0, 0)):
    around = [(zero, zero) for zero in zeros]
    return jax.lax.conv_general_dilated(x[None], kernel, (stride, stride), around)[0]


def drawn(key, *shapes, dtype=jnp.float64):
    keys = jax.random.split(key, len(shapes))
    return [jax.random.normal(k, s, dtype) for k, s in zip(keys, shapes, strict=True)]


def derivatives(function, x, kernel, dx, dkernel, seed):
    """The answer, its change, what pulls back; seed has more numbers than needed."""
    y, dy = jax.jvp(function, (x, kernel), (dx, dkernel))
    seed = seed[: y.shape[0], : y.shape[1], : y.shape[2]]
    return y, dy, seed, jax.vjp(function, x, kernel)[1](seed)


@pytest.mark.parametrize(("size", "stride", "zeros"), CASES)
def test_the_answer_and_its_derivatives_are_those_of_lax(key, size, stride, zeros):
    given = drawn(key, *[(2, 9, 12), (3, 2, *size)] * 2, (3, 12, 14))
    how = {"stride": stride, "zeros": zeros}
    ours, theirs = (
        jax.jit(partial(derivatives, partial(f, **how)))(*given)
        for f in (convolve, plain)
    )
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-12)
    _, dy, seed, (back, back_kernel) = ours
    forward = jnp.vdot(seed, dy)
    adjoint = jnp.vdot(back, given[2]) + jnp.vdot(back_kernel, given[3])
    np.testing.assert_allclose(adjoint, forward, rtol=1e-12)


@pytest.mark.parametrize("axes", [(0, None), (None, 0), (0, 0)])
def test_members_of_either_operand_or_both(key, axes):
    """The sum over members has one gradient, each member one of its own."""
    x, kernel = drawn(key, (4, 2, 7, 8), (4, 3, 2, 3, 3))
    x, kernel = x if axes[0] == 0 else x[0], kernel if axes[1] == 0 else kernel[0]

    @partial(jax.jit, static_argnums=0)
    def told(function, x, kernel):
        def one(x, kernel):
            return jnp.sum(jnp.sin(function(x, kernel, 2, (1, 0))))

        def all_of_them(x, kernel):
            return jnp.sum(jax.vmap(one, axes)(x, kernel))

        of_each = jax.vmap(jax.value_and_grad(one, (0, 1)), axes)(x, kernel)
        return of_each, jax.grad(all_of_them, (0, 1))(x, kernel)

    ours, theirs = told(convolve, x, kernel), told(plain, x, kernel)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-11)


def test_second_derivatives(key):
    x, kernel = drawn(key, (1, 4, 5), (1, 1, 3, 3))

    @partial(jax.jit, static_argnums=0)
    def curvature(function):
        def energy(kernel):
            return jnp.sum(function(x, kernel, 1, (1, 1)) ** 4)

        return jax.hessian(energy)(kernel)

    ours, theirs = curvature(convolve), curvature(plain)
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12 * theirs.max())


@pytest.mark.parametrize("zeros", [(0, 0), (1, 1)])
def test_single_precision_with_many_channels(key, zeros):
    """Other libraries of XLA answer there, to what rounding allows."""
    shapes = [(3, 18, 24), (20, 3, 3, 3)] * 2
    given = drawn(key, *shapes, (20, 18, 24), dtype=jnp.float32)
    ours, theirs = (
        jax.jit(partial(derivatives, partial(f, zeros=zeros)))(*given)
        for f in (convolve, plain)
    )
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=2e-6 * np.abs(b).max())


def test_sixteen_bits_are_summed_in_more(key):
    x, kernel = drawn(key, (16, 6, 7), (2, 16, 3, 3), dtype=jnp.bfloat16)
    y = convolve(x, kernel)
    exact = plain(x.astype(jnp.float64), kernel.astype(jnp.float64))
    assert y.dtype == jnp.bfloat16
    np.testing.assert_allclose(y.astype(jnp.float64), exact, rtol=2**-8)  # rounded once


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("form", ["answer", "map", "kernel"])
def test_other_devices_compute_the_same(key, groups, form):
    shapes = {
        "map": (groups, 2, 7, 8, 3),
        "kernel": (groups, 3, 2, 3, 4),
        "answer": (groups, 2, 3, 4, 4),
    }
    operands = drawn(key, *(shapes[name] for name in convolution._READS[form]))
    size = {"answer": None, "map": (7, 8), "kernel": (3, 2)}[form]
    how = {"form": form, "size": size, "stride": 2, "zeros": (0, 0)}
    here = jax.jit(partial(convolution._on_cpu, **how))(*operands)
    there = jax.jit(partial(convolution._anywhere, **how))(*operands)
    assert here.shape == shapes[form]
    np.testing.assert_allclose(here, there, rtol=0, atol=1e-13)
