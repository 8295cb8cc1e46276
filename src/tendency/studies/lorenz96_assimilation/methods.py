"""The methods, and for which ensembles DAPPER's errors are known."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Array, Float

from tendency.assimilation import (
    ETKF,
    LETKF,
    DEnKF,
    EnKFN,
    Euclidean,
    FourDVar,
    IEnKS,
    Localisation,
    Multiplicative,
    OptimalInterpolation,
    SerialEnSRF,
    StochasticEnKF,
    ThreeDVar,
    climatology,
)
from tendency.assimilation.method import AbstractMethod

POINTS = np.arange(40.0)[:, None]  # on the circle
Climate = Float[Array, "time 40"]  # states of a long run


@dataclass(frozen=True)
class Row:
    """A method, the ensembles that it is tried with, and errors of others."""

    name: str
    method: Callable[[Climate], AbstractMethod]
    sizes: tuple[int | None, ...]  # None: it has no ensemble
    quick: tuple[int | None, ...] = ()  # sizes of a quick look
    dapper: Mapping[int | None, float] = field(default_factory=dict)  # measured
    smoother: Mapping[int | None, float] = field(default_factory=dict)  # DAPPER's
    every: int = 1  # so many steps lie between the observations
    most: int | None = None  # cycles that the time allows


def _inflated(factor: float) -> Multiplicative:
    return Multiplicative(factor)  # pyright: ignore[reportArgumentType]


def _always(method: AbstractMethod) -> Callable[[Climate], AbstractMethod]:
    return lambda states: method


_NEAR = Localisation(4.0, POINTS, Euclidean(period=(40.0,)))
ROWS = (
    Row("OI from the climate",
        lambda states: OptimalInterpolation(climatology(states), states.mean(0)),
        (None,), (), {None: 0.94}),
    Row("3DVar, 0.02 of the climate's covariance",
        lambda states: ThreeDVar(climatology(states, 0.02)), (None,), (),
        {None: 0.435}),
    Row("ETKF, inflation 1.02, rotated", _always(ETKF(_inflated(1.02), rotated=True)),
        (16, 18, 20, 24, 32, 40), (24,), {24: 0.178}),
    Row("EnSRF, inflation 1.02, rotated",
        _always(SerialEnSRF(_inflated(1.02), rotated=True)), (16, 18, 20, 24, 28, 40)),
    Row("DEnKF, inflation 1.01", _always(DEnKF(_inflated(1.01))),
        (20, 24, 28, 32, 40), (), {40: 0.192}),
    Row("EnKF-N, twice the weight, rotated",
        _always(EnKFN(weight=2.0, rotated=True)),  # pyright: ignore
        (16, 18, 20, 24, 32, 40), (24,), {24: 0.186}),
    Row("Stochastic EnKF, inflation 1.06", _always(StochasticEnKF(_inflated(1.06))),
        (24, 28, 32, 40, 60), (40,), {40: 0.227}),
    Row("LETKF, inflation 1.04, length 4",
        _always(LETKF(_inflated(1.04), localisation=_NEAR)),
        (4, 5, 7, 10, 16, 24), (7,), {7: 0.226}),
    Row("IEnKS of 4 times, inflation 1.03, every 4th step",
        _always(IEnKS(_inflated(1.03), lag=4, rotated=True)),
        (20,), (), {20: 0.296}, {20: 0.159}, every=4),
    Row("4DVar of 4 times, every 4th step",
        lambda states: FourDVar(climatology(states, 0.002), lag=4, shift=1),
        (None,), (), every=4, most=2_500),
)  # fmt: skip
