"""Floor 1: the differences that each equation takes, checked and told."""

from collections.abc import Mapping

from tendency.errors import InputError, nearest
from tendency.grid import Grid
from tendency.symbolic.differences import Differences
from tendency.symbolic.faces import RECONSTRUCTIONS
from tendency.symbolic.spectral import Spectral
from tendency.symbolic.system import System

ORDERS = (2, 4, 6, 8)
Methods = Mapping[str, Differences]  # prognostic field -> the method of its equation
SECOND_ORDER = Differences()


def methods_of(
    system: System,
    grid: Grid,
    given: Differences | Mapping[str, Differences | Spectral],
) -> Methods:
    """Of every equation; second order where a mapping has none.

    Raises:
        InputError: an unknown field, a spectral method among them, an order or a flux
            that is not offered, or WENO5 on a stretched axis.
    """
    if isinstance(given, Differences):
        given = dict.fromkeys(system.fields, given)
    found = dict.fromkeys(system.fields, SECOND_ORDER)
    for name, method in given.items():
        if name not in system.fields:
            raise InputError(
                f"a method is given for {name}, and the prognostic fields are "
                f"{', '.join(system.fields)}: {nearest(name, list(system.fields))}"
            )
        if isinstance(method, Spectral):
            raise InputError(
                f"the method of {name} is {method}, and only differences can be "
                "chosen for each equation: the spectral method takes the whole system"
            )
        _require_known(method, grid)
        found[name] = method
    return found


def _require_known(method: Differences, grid: Grid) -> None:
    if method.order not in ORDERS:
        raise InputError(
            f"the order of the differences is {method.order}, one of "
            f"{', '.join(map(str, ORDERS))} was expected"
        )
    if method.flux not in ("central", *RECONSTRUCTIONS):
        raise InputError(
            f"the flux of the differences is {method.flux!r}, one of central, "
            f"{', '.join(RECONSTRUCTIONS)} was expected"
        )
    stretched = [axis.name for axis in grid.axes if axis.stretch is not None]
    if method.flux == "weno5" and stretched:
        raise InputError(
            f"the flux is weno5 and axis {stretched[0]} is stretched, where means over "
            "cells would make it of second order: take minmod, or an even axis"
        )


def said(method: Differences | Spectral) -> str:
    """One in words."""
    if isinstance(method, Spectral):
        products = "two thirds" if method.dealias else "all"
        return f"Fourier series, products from {products} of the wavenumbers"
    found = f"central differences of order {method.order}"
    if method.upwind:
        found = f"differences of order {method.order}, upwind for transport"
    if method.flux != "central":
        found += f", finite-volume fluxes by {method.flux}"
    return found


def told(method: Spectral | Methods) -> list[tuple[str, str]]:
    """(fields, their method), for each method; no fields where all have the same."""
    if isinstance(method, Spectral):
        return [("", said(method))]
    by_method: dict[Differences, list[str]] = {}
    for name, one in method.items():
        by_method.setdefault(one, []).append(name)
    if len(by_method) == 1:
        return [("", said(one)) for one in by_method]
    return [(", ".join(names), said(one)) for one, names in by_method.items()]
