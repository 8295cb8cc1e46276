"""Floor 5: from `[method]` to a method of assimilation, its prior and its model errors.

Ensembles and particles draw what the model gets wrong; the other methods are told its
covariance. One sentence says where a method and a model do not fit.
"""

from dataclasses import dataclass, replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from tendency.assimilation import (
    ETKF,
    LETKF,
    RTPP,
    RTPS,
    AbstractMethod,
    Adaptive,
    Combined,
    DEnKF,
    EnKFN,
    EstimatedErrors,
    FourDVar,
    Gaussian,
    IEnKS,
    KalmanFilter,
    Localisation,
    Multiplicative,
    NoInflation,
    OptimalInterpolation,
    ParticleFilter,
    RauchTungStriebel,
    SerialEnSRF,
    StochasticEnKF,
    ThreeDVar,
    WeakFourDVar,
    ensemble_of,
)
from tendency.assimilation.inflation import AbstractInflation
from tendency.assimilation.kalman import row_of
from tendency.cell import AbstractCell, Constant
from tendency.errors import InputError
from tendency.jobs.assimilation.model import Modelled
from tendency.jobs.assimilation.places import localisation_of
from tendency.jobs.assimilation.record import (
    Disturbed,
    Learned,
    learned_from,
    root_of,
    static_covariance,
)
from tendency.jobs.assimilation.settings import Assimilation, Method
from tendency.statistical import Analog, LinearAR
from tendency.wrappers import Perturbed

ENSEMBLES = ("etkf", "stochastic", "denkf", "ensrf", "enkf-n", "letkf")
"""Filters of members, whose analyses are members; `ienks` and `particle` have some."""

_GAUSSIAN = ("kalman", "4dvar", "weak-4dvar")
_MOST = 1000  # components of a covariance that is carried along
_WINDOW = {"ienks": 1, "4dvar": 5, "weak-4dvar": 5}  # times, where no lag is given


@dataclass(frozen=True, eq=False)
class Chosen:
    """A method with all that it is given besides observations."""

    method: AbstractMethod
    modelled: Modelled  # with the errors that its cell draws
    prior: Any
    localisation: Localisation | None


def chosen(
    asked: Assimilation,
    modelled: Modelled,
    mean: Float[Array, " latent"],
    key: PRNGKeyArray,
) -> Chosen:
    """What `[method]`, `[record]` and `[prior]` ask for.

    Arguments:
        mean: of the prior, in the model's components.

    Raises:
        InputError: the method does not suit the model.
    """
    settings, name = asked.method, asked.method.name
    _refuse(asked, modelled)
    localisation = None
    if settings.localisation is not None:
        localisation = localisation_of(modelled, settings.localisation)
    learned = None if asked.record is None else learned_from(asked.record, modelled)
    if name in (*ENSEMBLES, "ienks", "particle"):
        modelled = _drawing(modelled, learned)
        prior = _members(asked, modelled, mean, learned, key)
    elif name in ("oi", "3dvar") or settings.background is not None:
        prior = modelled.cell.init(mean)
    else:
        prior = _gaussian(asked, modelled, mean)
    method = _method(asked, modelled, learned, localisation)
    if settings.estimate_errors:
        method = EstimatedErrors(method)  # pyright: ignore
    return Chosen(method, modelled, prior, localisation)


def window_of(method: Method) -> int:
    """By how many times the windows move, which their number must be a multiple of."""
    if method.name in ("4dvar", "weak-4dvar"):
        return method.lag or _WINDOW[method.name]
    return 1


def in_one_piece(method: Method) -> bool:
    """Whether the method needs all times at once."""
    return method.name in _WINDOW or (method.name == "kalman" and method.smoother)


def _refuse(asked: Assimilation, modelled: Modelled) -> None:
    method, size = asked.method, modelled.preparation.size
    if method.name in _GAUSSIAN and isinstance(_inner(modelled.cell), Analog):
        raise InputError(
            f"{method.name} takes derivatives of the model and analogs have none: "
            "choose an ensemble filter or ienks, or another kind of model"
        )
    carried = method.name in ("kalman", "weak-4dvar") or (
        method.name == "4dvar" and method.background is None
    )
    whole = sum(
        x.size
        for x in jax.tree.leaves(
            eqx.filter_eval_shape(modelled.cell.init, jnp.zeros(size))
        )
    )
    if carried and whole > _MOST:
        raise InputError(
            f"{method.name} carries a covariance along and the model has {whole} "
            f"components (its past included), {_MOST} are the most: fit it with "
            "prepare.eofs, or choose letkf or oi"
        )
    smoothed = method.name == "kalman" and method.smoother
    if smoothed and method.estimate_errors:
        raise InputError(
            "method.estimate_errors is of a filter and smoother is true, which with "
            "kalman needs the errors before: leave one out"
        )


def _inner(cell: AbstractCell) -> AbstractCell:
    return cell.cell if isinstance(cell, Perturbed | Disturbed) else cell


def _drawing(modelled: Modelled, learned: Learned | None) -> Modelled:
    """The model whose steps draw the errors that a record tells of."""
    if learned is None:
        return modelled
    root = jnp.asarray(root_of(learned.errors), modelled.climate.dtype)
    return replace(modelled, cell=Disturbed(modelled.cell, Constant(root)))  # pyright: ignore


