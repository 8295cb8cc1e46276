"""Floor 1: a system linearised, as the coefficients of its derivatives.

What waves much shorter than all else obey: with the coefficients held as they are at a
point, exp(i k·x) gives a matrix by wavenumber, the symbol of the equations.
"""

from collections.abc import Mapping
from typing import NamedTuple

import sympy
from sympy.core.function import AppliedUndef

from tendency.errors import InputError
from tendency.symbolic.lowering import defined
from tendency.symbolic.meaning import Learned, Mean
from tendency.symbolic.system import Expr, System


class Entry(NamedTuple):
    """Which derivative of which field stands in which equation."""

    row: int  # the tendencies, then the elliptic equations
    column: int  # the prognostic fields, then those of elliptic equations
    orders: tuple[int, ...]  # of the derivative, by coordinate


def coefficients(system: System) -> Mapping[Entry, Expr]:
    """∂G/∂(∂ⁿu) of all right-hand sides and derivatives that are not zero.

    Raises:
        InputError: a learned function stands in the equations, whose derivative cannot
            be written down.
    """
    known = defined(system)
    fields = [*system.prognostic, *system.unknown]
    sides = [*system.prognostic.values(), *system.implicit]
    found = {}
    for row, side in enumerate(sides):
        whole = side.xreplace(known)
        for function in whole.atoms(Learned):
            raise InputError(f"{function.func.__name__} is learned, with no derivative")
        full = sympy.expand(whole.doit())
        atoms = [
            a
            for a in full.atoms(sympy.Derivative, AppliedUndef)
            if getattr(a, "expr", a) in fields
        ]
        marks = {a: sympy.Dummy("mark", real=True) for a in atoms}
        means = {m: sympy.Dummy("mean", real=True) for m in full.atoms(Mean)}
        back = {mark: a for a, mark in (marks | means).items()}
        marked = full.xreplace(marks | means)  # a short wave leaves a mean as it is
        for atom, mark in marks.items():
            slope = sympy.diff(marked, mark).xreplace(back)
            if slope != 0:
                by = getattr(atom, "variables", ())
                orders = tuple(by.count(c) for c in system.coordinates)
                column = fields.index(getattr(atom, "expr", atom))
                found[Entry(row, column, orders)] = slope
    return found
