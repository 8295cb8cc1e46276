"""Floor 1: a system of equations, before any grid.

`System.of` takes text or SymPy equations, finds what is prognostic, diagnostic, forced
or constant, reduces higher time derivatives to first order, and refuses what it cannot
place.
"""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import sympy
from sympy.core.function import AppliedUndef

from tendency.errors import InputError
from tendency.symbolic import latex
from tendency.symbolic.declared import Declared
from tendency.symbolic.grammar import (
    Names,
    left_hand_sides,
    parse_equation,
    stepped,
    tokens_of,
)
from tendency.symbolic.latex import is_latex
from tendency.symbolic.meaning import Jacobian, Mean, shown
from tendency.symbolic.unknowns import Unknown, coefficients_of

Expr = Any  # of SymPy, which types the parts of its trees as `Basic`
TIME = sympy.Symbol("t", real=True)
Where = Mapping[str, Sequence[str]] | Sequence[str]  # names, or names and coordinates


class System(NamedTuple):
    """First-order equations for some fields.

    A field is an applied function of SymPy, `u(t, x)`; derivatives are kept as they
    were written, so that a flux stays a flux.
    """

    name: str
    doc: str
    written: tuple[str, ...]  # the equations as they were given
    coordinates: tuple[sympy.Symbol, ...]
    prognostic: Mapping[Expr, Expr]  # field -> its tendency
    diagnostic: Mapping[Expr, Expr]  # field -> what it is equal to
    implicit: tuple[Expr, ...]  # each is zero: elliptic equations
    unknown: tuple[Expr, ...]  # the fields that `implicit` determines
    parameters: Mapping[sympy.Symbol, float]
    constants: tuple[Expr, ...]  # of the coordinates
    forcings: tuple[Expr, ...]  # of time, or of time and coordinates
    unknowns: Mapping[str, Unknown] = MappingProxyType({})  # to be learned

    @classmethod
    def of(
        cls,
        equations: Iterable[str | sympy.Equality],
        *,
        coordinates: Sequence[str],
        parameters: Mapping[str, float] | None = None,
        constants: Where = (),
        forcings: Where = (),
        unknown: Sequence[str] = (),
        unknowns: Mapping[str, Unknown] | None = None,
        name: str = "system",
        doc: str = "",
    ) -> "System":
        """Read the equations.

        Arguments:
            equations: `d_t u = ...` gives a tendency, and so does what is linear in the
                time derivative of one field; `w = ...` a diagnostic field; any other
                determines the fields of `unknown`. Each is text (see `grammar`), LaTeX
                (see `latex`) or SymPy.
            coordinates: of space, in the order of the axes.
            parameters: scalars and their values.
            constants: fields that do not change; a mapping names their coordinates.
            forcings: functions of time; a mapping gives some of them coordinates too.
            unknown: fields given by elliptic equations, such as a stream function.
            unknowns: what is to be learned inside the equations (see `unknowns`), by
                the name that it has there; the parameters are known then, and no fit
                changes them.

        Raises:
            InputError: an equation that cannot be read or placed, a name that nothing
                declares, a name declared twice.
        """
        equations = _listed(equations)
        space = tuple(sympy.Symbol(c, real=True) for c in coordinates)
        plain = [e if isinstance(e, str) and not is_latex(e) else "" for e in equations]
        other = [e if isinstance(e, str) and is_latex(e) else "" for e in equations]
        by = ("t", *coordinates)
        defined = [*left_hand_sides(plain, by), *latex.left_hand_sides(other, by)]
        learned = Declared.of(unknowns or {})
        values = dict(parameters or {})
        _no_name_twice(coordinates, values, learned.coefficients)
        values |= learned.coefficients
        symbols = {k: sympy.Symbol(k, real=True) for k in values}
        everywhere = (TIME, *space)
        given = [d.name for d in defined if d is not None]
        given += [*_stepped(equations, by), *unknown, *learned.defined]
        fields = {one: _field(one, everywhere) for one in given}
        fixed = _declared(constants, space, coordinates, ())
        fixed |= _declared(learned.fields(coordinates), space, coordinates, ())
        forced = _declared(forcings, space, (), (TIME,))
        ours = {str(s): s for s in (*everywhere, *symbols.values())}
        for i, equation in enumerate(equations):
            if not isinstance(equation, str):
                both = {**fields, **fixed, **forced}
                equations[i] = found = _by_name(equation, ours, both, everywhere)
                for one in found.atoms(AppliedUndef):
                    fields.setdefault(one.func.__name__, one)
        for one in (*fixed, *forced):  # a SymPy equation may hold them too
            fields.pop(one, None)
        _no_name_twice(coordinates, symbols, fields, fixed, forced, learned.called)
        names = Names(
            {"t": TIME, **dict(zip(coordinates, space, strict=True))}
            | {**symbols, **fields, **fixed, **forced},
            everywhere,
        )
        read = [
            _read(e, names, f"equation {i}") if isinstance(e, str) else e
            for i, e in enumerate(equations, start=1)
        ]
        sorter = _Sorter(everywhere, tuple(fields[name] for name in unknown))
        for i, equation in enumerate(read, start=1):
            sorter.place(equation, f"equation {i}")
        for one, meant in learned.equations(names).items():
            sorter.place(
                sympy.Equality(fields[one], meant, evaluate=False),  # pyright: ignore
                f"the unknown {one}",
            )
        system = cls(
            name,
            doc,
            (*(e if isinstance(e, str) else str(e) for e in equations), *learned.said),
            space,
            sorter.prognostic,
            sorter.diagnostic,
            tuple(sorter.implicit),
            sorter.unknown,
            {symbols[k]: float(v) for k, v in values.items()},
            tuple(fixed.values()),
            tuple(forced.values()),
            learned.unknowns,
        )
        system._check(everywhere)
        for rate in sorted(
            {*system.fields} & {*coordinates, *symbols, *fixed, *forced}
        ):
            raise InputError(
                f"{rate} is declared, and stands for a rate of change in the equations "
                "of second order: give what is declared another name"
            )
        return system

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of the prognostic fields, in the order of the equations."""
        return tuple(f.func.__name__ for f in self.prognostic)

    @property
    def coefficients(self) -> tuple[sympy.Symbol, ...]:
        """Of the parameters those that are unknown."""
        names = coefficients_of(self.unknowns)
        return tuple(s for s in self.parameters if str(s) in names)

    def _check(self, everywhere: tuple[sympy.Symbol, ...]) -> None:
        if not self.prognostic:
            raise InputError(
                "no equation gives a tendency: write one as d_t u = ..., with the time "
                "derivative on the left"
            )
        if len(self.implicit) != len(self.unknown):
            raise InputError(
                f"{len(self.implicit)} equations determine the {len(self.unknown)} "
                f"fields of unknown ({', '.join(map(str, self.unknown)) or 'none'}): "
                "one for each was expected"
            )
        known = {*self.prognostic, *self.diagnostic, *self.unknown}
        known |= {*self.constants, *self.forcings}
        symbols = {*self.parameters, *everywhere}
        everything = [*self.prognostic.items(), *self.diagnostic.items()]
        for field, expression in [*everything, *((None, e) for e in self.implicit)]:
            where = f"the equation of {field.func}" if field else "an equation"
            for found in sorted(expression.atoms(AppliedUndef) - known, key=str):
                raise InputError(
                    f"{where} holds {found}, which no equation gives: add its "
                    "equation, or declare it as a constant or a forcing"
                )
            for found in sorted(expression.free_symbols - symbols, key=str):
                raise InputError(
                    f"{where} holds {found}, which has no value: give it one in "
                    "parameters"
                )
            if expression.has(sympy.I):
                raise InputError(
                    f"{where} holds the imaginary unit, and real numbers were "
                    "expected: write the real and the imaginary part as two fields"
                )
            for derivative in expression.atoms(sympy.Derivative):
                if TIME in derivative.variables:
                    raise InputError(
                        f"{where} holds {derivative}: only the equation that gives "
                        "d_t u may hold a time derivative, that of u itself"
                    )


class _Sorter:
    """Puts each equation where it belongs."""

    def __init__(self, everywhere: tuple[sympy.Symbol, ...], unknown: tuple[Expr, ...]):
        self.everywhere, self.unknown = everywhere, unknown
        self.prognostic: dict[Expr, Expr] = {}
        self.diagnostic: dict[Expr, Expr] = {}
        self.implicit: list[Expr] = []

    def place(self, equation: sympy.Equality, where: str) -> None:
        left, right = _sides(equation)
        slopes = [
            d
            for d in (*left.atoms(sympy.Derivative), *right.atoms(sympy.Derivative))
            if set(d.variables) == {TIME} and isinstance(d.expr, AppliedUndef)
        ]
        several = sorted({str(d.expr.func) for d in slopes})
        defines = isinstance(left, AppliedUndef) and left not in self.unknown
        if slopes and not (defines and several != [str(left.func)]):
            if len(several) > 1:
                raise InputError(
                    f"{where} holds the time derivatives of {' and '.join(several)}: "
                    "combine the equations so that each has that of one field"
                )
            self._tendency(max(slopes, key=lambda d: len(d.variables)), equation, where)
        elif defines:
            if left in self.diagnostic:
                raise InputError(f"{where} gives {left.func} a second time")
            self.diagnostic[left] = right
        elif (left - right).has(*self.unknown):
            self.implicit.append(left - right)
        else:
            raise InputError(
                f"{where} ({left} = {right}) gives no tendency and no diagnostic "
                "field, and holds no field of unknown: write d_t u = ..., or name what "
                "it determines in unknown"
            )

    def _tendency(
        self, slope: sympy.Derivative, equation: sympy.Equality, where: str
    ) -> None:
        field, order = slope.expr, len(slope.variables)
        mark = sympy.Dummy("slope")
        left, right = _sides(equation)
        for node in (left - right).atoms(sympy.Derivative, Jacobian, Mean):
            if node != slope and node.has(slope):
                raise InputError(
                    f"{where} holds {slope} within {node}: solve it for the time "
                    "derivative, or make it a field of unknown"
                )
        rest = (left - right).xreplace({slope: mark})
        factor = sympy.diff(rest, mark)
        if factor.has(mark) or factor.is_zero:
            raise InputError(
                f"{where} is not linear in {slope}: solve it for the time derivative"
            )
        value = -rest.xreplace({mark: sympy.S.Zero})
        value = value if factor == 1 else value / factor
        chain = [field]
        for k in range(1, order):  # u, u_t, u_tt, ... are fields of their own
            chain.append(_field(f"{field.func.__name__}_{'t' * k}", self.everywhere))
        lower = {
            sympy.Derivative(field, (TIME, k)): chain[k]
            for k in range(order - 1, 0, -1)
        }
        for one, following in zip(
            chain, [*chain[1:], value.xreplace(lower)], strict=True
        ):
            if one in self.prognostic:
                raise InputError(f"{where} gives {one.func} a second tendency")
            self.prognostic[one] = following


def _read(text: str, names: Names, where: str) -> sympy.Equality:
    return (latex.parse_equation if is_latex(text) else parse_equation)(
        text, names, where
    )


def _listed(equations: Any) -> list[Any]:
    """The equations one by one."""
    if isinstance(equations, str | sympy.Basic):
        raise InputError(
            f"the equations are {shown(equations)}, and a list of them was expected: "
            "put brackets around it"
        )
    for i, one in enumerate(found := list(equations), 1):
        if not isinstance(one, str | sympy.Equality):
            raise InputError(
                f"equation {i} is {shown(one)}, and text or sympy.Eq(left, right) was "
                "expected"
            )
    return found


def _stepped(equations: Sequence[Any], coordinates: Sequence[str]) -> list[str]:
    """The fields that have a time derivative anywhere in the equations as text."""
    found = []
    for i, text in enumerate(equations, 1):
        try:
            if isinstance(text, str) and is_latex(text):
                words = latex.words_of(text, coordinates, f"equation {i}")
            else:
                words = tokens_of(text, "") if isinstance(text, str) else []
        except InputError:  # told where it is read, with the names that are declared
            continue
        found += stepped(words, coordinates)
    return found


def _by_name(
    equation: sympy.Equality,
    symbols: Mapping[str, Expr],
    fields: Mapping[str, Expr],
    everywhere: tuple[sympy.Symbol, ...],
) -> sympy.Equality:
    """A SymPy equation in our symbols and fields, whatever it assumes of its own."""

    def ours(side: Expr) -> Expr:
        side = side.xreplace(
            {s: symbols.get(s.name, s) for s in side.atoms(sympy.Symbol)}
        )
        found = {}
        for one in side.atoms(AppliedUndef):
            name = one.func.__name__
            ways = [fields[name].args] if name in fields else [everywhere]
            same = [way for way in ways if {*way} == {*one.args}]  # in our order
            found[one] = _field(name, (*same, one.args)[0])
        return side.xreplace(found)

    left, right = map(ours, _sides(equation))
    return sympy.Equality(left, right, evaluate=False)  # pyright: ignore


def _sides(equation: sympy.Equality) -> tuple[Expr, Expr]:
    return equation.lhs, equation.rhs


def _field(name: str, arguments: Sequence[Expr]) -> Expr:
    return sympy.Function(name, real=True)(*arguments)


def _declared(
    names: Where,
    space: Sequence[sympy.Symbol],
    default: Sequence[str],
    always: tuple[sympy.Symbol, ...],
) -> dict[str, Expr]:
    by_name = {str(s): s for s in space}
    given = names if isinstance(names, Mapping) else {n: default for n in names}
    found = {}
    for name, where in given.items():
        for coordinate in where:
            if coordinate not in by_name:
                raise InputError(
                    f"{name} is declared along {coordinate}, and the coordinates are "
                    f"{', '.join(by_name)}"
                )
        along = tuple(s for c, s in by_name.items() if c in where)
        found[name] = _field(name, (*always, *along))
    return found


def _no_name_twice(*groups: Iterable[str]) -> None:
    seen = {"t"}
    for group in groups:
        for name in group:
            if name in seen:
                raise InputError(
                    f"the name {name} is declared twice (t is always the time): give "
                    "each thing its own name"
                )
            seen.add(name)
