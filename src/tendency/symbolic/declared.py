"""Floor 1: the unknowns of a system, as its equations know them."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import sympy

from tendency.errors import InputError
from tendency.symbolic import latex
from tendency.symbolic.grammar import Names, parse_expression
from tendency.symbolic.latex import is_latex
from tendency.symbolic.meaning import learned
from tendency.symbolic.unknowns import (
    AbstractFunction,
    AbstractMap,
    Combination,
    Unknown,
    called,
    coefficients_of,
    require_unknowns,
)


class Declared(NamedTuple):
    """Scalars and coefficients as parameters, functions as diagnostic fields."""

    unknowns: Mapping[str, Unknown]
    coefficients: Mapping[str, float]  # and their first guesses
    called: tuple[str, ...]  # names that functions have in a program
    said: tuple[str, ...]  # for a reader, beside the equations

    @classmethod
    def of(cls, unknowns: Mapping[str, Unknown]) -> "Declared":
        """Raises `InputError` for what is none."""
        require_unknowns(unknowns)
        functions = {
            n: u for n, u in unknowns.items() if isinstance(u, AbstractFunction)
        }
        said = [
            f"{name}: a learned function of {', '.join(one.of)}"
            for name, one in functions.items()
        ]
        said += [
            f"{name} = {' + '.join(_times(name, i, t) for i, t in enumerate(u.of, 1))}"
            for name, u in unknowns.items()
            if isinstance(u, Combination)
        ]
        return cls(
            dict(unknowns),
            {name: float(value) for name, value in coefficients_of(unknowns).items()},
            tuple(called(name) for name in functions),
            tuple(said),
        )

    @property
    def defined(self) -> list[str]:
        """Those that are diagnostic fields."""
        kinds = Combination | AbstractFunction
        return [name for name, one in self.unknowns.items() if isinstance(one, kinds)]

    def fields(self, coordinates: Sequence[str]) -> dict[str, Sequence[str]]:
        """The maps, and the coordinates that they vary along."""
        return {
            name: coordinates if one.along is None else one.along
            for name, one in self.unknowns.items()
            if isinstance(one, AbstractMap)
        }

    def equations(self, names: Names) -> dict[str, Any]:
        """What the diagnostic ones are equal to.

        Raises:
            InputError: an expression that cannot be read.
        """
        found = {}
        for name, one in self.unknowns.items():
            if not isinstance(one, Combination | AbstractFunction):
                continue
            terms = [
                _read(text, names, f"term {i} of the unknown {name}")
                for i, text in enumerate(one.of, 1)
            ]
            if isinstance(one, Combination):
                by = [names.symbols[f"{name}_{i}"] for i in range(1, len(terms) + 1)]
                parts = [b * term for b, term in zip(by, terms, strict=True)]
                found[name] = sympy.Add(*parts)
            else:
                found[name] = learned(name)(*terms)
        return found


def require_use(unknowns: Mapping[str, Unknown], sides: Sequence[Any]) -> None:
    """That the equations hold every unknown.

    Raises:
        InputError: one is declared, and stands nowhere.
    """
    held = {s.name for side in sides for s in side.free_symbols}
    held |= {f.func.__name__ for side in sides for f in side.atoms(sympy.Function)}
    for name, one in unknowns.items():
        names = (
            [f"{name}_{i}" for i in range(1, len(one.of) + 1)]
            if isinstance(one, Combination)
            else [name]
        )
        if not {*names} <= held:
            raise InputError(
                f"the unknown {name} is declared and no equation of a field that is "
                "stepped depends on it: put it into one, or leave it out"
            )


def _read(text: str, names: Names, where: str) -> Any:
    read = latex.parse_expression if is_latex(text) else parse_expression
    return read(text, names, where)


def _times(name: str, i: int, term: str) -> str:
    return f"{name}_{i}*({term})"
