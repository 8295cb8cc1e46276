"""The methods, and for which ensembles DAPPER's errors are known."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tendency.assimilation import (
    ETKF,
    DEnKF,
    EnKFN,
    Multiplicative,
    SerialEnSRF,
    StochasticEnKF,
)
from tendency.assimilation.method import AbstractMethod


@dataclass(frozen=True)
class Row:
    """A method, the ensembles that it is tried with, and errors of others."""

    name: str
    method: AbstractMethod
    sizes: tuple[int, ...]
    quick: tuple[int, ...] = ()  # sizes of a quick look
    dapper: Mapping[int, float] = field(default_factory=dict)  # by members, measured


def _inflated(factor: float) -> Multiplicative:
    return Multiplicative(factor)  # pyright: ignore[reportArgumentType]


ROWS = (
    Row("ETKF, inflation 1.02, rotated", ETKF(_inflated(1.02), rotated=True),
        (16, 18, 20, 24, 32, 40), (24,), {24: 0.178}),
    Row("EnSRF, inflation 1.02, rotated", SerialEnSRF(_inflated(1.02), rotated=True),
        (16, 18, 20, 24, 28, 40)),
    Row("DEnKF, inflation 1.01", DEnKF(_inflated(1.01)),
        (20, 24, 28, 32, 40), (), {40: 0.192}),
    Row("EnKF-N, twice the weight, rotated", EnKFN(weight=2.0, rotated=True),  # pyright: ignore
        (16, 18, 20, 24, 32, 40), (24,), {24: 0.186}),
    Row("Stochastic EnKF, inflation 1.06", StochasticEnKF(_inflated(1.06)),
        (24, 28, 32, 40, 60), (40,), {40: 0.227}),
)  # fmt: skip
