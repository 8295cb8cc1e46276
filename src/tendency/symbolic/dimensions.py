"""Floor 1: whether the units of a system agree.

The terms of a sum and the two sides of an equation have the same units, arguments of
functions and exponents have none. Numbers have none either, and are not converted:
kilometres beside metres are refused too. What has no given units fits anything.
"""

from collections.abc import Iterable, Mapping

import sympy
from sympy.core.function import AppliedUndef

from tendency.errors import InputError
from tendency.symbolic.meaning import Jacobian, Learned, Mean
from tendency.symbolic.system import TIME, Expr, System
from tendency.symbolic.units import (
    CLOSE,
    Unit,
    difference,
    how_far,
    is_offset,
    registry,
    scale_of,
    shown,
    unit_of,
)
from tendency.symbolic.written import written

_ADVICE = (
    "correct the terms or the units (a number has none, a parameter may have some)"
)


def require_same_units(system: System, given: Mapping[str, str]) -> None:
    """That the units of the equations agree.

    Arguments:
        given: units of fields, parameters, constants, forcings, coordinates and the
            time `t`, by name. Those of diagnostic fields, of fields of elliptic
            equations and of rates of change follow from the equations if need be.

    Raises:
        InputError: an unknown unit, or an equation whose units do not agree.
    """
    Units.of(system, given).check(system)


class Units:
    """The units of the symbols and fields of a system, and what follows from them."""

    def __init__(self, known: dict[Expr, Unit]):
        self.known = known

    @classmethod
    def of(cls, system: System, given: Mapping[str, str]) -> "Units":
        """Read those given."""
        fields = (*system.prognostic, *system.diagnostic, *system.unknown)
        fields = (*fields, *system.constants, *system.forcings)
        names = {f.func.__name__: f for f in fields}
        names |= {str(s): s for s in (*system.parameters, *system.coordinates, TIME)}
        return cls({names[n]: unit_of(u, n) for n, u in given.items() if n in names})

    def check(self, system: System) -> None:
        """Every equation of the system; learns the units that were not given."""
        sides = [*system.prognostic.items(), *system.diagnostic.items()]
        if not self.known:
            return
        walk = _Walk(self.known, free_numbers=False)
        for _ in sides:  # one may follow from another
            self._infer(system, walk)
        for field, value in sides:
            left = sympy.Derivative(field, TIME)
            left = left if field in system.prognostic else field
            walk.where = f"the equation of {field.func}"
            walk.same([left, *sympy.Add.make_args(value)])
        for equation in system.implicit:
            names = ", ".join(str(f.func) for f in system.unknown if equation.has(f))
            walk.where = f"the equation of {names}"
            walk.same(sympy.Add.make_args(equation))

    def check_value(
        self, node: Expr, unit: Unit | None, where: str, coordinates: Iterable[Expr]
    ) -> None:
        """A value given by an expression, whose numbers stand in whatever units fit.

        Raises:
            InputError: its own terms do not agree, or not with the unit.
        """
        if node.free_symbols <= {*coordinates} and not node.atoms(AppliedUndef):
            return  # a number, whatever the place
        walk = _Walk(self.known, True, frozenset(coordinates), where)
        found = walk.unit(node)
        if unit is not None and found is not None and not walk.agree(found, unit):
            raise InputError(
                f"{where} is {written(node)}, in {shown(found)}, and "
                f"{shown(unit)} was expected{how_far(found, unit)}"
            )

    def _infer(self, system: System, walk: "_Walk") -> None:
        known = self.known
        for field, value in system.diagnostic.items():
            walk.where = f"the equation of {field.func}"
            if field not in known and (unit := walk.unit(value)) is not None:
                known[field] = unit
        for field, rate in system.prognostic.items():  # u_t of u
            follows = rate in system.prognostic and rate not in known
            slope = walk.unit(sympy.Derivative(field, TIME)) if follows else None
            if slope is not None:
                known[rate] = slope
        for field in system.unknown:
            for equation in system.implicit:
                terms = sympy.Add.make_args(equation)
                walk.where = f"the equation of {field.func}"
                if field in known or not equation.has(field):
                    continue
                others = [walk.unit(t) for t in terms if not t.has(field)]
                others = [unit for unit in others if unit is not None]
                one = {**known, field: registry().Unit("")}
                own = [_Walk(one, False).unit(t) for t in terms if t.has(field)]
                own = [unit for unit in own if unit is not None]
                if others and own:  # linear: what is left over is that of the field
                    known[field] = others[0] / own[0]


