"""The convolution that all layers of maps are made of, quick on a CPU inside loops too.

A convolution and its two transposes, toward the map and toward the kernel, are one
primitive with three `form`s: each is linear in either operand, and the derivatives of
each are the other two, so that derivatives of any order, forward and backward, and
`vmap` over either operand or both stay among the three. A batch joins the axis that its
two arrays share, and the gradient of a kernel is taken of the whole batch at once.

What the primitive becomes is chosen by the device. On a GPU it is `jax.lax`'s own
convolution. On a CPU XLA calls a library only for convolutions laid out as (batch, row,
column, channel), which it arranges by itself outside of loops alone: the body of a
`scan`, in which models are fitted and run, would be compiled to plain loops, twenty to
forty times as slow. So the layout is written out here. Two libraries answer, and what
`_laid_out` adds was measured with jaxlib 0.10.2: it changes no number but the time.
"""

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jaxtyping import Array, Float

# A group shares all three arrays: y(g, n) = Σ_c x(g, n, c) ∗ k(g, c, o).
_AXES = {"map": "gnHWc", "kernel": "ghwco", "answer": "gnijo"}
_READS = {
    "answer": ("map", "kernel"),
    "map": ("answer", "kernel"),
    "kernel": ("map", "answer"),
}
_SHARED = {"kernel": "n", "map": "o", "answer": "c"}  # by the two other arrays
_NAMES = ("NHWC", "HWIO", "NHWC")


def convolve(
    x: Float[Array, "in row column"],
    kernel: Float[Array, "out in height width"],
    stride: int = 1,
    zeros: tuple[int, int] = (0, 0),
) -> Float[Array, "out fewer_row fewer_column"]:
    """y(o, i, j) = Σ K(o, c, a, b) x(c, s i + a, s j + b): nothing beyond the edges.

    As is the custom with networks it is a correlation: the kernel is not turned round.

    Arguments:
        x: of the type of the kernel.
        stride: s.
        zeros: rows, and columns, of zeros that x has on either side.
    """
    y = convolve_last(jnp.moveaxis(x, 0, -1), kernel, stride, zeros)
    return jnp.moveaxis(y, -1, 0)


def convolve_last(
    x: Float[Array, "row column in"],
    kernel: Float[Array, "out in height width"],
    stride: int = 1,
    zeros: tuple[int, int] = (0, 0),
) -> Float[Array, "fewer_row fewer_column out"]:
    """`convolve` of maps whose channels are last."""
    kernel = jnp.transpose(kernel, (2, 3, 1, 0))
    if kernel.shape[:2] == (1, 1) and zeros == (0, 0):
        return x[::stride, ::stride] @ kernel[0, 0]
    how = {"stride": stride, "zeros": tuple(zeros)}
    x, kernel = x[None, None], kernel[None]
    return _convolution.bind(x, kernel, form="answer", size=None, **how)[0, 0]


_convolution = Primitive("convolve")


@partial(jax.jit, static_argnames=("form", "size", "stride", "zeros"))
def _at_once(one, two, **how):
    return _convolution.bind(one, two, **how)


_convolution.def_impl(_at_once)


def _shape(one: Any, two: Any, form: str, size: Any, stride: int, zeros: Any) -> Any:
    """Of the array that `form` names; `size` holds rows and columns but of answers."""
    if form == "answer":
        size = tuple(
            (n + 2 * zero - m) // stride + 1
            for n, m, zero in zip(one.shape[2:4], two.shape[1:3], zeros, strict=True)
        )
        return *one.shape[:2], *size, two.shape[4]
    if form == "map":
        return *one.shape[:2], *size, two.shape[3]
    return one.shape[0], *size, one.shape[4], two.shape[4]


@_convolution.def_abstract_eval
def _(one, two, **how):
    return ShapedArray(_shape(one, two, **how), one.dtype)


def _transposed(which, cotangent, one, two, *, form, size, **how):
    """The cotangent of an operand, which is undefined."""
    arrays = dict(zip(_READS[form], (one, two), strict=True)) | {form: cotangent}
    wanted = _READS[form][which]
    shape = (one, two)[which].aval.shape
    size = {"answer": None, "map": shape[2:4], "kernel": shape[1:3]}[wanted]
    operands = [arrays[name] for name in _READS[wanted]]
    return _convolution.bind(*operands, form=wanted, size=size, **how)


ad.defbilinear(_convolution, partial(_transposed, 0), partial(_transposed, 1))


def _batched(operands, axes, *, form, **how):
    """The batch joins an axis of the two arrays that have it: a group, if all three."""
    names = _READS[form]
    alone = [n for n, axis in zip(names, axes, strict=True) if axis is None]
    joined = _SHARED[alone[0]] if alone else "g"

    def merged(name, x, axis):
        if axis is None:
            return x
        place = _AXES[name].index(joined)
        x = jnp.moveaxis(x, axis, place)
        return x.reshape(*x.shape[:place], -1, *x.shape[place + 2 :])

    members = next(
        x.shape[axis]
        for x, axis in zip(operands, axes, strict=True)
        if axis is not None
    )
    out = _convolution.bind(*map(merged, names, operands, axes), form=form, **how)
    place = _AXES[form].index(joined)
    shape = out.shape
    return out.reshape(*shape[:place], members, -1, *shape[place + 1 :]), place


