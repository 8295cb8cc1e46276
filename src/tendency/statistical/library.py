"""Floor 1: libraries of candidate terms for sparse regression.

`Polynomial`, `Fourier` and their sum evaluate the terms of one state and name them;
`polynomial_coefficients` expands any polynomial tendency in the terms of `Polynomial`.
"""

import abc
import functools
import itertools
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from tendency.cell import Tendency
from tendency.errors import InputError


class AbstractLibrary(eqx.Module):
    """Functions θ₁, ..., θ_F of one vector of variables; add two to join them."""

    @abc.abstractmethod
    def __call__(self, variables: Float[Array, " variable"]) -> Float[Array, " term"]:
        """The value of every term."""

    @abc.abstractmethod
    def terms(self, names: tuple[str, ...], latex: bool = False) -> list[str]:
        """The name of every term, given those of the variables."""

    def __add__(self, other: "AbstractLibrary") -> "Concatenation":
        return Concatenation((self, other))


class Polynomial(AbstractLibrary):
    """All monomials up to `degree`: 1, x, y, ..., x², xy, ..., with or without the 1.

    Raises:
        InputError: a degree below 1.
    """

    degree: int = eqx.field(static=True)
    constant: bool = eqx.field(static=True, default=True)

    def __check_init__(self):
        if self.degree < 1:
            raise InputError(
                f"a polynomial library of degree {self.degree} was asked for, at least "
                "1 was expected: choose a higher degree"
            )

    def factors(self, size: int) -> list[tuple[int, ...]]:
        """The indices of the variables that each monomial multiplies, in order."""
        degrees = range(0 if self.constant else 1, self.degree + 1)
        choose = itertools.combinations_with_replacement
        return [f for d in degrees for f in choose(range(size), d)]

    def __call__(self, variables: Float[Array, " variable"]) -> Float[Array, " term"]:
        parts = [jnp.ones_like(variables[:1])] if self.constant else []
        by_degree = itertools.groupby(self.factors(variables.shape[0]), len)
        for degree, group in by_degree:
            if degree == 0:
                continue
            columns = np.array(list(group)).T
            factors = (variables[column] for column in columns)
            parts.append(functools.reduce(jnp.multiply, factors))
        return jnp.concatenate(parts)

    def terms(self, names: tuple[str, ...], latex: bool = False) -> list[str]:
        def power(name: str, exponent: int) -> str:
            if exponent == 1:
                return name
            return f"{name}^{{{exponent}}}" if latex else f"{name}^{exponent}"

        def monomial(factors: tuple[int, ...]) -> str:
            runs = ((i, len(list(run))) for i, run in itertools.groupby(factors))
            return " ".join(power(names[i], n) for i, n in runs) or "1"

        return [monomial(factors) for factors in self.factors(len(names))]


class Fourier(AbstractLibrary):
    """sin(w x) and cos(w x) of every variable x, for each angular frequency w.

    `frequencies` [radian per unit of the variable].
    """

    frequencies: tuple[float, ...] = eqx.field(static=True)

    def __call__(self, variables: Float[Array, " variable"]) -> Float[Array, " term"]:
        waves = []
        for w in self.frequencies:
            waves += [jnp.sin(w * variables), jnp.cos(w * variables)]
        return jnp.concatenate(waves)

    def terms(self, names: tuple[str, ...], latex: bool = False) -> list[str]:
        slash, gap = ("\\", "\\,") if latex else ("", " ")
        return [
            f"{slash}{wave}({name if w == 1 else f'{w:g}{gap}{name}'})"
            for w in self.frequencies
            for wave in ("sin", "cos")
            for name in names
        ]


class Concatenation(AbstractLibrary):
    """The terms of several libraries, one after the other."""

    parts: tuple[AbstractLibrary, ...]

    def __call__(self, variables: Float[Array, " variable"]) -> Float[Array, " term"]:
        return jnp.concatenate([part(variables) for part in self.parts])

    def terms(self, names: tuple[str, ...], latex: bool = False) -> list[str]:
        return [term for part in self.parts for term in part.terms(names, latex)]


def polynomial_coefficients(
    tendency: Tendency, size: int, degree: int = 2, *, forcing: PyTree = None
) -> Float[np.ndarray, "state term"]:
    """The coefficients of a tendency that is a polynomial of its state.

    They are found by interpolation: the tendency is evaluated at three times as many
    points as there are terms, drawn once and for all in [-1, 1]ⁿ, and least squares in
    float64 do the rest. For a bilinear network or a physical model of that degree they
    are exact to rounding, and in the order of `Polynomial(degree)`.

    Args:
        tendency: any polynomial `f(state, forcing)` of a vector.
        size: the length of the state.
        degree: the degree of the expansion.
        forcing: held fixed.

    Raises:
        InputError: the tendency is not a polynomial of that degree.
    """
    library = Polynomial(degree)
    count = 3 * len(library.factors(size))
    points = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (count, size)))
    values = np.asarray(jax.vmap(lambda state: tendency(state, forcing))(points))
    terms = np.asarray(jax.vmap(library)(points), np.float64)
    coefficients = np.linalg.lstsq(terms, values.astype(np.float64))[0]
    misfit = np.abs(terms @ coefficients - values).max()
    if not misfit <= math.sqrt(np.finfo(values.dtype).eps) * np.abs(values).max():
        raise InputError(
            f"the tendency differs by {misfit:.2g} from its best polynomial of degree "
            f"{degree}, a polynomial of that degree was expected: raise the degree, or "
            "do not expand it"
        )
    return coefficients.T