class _Walk:
    """The units of expressions."""

    def __init__(
        self,
        known: Mapping[Expr, Unit],
        free_numbers: bool,
        plain: frozenset[Expr] = frozenset(),
        where: str = "the expression",
    ):
        self.known, self.free_numbers = known, free_numbers
        self.plain, self.where = plain, where

    def unit(self, node: Expr) -> Unit | None:
        """`None` where it cannot be said, and of zero, which fits anything."""
        if node in self.known:
            return self.known[node]
        if node.is_number and not node.has(sympy.Derivative):
            free = self.free_numbers or node.is_zero
            return None if free else registry().Unit("")
        if isinstance(node, sympy.Add):
            return self.same(node.args)
        if isinstance(node, sympy.Max | sympy.Min):
            return self.same(node.args)
        if isinstance(node, sympy.Mul):
            return self._product(node)
        if isinstance(node, sympy.Pow):
            return self._power(*node.args)
        if isinstance(node, sympy.Derivative):
            units = [self.unit(node.expr), *map(self.unit, node.variables)]
            return _quotient(units[:1], units[1:])
        if isinstance(node, Jacobian):
            units = [self.unit(a) for a in node.args]
            return _quotient(units[:2], units[2:])
        if isinstance(node, sympy.Abs | Mean):
            return self.unit(node.args[0])
        if isinstance(node, sympy.sign | sympy.Heaviside):
            self.unit(node.args[0])
            return None if self.free_numbers else registry().Unit("")
        if isinstance(node, AppliedUndef | sympy.Symbol | Learned):
            return None
        for argument in node.args:
            self.pure(argument, f"an argument of {node.func.__name__}")
        return None if self.free_numbers else registry().Unit("")

    def same(self, terms: Iterable[Expr]) -> Unit | None:
        """That of the terms, which must agree."""
        found = [(t, u) for t in terms for u in [self.unit(t)] if u is not None]
        if not found:
            return None
        first, unit = found[0]
        for term, other in found[1:]:
            if not self.agree(other, unit):
                raise InputError(
                    f"{self.where} holds {written(term)}, in {shown(other)}, beside "
                    f"{written(first)}, in {shown(unit)}"
                    + (how_far(other, unit) or f": {_ADVICE}")
                )
        offset = [term.as_coeff_Mul()[0] for term, u in found if is_offset(u)]
        return difference(unit) if offset and sum(offset) == 0 else unit

    def pure(self, node: Expr, what: str) -> None:
        """That a node has no units."""
        if self.free_numbers and node.free_symbols <= self.plain:
            return  # sin(x), for sin(1*x)
        unit = self.unit(node)
        one = registry().Unit("")
        if unit is not None and not self.agree(unit, one):
            raise InputError(
                f"{self.where} holds {written(node)}, {what}, in {shown(unit)}, and "
                "one without units was expected"
                + (how_far(unit, one) or ": divide it by a parameter in these units")
            )

    def agree(self, a: Unit, b: Unit) -> bool:
        """Whether they are the same, scale and all."""
        scale = scale_of(a, b)
        offsets = {u for u in (a, b) if is_offset(u)}
        kelvin = registry().Unit("kelvin") in (a, b)
        return scale is not None and abs(scale - 1) < CLOSE and not (offsets and kelvin)

    def _product(self, node: Expr) -> Unit | None:
        number, rest = node.as_coeff_Mul()
        if number == -1:
            return self.unit(rest)
        return _quotient([self.unit(factor) for factor in node.args], [])

    def _power(self, base: Expr, exponent: Expr) -> Unit | None:
        self.pure(exponent, "an exponent")
        unit = self.unit(base)
        if unit is None or (unit.dimensionless and scale_of(unit, unit**0) == 1):
            return unit
        if exponent.is_number:
            return difference(unit) ** float(exponent)
        raise InputError(
            f"{self.where} raises {written(base)}, in {shown(unit)}, to the power "
            f"{written(exponent)}, which is no number: divide it by a parameter in "
            "these units"
        )


def _quotient(above: list[Unit | None], below: list[Unit | None]) -> Unit | None:
    if None in above or None in below:
        return None
    result = registry().Unit("")
    for unit in above:
        result = result * difference(unit)
    for unit in below:
        result = result / difference(unit)
    return result
