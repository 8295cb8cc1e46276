"""Floor 1: of what order the equations are."""

import sympy

from tendency.errors import InputError
from tendency.grid import Grid
from tendency.symbolic.meaning import Jacobian
from tendency.symbolic.system import Expr, System


def require_few_orders(name: str, tendency: Expr, system: System, grid: Grid) -> None:
    """That one condition at each end of the bounded axes determines a field.

    Raises:
        InputError: the order along one of them is above 2.
    """
    for symbol, axis in zip(system.coordinates, grid.axes, strict=True):
        order = 0 if axis.periodic else highest_order(tendency, symbol)
        if order > 2:
            raise InputError(
                f"the equation of {name} holds a derivative of order {order} along "
                f"{axis.name}, which is bounded: one condition at each end does "
                "not determine its solution, make the axis periodic"
            )


def highest_order(node: Expr, symbol: sympy.Symbol) -> int:
    """Order of the highest derivative, those within derivatives added up."""
    if isinstance(node, sympy.Derivative):
        return node.variables.count(symbol) + highest_order(node.expr, symbol)
    if isinstance(node, Jacobian) and symbol in node.args[2:]:
        return 1 + max(highest_order(part, symbol) for part in node.args[:2])
    return max((highest_order(part, symbol) for part in node.args), default=0)
