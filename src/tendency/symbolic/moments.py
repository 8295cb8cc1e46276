"""Floor 1: how errors of equations grow and spread, as equations of their own.

The parametric Kalman filter: beside the mean of a field its errors e are described at
each point by their variance V and their aspect tensor ν = g⁻¹/2, where with ε = e/√V
the metric g is E[∂ε ∂εᵀ]; √(2ν) is the length of their correlation. From ∂_t u = F(u)
follow, to second order in e,

    ∂_t u = F + Σ F'' E[e e]/2,    ∂_t e = F' e,
    ∂_t V = 2 E[e F' e],    ∂_t g = E[∂ε ∂(∂_t ε)ᵀ] + its transpose,

with all expectations in terms of V, of g and of what stays open (`expectations`):
Pannekoucke & Fablet (2020, Geosci. Model Dev. 13, 3373); Pannekoucke & Arbogast (2021,
Geosci. Model Dev. 14, 5957); of several fields, Perrot, Pannekoucke & Guidard (2023,
Nonlin. Processes Geophys. 30, 139).
"""

from collections.abc import Iterable, Mapping
from itertools import combinations_with_replacement
from typing import Any, NamedTuple

import sympy

from tendency.errors import InputError
from tendency.symbolic.expectations import Errors, named
from tendency.symbolic.meaning import Jacobian, Learned, Mean
from tendency.symbolic.system import TIME, Expr, System
from tendency.symbolic.unknowns import coefficients_of
from tendency.symbolic.written import written

_LONG = 10**6  # of a text that is not cut


class Moments(NamedTuple):
    """Equations of means, variances and aspects, and what they leave open."""

    of: System
    equations: tuple[str, ...]  # as `System.of` reads them
    open: Mapping[str, str]  # by name: which expectation it stands for
    theory: Mapping[str, str]  # an equation for each that a Gaussian shape closes

    def system(self, *closures: str, **more: Any) -> System:
        """A system ready for the generator.

        Arguments:
            closures: equations for what is open, `"C = a*d_xx nu/nu^2 + ..."`; those of
                `theory` stand for the others.
            more: arguments of `System.of`, added to those of the equations: parameters
                of the closures, a name.

        Raises:
            InputError: something open has neither an equation nor a theory, or what
                `System.of` raises.
        """
        base = self.of
        unknowns = {**base.unknowns, **more.pop("unknowns", {})}
        given = {text.partition("=")[0].strip() for text in closures} | {*unknowns}
        for name, meaning in self.open.items():
            if name not in given and name not in self.theory:
                raise InputError(
                    f"the moments of {base.name} hold {name} = {meaning}, which no "
                    f"theory closes: give an equation for it, {name} = ..., or make it "
                    "an unknown"
                )
        by_theory = [t for n, t in self.theory.items() if n not in given]
        learned = coefficients_of(base.unknowns)
        values = {
            s.name: v for s, v in base.parameters.items() if s.name not in learned
        }
        settings = {
            "coordinates": [str(c) for c in base.coordinates],
            "parameters": values | dict(more.pop("parameters", {})),
            "constants": _along(c for c in base.constants if _name(c) not in unknowns),
            "forcings": _along(base.forcings),
            "unknowns": unknowns,
            "name": f"{base.name} with uncertainty",
            "doc": f"Mean, variance and aspect of errors. {base.doc}".strip(),
        }
        return System.of([*self.equations, *closures, *by_theory], **(settings | more))


def _name(field: Expr) -> str:
    return field.func.__name__


def _along(fields: Iterable[Expr]) -> dict[str, list[str]]:
    """The coordinates of space that each depends on."""
    return {_name(f): [str(a) for a in f.args if a != TIME] for f in fields}


