"""How each model of the study is made from noisy states."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from tendency.cell import AbstractCell, Constant
from tendency.fitting import Fitted, JointFit, Pruning, fit
from tendency.integrate import Integrated, dormand_prince5
from tendency.networks import Bilinear
from tendency.observing import Observations
from tendency.statistical import (
    STLSQ,
    Bagging,
    Polynomial,
    SparseTendency,
    WeakForm,
    sparse_regression,
)
from tendency.studies.lorenz63 import models as before
from tendency.studies.lorenz63.truth import DT, NOISE, Size

States = Float[Array, "time 3"]
DENSE, PRUNED = "Joint fit, 30 coefficients", "Joint fit, pruned"
BILINEAR = "Joint fit, Bi-NN(4)"
WEAK = "Sparse regression, weak form"
REWEIGHTED = "Sparse regression, weak form, reweighted"
BAGGED = "Sparse regression, weak form, bagged"
WEAK_FORMS = (WEAK, REWEIGHTED, BAGGED)


class Made(NamedTuple):
    """A model, what was fitted jointly if it was, and the published errors."""

    name: str
    cell: AbstractCell
    fitted: Fitted | None = None
    published: tuple[float | None, float | None, float | None] = (None, None, None)


Row = Callable[[], Iterator[Made]]  # some rows are made of the one before


def rows(
    noisy: States, size: Size, key: PRNGKeyArray, first: bool, small: bool
) -> list[Row]:
    """What is made of the states of one seed; of the `first`, slow peers as well."""
    observations = Observations.of(noisy, np.arange(len(noisy)), error=NOISE**2)
    made: list[Row] = [
        lambda: joint(observations),
        lambda: _weak_forms(noisy, key, small),
    ]
    if not small:
        made.append(lambda: _bilinear(noisy, observations, key))
    if first and not small:
        published = (1e-6, 0.054, 0.14)
        made += [
            lambda: _one("Bi-NN(4), one step", before.bilinear(), published),
            lambda: _one("Bi-NN(4), roll-outs of 20", before.bilinear_rollout),
            lambda: _one("Bi-NN(4), multiple shooting", before.bilinear_shooting),
        ]

    def _one(name, make, published=(None, None, None)):
        yield Made(name, make(noisy, size, key), None, published)

    return made


def quadratic() -> Integrated:
    """All 30 coefficients of a quadratic tendency, none of them known, under RK4."""
    library = Polynomial(2)
    active = Constant(jnp.ones((3, 10), bool))
    return Integrated(SparseTendency(library, jnp.zeros((3, 10)), active), DT)


def joint(observations: Observations) -> Iterator[Made]:
    """States and coefficients together; then insignificant terms removed."""
    key, method = jax.random.key(0), JointFit()
    dense = fit(quadratic(), observations, method, key=key)
    yield Made(DENSE, dense.cell, dense)
    go_on = JointFit(method.ratios[-2:], warm_up=0, pruning=Pruning())
    sparse = fit(
        dense.cell, observations, go_on, key=key, first_guess=dense.posterior.states
    )
    yield Made(PRUNED, sparse.cell, sparse)


def _bilinear(
    noisy: States, observations: Observations, key: PRNGKeyArray
) -> Iterator[Made]:
    tendency = Bilinear.of(noisy, before.PRODUCTS, key=key)
    fitted = fit(Integrated(tendency, DT), observations, JointFit(warm_up=20), key=key)
    yield Made(BILINEAR, fitted.cell, fitted)


def _weak_forms(noisy: States, key: PRNGKeyArray, small: bool) -> Iterator[Made]:
    yield Made(REWEIGHTED, before.reweighted_weak_form(noisy, Size(), key))
    if small:
        return
    settings: dict[str, dict[str, Any]] = {WEAK: {}, BAGGED: {"ensemble": Bagging(50)}}
    for name, more in settings.items():
        tendency = sparse_regression(
            noisy,
            DT,
            formulation=WeakForm(0.25),
            regression=STLSQ(0.3),
            key=key if more else None,
            **more,
        )
        yield Made(name, Integrated(tendency, DT, dormand_prince5))
