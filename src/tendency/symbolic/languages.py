"""Floor 1: the words of the languages that source is written in.

What the program's operations are called under JAX, PyTorch and Keras, and the small
functions that a generated module carries along.
"""

import keyword
from collections.abc import Mapping
from typing import NamedTuple

from tendency.symbolic.solver_words import JAX_SOLVERS, SOLVERS, TORCH_SOLVERS

HELPERS = (
    "hold",
    "wrap",
    "join",
    "coordinate",
    "rfft",
    "irfft",
    "wavenumber",
    "dealias",
    "times",
    "turned",
    "reciprocal",
    "select",
    "fill",
    *SOLVERS,
)
# Helpers that count with NumPy.
NUMPY = (
    *("coordinate", "wavenumber", "dealias"),
    *("cosine", "cosine_back", "alternating", "eigenvalue"),
)


RESERVED = {
    *keyword.kwlist,
    *HELPERS,
    *(
        "state",
        "parameters",
        "constants",
        "forcing",
        "functions",
        "dtype",
        "device",
        "jax",
        "jnp",
    ),
    *("np", "torch", "keras", "A", "B", "DT", "PARAMETERS", "State", "Mapping", "Any"),
    *("Tensor", "tuple", "list", "dict", "str", "int", "float", "sum", "range", "zip"),
    *("tendency", "step", "moved", "forecast", "dt", "slopes", "Callable"),
    *("start", "memory", "maximum", "minimum"),
    *("after", "now", "C"),
    *("cg", "bicgstab"),
}


class Language(NamedTuple):
    """What differs from one language to another."""

    imports: str
    prefix: str  # of mathematical functions
    array: str  # of a number, {value} and {dtype}
    hold: str
    helpers: Mapping[str, str]
    forecast: str
    annotation: str


JAX = Language(
    "import jax\nimport jax.numpy as jnp",
    "jnp",
    "jnp.asarray({value}, dtype)",
    "hold",
    {
        "hold": '''
def hold(a: jax.Array) -> jax.Array:
    """Computed once: else it would be computed again at each point of a stencil."""
    return jax.lax.optimization_barrier(a)
''',
        "wrap": '''
def wrap(a: jax.Array, axis: int, before: int, after: int) -> jax.Array:
    """Periodic copies before and after, along an axis."""
    size = a.shape[axis]
    head = jax.lax.slice_in_dim(a, size - before, size, axis=axis)
    tail = jax.lax.slice_in_dim(a, 0, after, axis=axis)
    return jnp.concatenate([head, a, tail], axis=axis)
''',
        "join": '''
def join(parts: list[jax.Array], axis: int) -> jax.Array:
    """One after the other along an axis."""
    return jnp.concatenate(parts, axis=axis)
''',
        "coordinate": '''
def coordinate(
    shape: tuple[int, ...], lower: float, step: float, first: float, dtype: jnp.dtype
) -> jax.Array:
    """Positions along an axis."""
    positions = lower + (first + np.arange(np.prod(shape))) * step
    return jnp.asarray(positions.reshape(shape), dtype)
''',
        "rfft": '''
def rfft(a: jax.Array, dim: int) -> jax.Array:
    """The Fourier transform over the last axes."""
    return jnp.fft.rfftn(a, axes=tuple(range(-dim, 0)))
''',
        "irfft": '''
def irfft(a: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Back to the grid."""
    return jnp.fft.irfftn(a, s=shape, axes=tuple(range(-len(shape), 0)))
''',
        "wavenumber": '''
def wavenumber(
    shape: tuple[int, ...],
    points: int,
    length: float,
    halved: bool,
    odd: bool,
    dtype: jnp.dtype,
) -> jax.Array:
    """2 pi k / length along an axis; for odd powers 0 where there is no sine."""
    k = np.arange(points // 2 + 1) if halved else np.fft.fftfreq(points, 1 / points)
    k = np.where(2 * np.abs(k) == points, 0, k) if odd else k
    return jnp.asarray((2 * np.pi / length * k).reshape(shape), dtype)
''',
        "dealias": '''
def dealias(shape: tuple[int, ...], dtype: jnp.dtype) -> jax.Array:
    """1 for wavenumbers below a third of the number of points, 0 for the others."""
    kept = np.ones([1] * len(shape))
    for i, points in enumerate(shape):
        k = np.abs(np.fft.fftfreq(points, 1 / points))
        k = k[: points // 2 + 1] if i == len(shape) - 1 else k
        along = np.where(3 * k < points, 1.0, 0.0)
        kept = kept * along.reshape((-1,) + (1,) * (len(shape) - 1 - i))
    return jnp.asarray(kept, dtype)
''',
        "times": '''
def times(a: jax.Array | float, b: jax.Array) -> jax.Array:
    """A real array times a complex one."""
    return jax.lax.complex(a * b.real, a * b.imag)
''',
        "turned": '''
def turned(a: jax.Array) -> jax.Array:
    """The imaginary unit times a complex array."""
    return jax.lax.complex(-a.imag, a.real)
''',
        "reciprocal": '''
def reciprocal(a: jax.Array) -> jax.Array:
    """1 / a, and 0 where a is 0."""
    nothing = a == 0
    return jnp.where(nothing, 0.0, 1 / jnp.where(nothing, 1.0, a))
''',
        "select": '''
def select(mask: jax.Array, a, b) -> jax.Array:
    """a where the mask is not 0, else b."""
    return jnp.where(mask != 0, a, b)
''',
        "fill": '''
def fill(a: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """The same all over a field."""
    return jnp.broadcast_to(a, shape)
''',
        **JAX_SOLVERS,
    },
    '''
def forecast(state: State, steps: int, **given) -> State:
    """The state after so many steps, as one compiled loop."""

    def one(now: State, _: None) -> tuple[State, None]:
        return step(now, **given), None

    return jax.lax.scan(one, state, None, length=steps)[0]
''',
    "jax.Array",
)