def _members(
    asked: Assimilation,
    modelled: Modelled,
    mean: Float[Array, " latent"],
    learned: Learned | None,
    key: PRNGKeyArray,
) -> Any:
    size, spread = asked.method.members, asked.prior.spread
    if learned is None:
        wide = spread * modelled.climate
        return ensemble_of(modelled.cell, mean, wide, size=size, key=key)
    # States of the past know how neighbours vary together.
    root = jnp.asarray(spread * root_of(learned.states), mean.dtype)
    white = jax.random.normal(key, (size, root.shape[1]), root.dtype)
    return jax.vmap(modelled.cell.init)(mean[None] + white @ root.T)


def _gaussian(
    asked: Assimilation, modelled: Modelled, mean: Float[Array, " latent"]
) -> Gaussian:
    """The climate around the mean, the memory that a cold start gives included."""
    cell = modelled.cell
    J = jax.jacfwd(lambda state: row_of(cell.init(state))[0])(mean)
    root = J * (asked.prior.spread * modelled.climate)[None]
    return Gaussian(cell.init(mean), root @ root.T)


def _model_error(
    asked: Assimilation, modelled: Modelled, learned: Learned | None
) -> Float[np.ndarray, "latent latent"] | None:
    """Q of the state, in the model's components, or `None` of a perfect model."""
    if learned is not None:
        root = root_of(learned.errors)
        return root @ root.T
    size, cell = modelled.preparation.size, _inner(modelled.cell)
    found = np.zeros((size, size))
    if isinstance(cell, LinearAR) and cell.noise is not None:
        root = np.asarray(cell.noise.value, float)
        found = found + root @ root.T
    std = asked.model.error * np.asarray(modelled.climate, float)
    found = found + np.diag(std**2)
    return found if found.any() else None


def _method(
    asked: Assimilation,
    modelled: Modelled,
    learned: Learned | None,
    localisation: Localisation | None,
) -> AbstractMethod:
    settings, real = asked.method, modelled.climate.dtype
    lag = settings.lag or _WINDOW.get(settings.name, 1)
    if settings.name == "particle":
        return ParticleFilter(jitter=settings.jitter)
    if settings.name == "ienks":
        inflation = inflation_of(settings)
        return IEnKS(inflation, lag=lag, rotated=settings.rotated)
    if settings.name in ENSEMBLES:
        return _filter(settings, localisation)
    if settings.name == "kalman":
        Q = _model_error(asked, modelled, learned)
        row = row_of(modelled.cell.init(jnp.zeros_like(modelled.climate)))[0]
        if Q is not None:
            full = np.zeros((row.size, row.size))
            full[: len(Q), : len(Q)] = Q
            Q = jnp.asarray(full, real)
        kalman = KalmanFilter(Q)
        return RauchTungStriebel(kalman) if settings.smoother else kalman
    if settings.name == "weak-4dvar":
        Q = _model_error(asked, modelled, learned)
        if learned is not None and localisation is not None:
            assert asked.record is not None
            share = asked.record.homogeneous
            Q = static_covariance(learned.errors, modelled, localisation, share)
        if Q is None:
            raise InputError(
                "weak-4dvar looks for errors of the model and is told of none: give "
                "model.error, a share of the climate's spread a step, or [record]"
            )
        return WeakFourDVar(jnp.asarray(Q, real), lag=lag)
    if settings.name == "4dvar" and settings.background is None:
        return FourDVar(lag=lag)
    B = settings.background or 1.0
    if learned is None:
        B = B * modelled.climate**2
    else:
        assert asked.record is not None
        share = asked.record.homogeneous
        found = static_covariance(learned.errors, modelled, localisation, share)
        B = jnp.asarray(B * found, real)
    if settings.name == "4dvar":
        return FourDVar(B, lag=lag)
    return OptimalInterpolation(B) if settings.name == "oi" else ThreeDVar(B)


def _filter(method: Method, localisation: Localisation | None) -> AbstractMethod:
    inflation, resample = inflation_of(method), method.resample
    if method.name == "stochastic":
        return StochasticEnKF(inflation, resample)
    if method.name == "denkf":
        return DEnKF(inflation, resample)
    more: dict[str, Any] = {"rotated": method.rotated, "resample": resample}
    if method.name == "letkf":
        return LETKF(inflation, localisation=localisation, **more)  # pyright: ignore
    if method.name == "ensrf":
        return SerialEnSRF(inflation=inflation, localisation=localisation, **more)
    kind = {"etkf": ETKF, "enkf-n": EnKFN}[method.name]
    return kind(inflation=inflation, **more)


def inflation_of(method: Method) -> AbstractInflation:
    """What is done to the spread of the members."""
    terms: list[AbstractInflation] = []
    if method.adaptive:
        terms.append(Adaptive())
    if method.rtps:
        terms.append(RTPS(method.rtps))  # pyright: ignore
    if method.rtpp:
        terms.append(RTPP(method.rtpp))  # pyright: ignore
    if method.inflation != 1:
        terms.append(Multiplicative(method.inflation))  # pyright: ignore
    inflation = terms[0] if len(terms) == 1 else Combined(*terms)
    return inflation if terms else NoInflation()
