"""The stiff linear part of a tendency, diagonal in Fourier space."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from tendency.cell import Constant
from tendency.errors import InputError
from tendency.integrate import Stage

Fields = dict[str, Float[Array, "*grid"]]
Coefficients = Complex[Array, "field *wavenumber"]


def wavenumbers(
    shape: Sequence[int], lengths: Sequence[float], axes: Sequence[int] | None = None
) -> tuple[np.ndarray, ...]:
    """The wavenumbers of `axes`, shaped to broadcast against each other.

    Arguments:
        shape: of the grid.
        lengths: of the domain along each of `axes` [length]; the wavenumbers are in
            radians per that unit.
        axes: the periodic ones, all of them by default; the last has only the
            wavenumbers that are not negative, as in a transform of real numbers.
    """
    axes = _axes(shape, axes)
    if len(lengths) != len(axes):
        raise InputError(
            f"lengths has {len(lengths)} entries and there are {len(axes)} periodic "
            "axes: give one length for each"
        )
    found = []
    for axis, length in zip(axes, lengths, strict=True):
        n = shape[axis]
        frequency = np.fft.rfftfreq if axis == axes[-1] else np.fft.fftfreq
        k = 2 * np.pi * frequency(n, length / n)
        found.append(k.reshape([-1 if a == axis else 1 for a in range(len(shape))]))
    return tuple(found)


class Multiplier(eqx.Module):
    """A linear map of Fourier coefficients, each wavenumber by itself.

    `parts` holds the real part and, unless it is zero, the imaginary one, of a number
    for each field and wavenumber, (m, *w), or of a matrix for each wavenumber that
    couples the fields, (m, m, *w).
    """

    parts: Constant

    @classmethod
    def of(cls, values: np.ndarray) -> Self:
        real, imaginary = np.real(values), np.imag(values)
        parts = (real, imaginary) if imaginary.any() else (real,)
        return cls(Constant(tuple(jnp.asarray(p) for p in parts)))

    def numpy(self) -> np.ndarray:
        """In float64, or in complex128 if there is an imaginary part."""
        real, *imaginary = (np.asarray(p, np.float64) for p in self.parts.value)
        return real + 1j * imaginary[0] if imaginary else real

    def like(self, x: Coefficients) -> Complex[Array, "..."]:
        """In the precision of `x`."""
        real = jnp.finfo(x.dtype).dtype
        parts = [p.astype(real) for p in self.parts.value]
        return jax.lax.complex(*parts) if len(parts) == 2 else parts[0].astype(x.dtype)

    def __call__(self, x: Coefficients) -> Coefficients:
        values = self.like(x)
        return values * x if values.ndim == x.ndim else (values * x[None]).sum(1)


class SpectralLinear(eqx.Module):
    """The linear part L of a tendency, diagonal in Fourier space.

    d x̂/dt = L(k) x̂, with a number for each field and wavenumber, or a matrix for each
    wavenumber where fields are coupled. A state is a dictionary of real fields on one
    grid; L is a constant, that no fit changes.
    """

    symbol: Multiplier
    fields: tuple[str, ...] = eqx.field(static=True)
    shape: tuple[int, ...] = eqx.field(static=True)
    axes: tuple[int, ...] = eqx.field(static=True)  # the periodic ones

    @classmethod
    def of(
        cls,
        symbols: Mapping[Any, Any],
        shape: Sequence[int],
        axes: Sequence[int] | None = None,
    ) -> Self:
        """L by its symbols, functions of the `wavenumbers` [1 / time].

        A real field has no phase at wavenumbers that are their own opposite (zero, and
        half the points of an axis): there an odd derivative is taken for zero.

        Arguments:
            symbols: what multiplies a field in its own equation, by the field's name,
                or in another's, by (equation, field). Each field of the state is
                named; a pair that is not has zero.
            shape: of the grid.
            axes: the periodic ones, at most three, all of them by default. Along the
                others a symbol has as many entries as the grid, or one.

        Raises:
            InputError: a symbol does not fit the grid or is not finite.
        """
        axes = _axes(shape, axes)
        spectrum = [*shape]
        spectrum[axes[-1]] = shape[axes[-1]] // 2 + 1
        pairs = {k if isinstance(k, tuple) else (k, k): s for k, s in symbols.items()}
        fields = tuple(sorted({name for pair in pairs for name in pair}))
        values = np.zeros((len(fields), len(fields), *spectrum), np.complex128)
        for (row, column), symbol in pairs.items():
            given = np.asarray(symbol)
            try:
                fitted = np.broadcast_to(given, spectrum)
            except ValueError:
                raise InputError(
                    f"the symbol of {column} in the equation of {row} has the shape "
                    f"{given.shape} and {tuple(spectrum)} was expected: make it of "
                    f"wavenumbers({tuple(shape)}, lengths)"
                ) from None
            if not np.isfinite(fitted).all():
                raise InputError(
                    f"the symbol of {column} in the equation of {row} is not finite at "
                    f"{np.argwhere(~np.isfinite(fitted))[0].tolist()}: say what it is "
                    "there (an inverse Laplacian, say, is zero at wavenumber zero)"
                )
            values[fields.index(row), fields.index(column)] = fitted
        coupled = any(row != column for row, column in pairs)
        if not coupled:
            values = values[np.arange(len(fields)), np.arange(len(fields))]
        values = _of_real_fields(values, shape, axes)
        return cls(Multiplier.of(values), fields, tuple(shape), axes)

    def apply(self, state: Fields) -> Fields:
        """L x."""
        return self.backward(self.symbol(self.forward(state)))

    def solve(self, state: Fields, h: float) -> Fields:
        """(I - h L)⁻¹ x."""
        x = self.forward(state)
        symbol = self.symbol.like(x)
        if symbol.ndim == x.ndim:
            return self.backward(x / (1 - h * symbol))
        matrix = -h * jnp.moveaxis(symbol, (0, 1), (-2, -1))
        matrix += jnp.broadcast_to(jnp.eye(len(symbol), dtype=x.dtype), matrix.shape)
        solved = jnp.linalg.solve(matrix, jnp.moveaxis(x, 0, -1)[..., None])
        return self.backward(jnp.moveaxis(solved[..., 0], -1, 0))

    def forward(self, state: Fields) -> Coefficients:
        """The Fourier coefficients of a state, one field after the other.

        Raises:
            InputError: the state has other fields or another grid than L.
        """
        shapes = {name: x.shape for name, x in state.items()}
        if shapes != dict.fromkeys(self.fields, self.shape):
            raise InputError(
                f"the state has the fields {shapes} and the linear part was made for "
                f"{dict.fromkeys(self.fields, self.shape)}: name every field in it, "
                "with the symbol 0 where a field has no linear part"
            )
        stacked = jnp.stack([state[name] for name in self.fields])
        return jnp.fft.rfftn(stacked, axes=[a + 1 for a in self.axes])

    def backward(self, x: Coefficients) -> Fields:
        """The state that has the Fourier coefficients `x`."""
        points = [self.shape[a] for a in self.axes]
        stacked = jnp.fft.irfftn(x, points, axes=[a + 1 for a in self.axes])
        return {name: stacked[i] for i, name in enumerate(self.fields)}

    def rest(self, f: Stage) -> Callable[..., Coefficients]:
        """The rest of a tendency, f(c, x) - L x, from and to Fourier coefficients.

        It takes the state besides, where that is known already.
        """

        def rest(c: float, x: Array, state: Fields | None = None) -> Array:
            slope = f(c, self.backward(x) if state is None else state)
            return self.forward(slope) - self.symbol(x)

        return rest


def positive(h: float) -> float:
    """The step `h`, checked."""
    if not (math.isfinite(h) and h > 0):
        raise InputError(f"the step is {h}, a positive one was expected: give dt")
    return h


def require_same(made_for: float, h: float) -> None:
    """Refuse a step other than the one that a scheme was made for."""
    if not math.isclose(made_for, h, rel_tol=1e-12):
        raise InputError(
            f"the scheme was made for steps of {made_for} and is stepped by {h}: make "
            "it anew for dt / substeps"
        )


def _axes(shape: Sequence[int], axes: Sequence[int] | None) -> tuple[int, ...]:
    """The periodic axes, checked; the last is halved by a transform of real numbers."""
    found = tuple(range(len(shape)) if axes is None else axes)
    allowed = set(range(len(shape)))
    if not found or len(found) > 3 or len({*found} & allowed) < len(found):
        raise InputError(
            f"the periodic axes are {found} of a grid of {tuple(shape)}: one to three "
            f"different ones of {sorted(allowed)} were expected"
        )
    return found


def _of_real_fields(
    values: np.ndarray, shape: Sequence[int], axes: Sequence[int]
) -> np.ndarray:
    """S(-k) = S(k)*, as far as both are there: what a real transform can represent."""
    before = values.ndim - len(shape)
    last, others = axes[-1] + before, [a + before for a in axes[:-1]]
    n = shape[axes[-1]]
    for index in {0, n // 2} if n % 2 == 0 else {0}:
        here = (slice(None),) * last + (slice(index, index + 1),)
        opposite = np.conj(values[here])
        for axis in others:
            opposite = np.roll(np.flip(opposite, axis), 1, axis)
        values[here] = (values[here] + opposite) / 2
    return values