TORCH = Language(
    "import torch",
    "torch",
    "torch.as_tensor({value}, dtype=dtype, device=device)",
    "",
    {
        "hold": "",
        "wrap": '''
def wrap(a: torch.Tensor, axis: int, before: int, after: int) -> torch.Tensor:
    """Periodic copies before and after, along an axis."""
    size = a.shape[axis]
    head, tail = a.narrow(axis, size - before, before), a.narrow(axis, 0, after)
    return torch.cat([head, a, tail], dim=axis)
''',
        "join": '''
def join(parts: list[torch.Tensor], axis: int) -> torch.Tensor:
    """One after the other along an axis."""
    return torch.cat(parts, dim=axis)
''',
        "coordinate": '''
def coordinate(
    shape: tuple[int, ...], lower: float, step: float, first: float, dtype: torch.dtype
) -> torch.Tensor:
    """Positions along an axis."""
    positions = lower + (first + np.arange(np.prod(shape))) * step
    return torch.as_tensor(positions.reshape(shape), dtype=dtype)
''',
        "rfft": '''
def rfft(a: torch.Tensor, dim: int) -> torch.Tensor:
    """The Fourier transform over the last axes."""
    return torch.fft.rfftn(a, dim=tuple(range(-dim, 0)))
''',
        "irfft": '''
def irfft(a: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """Back to the grid."""
    return torch.fft.irfftn(a, s=shape, dim=tuple(range(-len(shape), 0)))
''',
        "wavenumber": '''
def wavenumber(
    shape: tuple[int, ...],
    points: int,
    length: float,
    halved: bool,
    odd: bool,
    dtype: torch.dtype,
) -> torch.Tensor:
    """2 pi k / length along an axis; for odd powers 0 where there is no sine."""
    k = np.arange(points // 2 + 1) if halved else np.fft.fftfreq(points, 1 / points)
    k = np.where(2 * np.abs(k) == points, 0, k) if odd else k
    k = (2 * np.pi / length * k).reshape(shape)
    return torch.as_tensor(k, dtype=dtype)
''',
        "dealias": '''
def dealias(shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    """1 for wavenumbers below a third of the number of points, 0 for the others."""
    kept = np.ones([1] * len(shape))
    for i, points in enumerate(shape):
        k = np.abs(np.fft.fftfreq(points, 1 / points))
        k = k[: points // 2 + 1] if i == len(shape) - 1 else k
        along = np.where(3 * k < points, 1.0, 0.0)
        kept = kept * along.reshape((-1,) + (1,) * (len(shape) - 1 - i))
    return torch.as_tensor(kept, dtype=dtype)
''',
        "times": '''
def times(a: torch.Tensor | float, b: torch.Tensor) -> torch.Tensor:
    """A real array times a complex one."""
    return torch.complex(a * b.real, a * b.imag)
''',
        "turned": '''
def turned(a: torch.Tensor) -> torch.Tensor:
    """The imaginary unit times a complex array."""
    return torch.complex(-a.imag, a.real)
''',
        "reciprocal": '''
def reciprocal(a: torch.Tensor) -> torch.Tensor:
    """1 / a, and 0 where a is 0."""
    nothing = a == 0
    return torch.where(nothing, 0.0, 1 / torch.where(nothing, 1.0, a))
''',
        "select": '''
def select(mask: torch.Tensor, a, b) -> torch.Tensor:
    """a where the mask is not 0, else b."""
    return torch.where(mask != 0, a, b)
''',
        "fill": '''
def fill(a: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """The same all over a field."""
    return torch.as_tensor(a).expand(shape)
''',
        **TORCH_SOLVERS,
    },
    '''
def forecast(state: State, steps: int, **given) -> State:
    """The state after so many steps."""
    for _ in range(steps):
        state = step(state, **given)
    return state
''',
    "torch.Tensor",
)