batching.primitive_batchers[_convolution] = _batched


def _plain(x, kernel, stride, zeros):
    """By the convolution of `jax.lax`, groups and all."""
    groups, samples, rows, columns, channels = x.shape
    x = jnp.moveaxis(x, 0, 3).reshape(samples, rows, columns, groups * channels)
    size, outputs = kernel.shape[1:3], kernel.shape[4]
    kernel = jnp.moveaxis(kernel, 0, 3).reshape(*size, channels, groups * outputs)
    y = jax.lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        [(zero, zero) for zero in zeros],
        dimension_numbers=_NAMES,
        feature_group_count=groups,
    )
    return jnp.moveaxis(y.reshape(*y.shape[:3], groups, outputs), 3, 0)


def _anywhere(one, two, *, form, stride, zeros, **how):
    if form == "answer":
        return _plain(one, two, stride, zeros)
    shape = _shape(one, two, form, how["size"], stride, zeros)
    wanted = jax.ShapeDtypeStruct(shape, one.dtype)
    if form == "map":
        transpose = jax.linear_transpose(
            lambda x: _plain(x, two, stride, zeros), wanted
        )
        return transpose(one)[0]
    transpose = jax.linear_transpose(lambda k: _plain(one, k, stride, zeros), wanted)
    return transpose(two)[0]


def _on_cpu(one, two, **how):
    if one.dtype not in (jnp.float32, jnp.float64):  # no library has the others
        wide = _on_cpu(one.astype(jnp.float32), two.astype(jnp.float32), **how)
        return wide.astype(one.dtype)
    if one.shape[0] == 1:
        return _of_group(one[0], two[0], **how)[None]
    return jax.lax.map(lambda group: _of_group(*group, **how), (one, two))


def _of_group(one, two, *, form, size, stride, zeros):
    if form == "answer":
        return _laid_out(one, two, [(zero, zero) for zero in zeros], stride=stride)
    if form == "map":
        around = [
            (m - 1 - zero, n - 1 - (i - 1) * stride + zero)
            for m, n, i, zero in zip(
                two.shape[:2], size, one.shape[1:3], zeros, strict=True
            )
        ]
        kernel = two[::-1, ::-1].transpose(0, 1, 3, 2)
        return _laid_out(one, kernel, around, spread=stride)
    # The channels are the batch of this one and the samples its channels.
    seen = [m + (i - 1) * stride for m, i in zip(size, two.shape[1:3], strict=True)]
    around = [
        (zero, m - n - zero)
        for m, n, zero in zip(seen, one.shape[1:3], zeros, strict=True)
    ]
    g, after = two.transpose(1, 2, 0, 3), [(0, 0), (0, 0)]
    plain = stride == 1 and g.dtype == jnp.float32
    if plain and any(zeros) and g.shape[3] <= 64:
        return _laid_out(one.transpose(3, 1, 2, 0), g, around).transpose(1, 2, 0, 3)
    x = _padded(one, around).transpose(3, 1, 2, 0)
    if plain:
        # A window longer than the map, by zeros, keeps YNNPACK away, which takes up to
        # four times as long for more channels or where nothing is around the map; with
        # more points than the map has it would be no library at all.
        longest = 0 if g.shape[0] >= g.shape[1] else 1
        more = size[longest]
        if (g.shape[longest] + more) * g.shape[1 - longest] <= math.prod(seen):
            after[longest] = (0, more)
            g = jnp.pad(g, [*after, (0, 0), (0, 0)])
    return _laid_out(x, g, after, apart=stride).transpose(1, 2, 0, 3)


def _laid_out(x, kernel, around, *, stride=1, spread=1, apart=1):
    """y(n, i, j, o) = Σ x(n, s i + t a, s j + t b, c) k(a, b, c, o), x spread.

    YNNPACK takes five times as long where nothing is around the map, so that there is
    then a column of zeros, of which the answer is left out. It is not called where the
    answer is larger than the map, and in double precision nothing else is: the zeros
    are then put around the map beforehand.
    """
    shape = tuple(
        (spread * (n - 1) + sum(zeros) - apart * (m - 1)) // stride + 1
        for n, m, zeros in zip(x.shape[1:3], kernel.shape[:2], around, strict=True)
    )
    larger = any(i > n for i, n in zip(shape, x.shape[1:3], strict=True))
    if larger or (spread > 1 and x.dtype == jnp.float64):
        x = jax.lax.optimization_barrier(_padded(x, around, spread))
        around, spread = [(0, 0), (0, 0)], 1
    if all(max(zeros) <= 0 for zeros in around):
        around = [around[0], (around[1][0], around[1][1] + 1)]
    y = jax.lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        around,
        lhs_dilation=(spread, spread),
        rhs_dilation=(apart, apart),
        dimension_numbers=_NAMES,
    )
    return y[:, : shape[0], : shape[1]]


def _padded(x, around, spread=1):
    """Zeros around rows and columns, and between them; fewer than none cut them off."""
    if spread == 1 and not any(map(any, around)):
        return x
    inner = [(*zeros, spread - 1) for zeros in around]
    return jax.lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *inner, (0, 0, 0)])


for _platform, _lowered in ((None, _anywhere), ("cpu", _on_cpu)):
    mlir.register_lowering(
        _convolution, mlir.lower_fun(_lowered, multiple_results=False), _platform
    )
