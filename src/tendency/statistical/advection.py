"""Floor 1: the flow that carries a field, seen in the field itself, and being carried.

`estimated_flow` finds a smooth, steady flow from the last few fields; `departures`
tells where what arrives at each point came from, and `carried` brings it there. This is
a nowcast by extrapolation, semi-Lagrangian and without numerical diffusion: the last
field is interpolated once, however long the forecast.
"""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.ndimage import map_coordinates
from jaxtyping import Array, Bool, Float

from tendency.errors import InputError

Map = Float[Array, "row column"]
Flow = Float[Array, "2 row column"]  # along rows, then along columns [cells a step]
Points = Float[Array, "*lead 2 row column"]  # rows and columns [cells]

_FEW = 0.05  # of the weight of a Gaussian: less of it seen is not seen at all
_SEEN = 0.7  # of a Gaussian at both ends of a path: one deviation from an edge


def gaussian(size: int, scale: float) -> Float[np.ndarray, "size size"]:
    """The matrix that smooths along an axis of `size`, of deviation `scale` [cells]."""
    distance = np.arange(size)[:, None] - np.arange(size)[None, :]
    kernel = np.exp(-0.5 * (distance / scale) ** 2)
    return kernel * (np.abs(distance) <= 4 * scale) / (scale * np.sqrt(2 * np.pi))


def smoothed(field: Map, seen: Map, scale: float) -> Map:
    """The Gaussian mean of what is seen, zero where hardly anything is.

    Arguments:
        seen: 1 where the field is known, 0 elsewhere, or a share.
        scale: deviation of the Gaussian [cells]; 0 leaves the field as it is.
    """
    if scale == 0:
        return field * seen
    total, weight = shares(field * seen, scale), shares(seen, scale)
    return jnp.where(weight > _FEW, total / jnp.maximum(weight, _FEW), 0)


def shares(field: Map, scale: float) -> Map:
    """The Gaussian mean of a field that is zero outside."""
    down, across = (jnp.asarray(gaussian(n, scale), field.dtype) for n in field.shape)
    return down @ field @ across.T


def estimated_flow(
    fields: Float[Array, "time row column"],
    seen: Bool[Array, "row column"],
    *,
    controls: int = 3,
    scales: Sequence[float] = (8, 4, 2),
    iterations: int = 4,
    stiffness: float = 1.0,
) -> Flow:
    """The steady flow V that best carries each field into the next.

    Minimises Σ (fₖ₊₁(x) - fₖ(x - V(x)))² + s |differences of neighbouring controls|²,
    with V bilinear between `controls` x `controls` points, by Gauss-Newton, first for
    strongly smoothed fields and then for finer ones: the method of Lucas & Kanade
    (1981, Proc. IJCAI, 674) with the whole field as its window, as in variational echo
    tracking (Germann & Zawadzki, 2002, Mon. Wea. Rev. 130, 2859).

    Arguments:
        fields: of comparable size everywhere (take the logarithm of rain), finite.
        seen: where the fields are known.
        scales: of the smoothing, from coarse to fine [cells].
        iterations: at each scale.
        stiffness: s, in units of the mean diagonal of the normal equations.

    Raises:
        InputError: fewer than two fields or controls.
    """
    if len(fields) < 2 or controls < 2:
        raise InputError(
            f"a flow of {controls} x {controls} controls was asked for from "
            f"{len(fields)} fields, at least 2 of each were expected: give more"
        )
    how = (controls, tuple(map(float, scales)), iterations, float(stiffness))
    return _fitted_flow(fields, seen, *how)