KERAS = Language(
    "import keras",
    "keras.ops",
    "keras.ops.convert_to_tensor({value}, dtype)",
    "",
    {
        "hold": "",
        "wrap": '''
def wrap(a: Tensor, axis: int, before: int, after: int) -> Tensor:
    """Periodic copies before and after, along an axis."""
    size = a.shape[axis]
    head = keras.ops.take(a, range(size - before, size), axis=axis)
    tail = keras.ops.take(a, range(after), axis=axis)
    return keras.ops.concatenate([head, a, tail], axis=axis)
''',
        "join": '''
def join(parts: list[Tensor], axis: int) -> Tensor:
    """One after the other along an axis."""
    return keras.ops.concatenate(parts, axis=axis)
''',
        "coordinate": '''
def coordinate(
    shape: tuple[int, ...], lower: float, step: float, first: float, dtype: str
) -> Tensor:
    """Positions along an axis."""
    positions = lower + (first + np.arange(np.prod(shape))) * step
    positions = positions.reshape(shape)
    return keras.ops.convert_to_tensor(positions, dtype)
''',
        "select": '''
def select(mask: Tensor, a, b) -> Tensor:
    """a where the mask is not 0, else b."""
    return keras.ops.where(mask != 0, a, b)
''',
        "fill": '''
def fill(a: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The same all over a field."""
    return keras.ops.broadcast_to(a, shape)
''',
        "maximum": '''
def maximum(a: Tensor | float, b: Tensor | float) -> Tensor:
    """The larger of two, in their own precision."""
    dtype = getattr(a, "dtype", None) or b.dtype
    a, b = (keras.ops.convert_to_tensor(x, dtype) for x in (a, b))
    return keras.ops.where(a > b, a, b)
''',
        "minimum": '''
def minimum(a: Tensor | float, b: Tensor | float) -> Tensor:
    """The smaller of two, in their own precision."""
    dtype = getattr(a, "dtype", None) or b.dtype
    a, b = (keras.ops.convert_to_tensor(x, dtype) for x in (a, b))
    return keras.ops.where(a < b, a, b)
''',
    },
    TORCH.forecast,
    "Tensor",
)
LANGUAGES: Mapping[str, Language] = {"jax": JAX, "torch": TORCH, "keras": KERAS}