def moments(system: System) -> Moments:
    """Derive the equations of mean, variance and aspect tensor.

    A field alone has `V` and `nu` (in two dimensions `nu_xx`, `nu_xy`, `nu_yy`), of
    several u has `V_u` and `nu_u`, and u and v the covariance `V_u_v`. Equations stay
    as they are written where errors add nothing. A field that is equal to an
    expression is put into the equations.

    Raises:
        InputError: more than two coordinates, a field that an elliptic equation
            determines, a term that has no derivatives in the fields (`abs`, `max`), or
            a mean over the grid, named; a name that is taken.
    """
    tendencies = _explicit(system)
    errors = Errors(system)
    slopes = {f: errors.slopes(F) for f, F in tendencies.items()}
    lines: dict[Expr, Expr] = {}
    for field, written_as in system.prognostic.items():
        second = errors.second_order(tendencies[field])
        lines[field] = written_as + errors.plain(second)
    rates = {}
    fields = list(tendencies)
    for f, h in combinations_with_replacement(fields, 2):
        rate = errors.variance_rate(f, h, slopes[f], slopes[h])
        rates[f, h] = rate
        lines[errors.variance[f, h]] = errors.plain(rate)
    diagnostic: dict[Expr, Expr] = {}
    for f in fields:
        rate = errors.metric_rate(f, slopes[f], rates[f, f])
        if len(system.coordinates) == 1:
            nu = errors.aspect[f][0, 0]
            lines[nu] = errors.plain(-2 * nu**2 * rate[0, 0])
        else:
            diagnostic |= errors.metric_fields(f)
            lines |= errors.aspect_rates(f, rate, diagnostic)
    text = [_line(sympy.Derivative(f, TIME), F) for f, F in lines.items()]
    given, learned = system.diagnostic.items(), system.unknowns
    kept = {f: F for f, F in given if _name(f) not in learned}  # those declare theirs
    text += [_line(f, F) for f, F in {**kept, **diagnostic}.items()]
    theory = {}
    for name in errors.open:
        closed = errors.theory(name)
        if closed is not None:
            theory[name] = _line(errors.open[name].field, closed)
    meanings = {name: one.meaning for name, one in errors.open.items()}
    return Moments(system, tuple(text), meanings, theory)


def _line(left: Expr, right: Expr) -> str:
    return f"{written(left, _LONG)} = {written(right, _LONG)}"


def _explicit(system: System) -> dict[Expr, Expr]:
    """Tendencies with diagnostic fields put in and derivatives carried out.

    Raises:
        InputError: what the moments cannot be derived of.
    """
    if len(system.coordinates) > 2:
        raise InputError(
            f"the moments were asked of a system in {len(system.coordinates)} "
            "dimensions, 1 or 2 were expected: take a section, or an ensemble"
        )
    if system.unknown:
        raise InputError(
            f"{system.unknown[0].func} is determined by an elliptic equation, so that "
            "its errors at a point depend on those everywhere, which variance and "
            "aspect do not tell: use tangent-linear covariances or an ensemble"
        )
    found = {}
    for field, right in system.prognostic.items():
        for _ in range(len(system.diagnostic)):
            right = right.subs(system.diagnostic)
        right = right.doit()
        for node in right.atoms(
            sympy.Abs, sympy.Max, sympy.Min, sympy.sign, Mean, Learned
        ):
            if node.atoms(*system.prognostic):
                raise InputError(
                    f"the equation of {field.func} holds {written(node)}, whose "
                    "expectation does not follow from variance and aspect: replace "
                    "it by something smooth, or use an ensemble"
                )
        if right.has(Jacobian):
            right = right.replace(lambda n: isinstance(n, Jacobian), lambda n: n.doit())
        found[field] = right
    names = {_name(f) for f in (*found, *system.diagnostic)} | {
        s.name for s in system.parameters
    }
    names |= {_name(one) for one in (*system.constants, *system.forcings)}
    for new in named(system):
        if new in names:
            raise InputError(
                f"the name {new} is taken in the equations of {system.name}, and the "
                "moments need it: rename what has it"
            )
    return found