@partial(jax.jit, static_argnums=(2, 3, 4, 5))
def _fitted_flow(fields, seen, controls, scales, iterations, stiffness):
    rows, columns = fields.shape[1:]
    down, across = (_hats(n, controls, fields.dtype) for n in (rows, columns))
    weight = seen.astype(fields.dtype)
    rough = jnp.asarray(_differences(controls), fields.dtype)
    here = _places(rows, columns, fields.dtype)
    flow = jnp.zeros((2, controls, controls), fields.dtype)

    def improve(flow: Array, smooth: Array, share: Map) -> Array:
        from_ = here - _spread(down, flow, across)
        # A mean over what is seen does not move with it near the edge.
        inside = (_read(share, from_) * share > _SEEN).astype(flow.dtype)
        before = jax.vmap(lambda f: _read(f, from_, "nearest"))(smooth[:-1])
        slope = jnp.stack(jnp.gradient(before, axis=(1, 2))) * inside[None, None]
        error = (smooth[1:] - before) * inside[None]
        products = jnp.einsum("itrc,jtrc->ijrc", slope, slope)
        normal = jnp.einsum(
            "ijrc,rab,cde->iadjbe", products, _pairs(down), _pairs(across)
        )
        normal = normal.reshape(2 * controls**2, -1)
        pull = -jnp.einsum("itrc,trc,ra,cd->iad", slope, error, down, across)
        size = stiffness * jnp.trace(normal) / len(normal)
        tiny = 1e-6 * jnp.trace(normal) + jnp.finfo(fields.dtype).tiny
        left = normal + size * rough + tiny * jnp.eye(len(normal), dtype=flow.dtype)
        right = pull.reshape(-1) - size * (rough @ flow.reshape(-1))
        return flow + jnp.linalg.solve(left, right).reshape(flow.shape)

    for scale in scales:
        smooth = jax.vmap(partial(smoothed, seen=weight, scale=scale))(fields)
        better = partial(improve, smooth=smooth, share=shares(weight, scale))
        flow = jax.lax.fori_loop(0, iterations, lambda _, f, b=better: b(f), flow)
    return _spread(down, flow, across)


@partial(jax.jit, static_argnames="steps")
def departures(flow: Flow, steps: int) -> Float[Array, "lead 2 row column"]:
    """Where what is at each point after 1, ..., `steps` steps is at the start [cells].

    Backwards along a steady flow, each step by the midpoint rule.
    """

    def back(points, _):
        middle = points - 0.5 * _flow_at(flow, points)
        points = points - _flow_at(flow, middle)
        return points, points

    start = _places(flow.shape[1], flow.shape[2], flow.dtype)
    return jax.lax.scan(back, start, None, length=steps)[1]


def carried(field: Map, points: Float[Array, "2 row column"]) -> Map:
    """The field as it arrives from `points`, zero from beyond its edges."""
    return _read(field, points)


def _flow_at(flow: Flow, points: Array) -> Array:
    return jnp.stack([_read(part, points, "nearest") for part in flow])


def _read(field: Array, points: Array, mode: str = "constant") -> Array:
    return map_coordinates(field, list(points), order=1, mode=mode)


def _places(rows: int, columns: int, dtype: jnp.dtype) -> Array:
    return jnp.stack(
        jnp.meshgrid(
            jnp.arange(rows, dtype=dtype), jnp.arange(columns, dtype=dtype),
            indexing="ij",
        )
    )  # fmt: skip


def _hats(size: int, controls: int, dtype: jnp.dtype) -> Float[Array, "size control"]:
    """Linear interpolation from the controls to the cells of an axis."""
    middles = np.linspace(0, size - 1, controls)
    distance = np.abs(np.arange(size)[:, None] - middles) / (middles[1] - middles[0])
    return jnp.asarray(np.maximum(0, 1 - distance), dtype)


def _pairs(hats: Array) -> Array:
    return hats[:, :, None] * hats[:, None, :]


def _spread(down: Array, flow: Array, across: Array) -> Flow:
    return jnp.einsum("ra,iab,cb->irc", down, flow, across)


def _differences(controls: int) -> Float[np.ndarray, "unknown unknown"]:
    """The quadratic form of the differences between neighbours, of both components."""
    step = np.diff(np.eye(controls), axis=0)
    line = step.T @ step
    whole = np.kron(line, np.eye(controls)) + np.kron(np.eye(controls), line)
    return np.kron(np.eye(2), whole)
