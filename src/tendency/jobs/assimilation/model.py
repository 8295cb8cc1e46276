"""Floor 5: the model of an assimilation, and what stands between it and the data."""

from collections.abc import Mapping
from dataclasses import dataclass

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from tendency.cell import AbstractCell, Constant
from tendency.data.clock import Clock, parse_step
from tendency.data.layout import Layout
from tendency.data.prepare import Preparation
from tendency.data.variables import Variable
from tendency.errors import InputError
from tendency.jobs.assimilation.settings import Assimilation
from tendency.jobs.series import untouched
from tendency.store import load
from tendency.wrappers import Perturbed


@dataclass(frozen=True, eq=False)
class Modelled:
    """A cell, the states that it advances, and how they vary in the long run."""

    cell: AbstractCell
    preparation: Preparation
    layout: Layout
    climate: Float[Array, " latent"]  # standard deviation of each latent component
    mean: Float[Array, " latent"]  # of the prior, as an anomaly
    kind: str
    of_job: bool  # whether it was fitted by a job, and so knows its dates

    @property
    def left_out(self) -> float:
        """The variance that the EOFs leave out, in units of the squared scale.

        One number for all points, from the training data.
        """
        explained = self.preparation.explained
        if not isinstance(explained, Constant):
            return 0.0
        share = np.asarray(explained.value, float)
        return float((1 - share.sum()) / (share[0] * self.layout.size))


class Equivalents(eqx.Module):
    """What would be seen of a latent state, as anomalies in the units of the data.

    Components of the state by `index`, or weighted sums of some, where the points and
    the weights come with the time.
    """

    scale: Float[Array, " state"]
    patterns: Float[Array, "state latent"] | None
    index: Int[Array, " obs"] | None

    def __call__(
        self,
        latent: Float[Array, " latent"],
        moving: tuple[Int[Array, "obs corner"], Float[Array, "obs corner"]]
        | None = None,
    ) -> Float[Array, " obs"]:
        states = latent if self.patterns is None else self.patterns @ latent
        states = self.scale * states
        if moving is None:
            return states if self.index is None else states[self.index]
        points, weights = moving
        return jnp.sum(weights * states[points], -1)


def load_modelled(
    asked: Assimilation, clock: Clock | None, units: Mapping[str, str]
) -> Modelled:
    """The model that `[model]` names.

    Arguments:
        clock: that of the observations, for a cell that no job has fitted.
        units: of the observations, for the same.

    Raises:
        InputError: no such file, not a model, or a prior that it does not suit.
    """
    found, header = load(asked.model.path)
    if isinstance(found, AbstractCell):
        modelled = _of_cell(asked, found, clock, units)
    else:
        modelled = _of_job(asked, found, dict(header))
    if asked.model.error:
        # `Perturbed` takes its noise by the square root of the time of a step.
        std = asked.model.error * modelled.climate / modelled.cell.dt**0.5
        cell = Perturbed(modelled.cell, std)
        modelled = Modelled(**{**vars(modelled), "cell": cell})
    return modelled


def _of_job(asked: Assimilation, found: object, header: dict) -> Modelled:
    pair = found if isinstance(found, tuple) and len(found) == 2 else (None, None)
    cell, preparation = pair
    known = isinstance(cell, AbstractCell) and isinstance(preparation, Preparation)
    if not known or "layout" not in header:
        raise InputError(
            f"{asked.model.path} holds no model of a job, models/NAME.safetensors in "
            "the folder of one was expected: give its path, or save a cell"
        )
    assert isinstance(cell, AbstractCell)
    assert isinstance(preparation, Preparation)
    layout = Layout.from_dict(header["layout"])
    scale = preparation.scale.value
    climate = np.ones(preparation.size)
    if isinstance(preparation.explained, Constant):
        share = np.asarray(preparation.explained.value, float)
        climate = np.sqrt(share / share[0])
    else:
        told = _by_component(asked.prior.std, layout, "prior.std")
        standardised = header["asked"].get("prepare", {}).get("standardise", True)
        if preparation.cycle is None or not standardised:
            _require(told, layout, "prior.std", "the model does not know its climate")
        climate = np.where(np.isfinite(told), told / np.asarray(scale), 1.0)
    mean = np.zeros(preparation.size)
    if asked.prior.mean and preparation.patterns is not None:
        raise InputError(
            "prior.mean is given and the model sees its state through EOFs: leave it "
            "out, the climatology is the mean"
        )
    if preparation.patterns is None:
        told = _by_component(asked.prior.mean, layout, "prior.mean")
        if preparation.cycle is None:
            _require(told, layout, "prior.mean", "the model does not know its mean")
        # A mean is of the first time, whatever the cycle says then: see `problem`.
        mean = np.where(np.isfinite(told), told, np.nan)
    return Modelled(
        cell,
        preparation,
        layout,
        jnp.asarray(climate, scale.dtype),
        jnp.asarray(mean, scale.dtype),
        str(header["asked"]["model"]["kind"]),
        True,
    )


def _of_cell(
    asked: Assimilation,
    cell: AbstractCell,
    clock: Clock | None,
    units: Mapping[str, str],
) -> Modelled:
    names = list(asked.prior.mean)
    if clock is None or not names or set(asked.prior.std) != set(names):
        raise InputError(
            f"{asked.model.path} holds a cell that no job has fitted, which does not "
            "tell its variables: name each of them, in the order of the state, in "
            "prior.mean and in prior.std"
        )
    mean = np.array([asked.prior.mean[n] for n in names])
    try:
        carry = eqx.filter_eval_shape(cell.init, jnp.asarray(mean))
        shape = getattr(carry.state, "shape", None)
        eqx.filter_eval_shape(cell.step, carry)
    except (TypeError, ValueError, LookupError) as error:
        raise InputError(
            f"prior.mean names {len(names)} variables and the cell cannot step a state "
            f"of so many ({str(error).splitlines()[0][:90]}): name all of them, in "
            "their order"
        ) from error
    if shape != (len(names),):
        raise InputError(
            f"prior.mean names {len(names)} variables and the cell's state is {shape}: "
            "name all of them, in their order"
        )
    unit = parse_step(asked.model.unit)[1] if asked.model.unit else clock.unit
    layout = Layout(
        tuple(
            Variable(n, ("time",), np.ones((), bool), "float64", _units(n, units))
            for n in names
        ),
        (),
        Clock(float(cell.dt), unit, clock.reference, clock.calendar),
    )
    size = len(names)
    return Modelled(
        cell,
        untouched(size, np.dtype(float)),
        layout,
        jnp.asarray([asked.prior.std[n] for n in names]),
        jnp.asarray(mean),
        type(cell).__name__,
        False,
    )


def _units(name: str, units: Mapping[str, str]) -> dict[str, str]:
    return {"units": units[name]} if units.get(name) else {}


def _by_component(
    told: dict[str, float], layout: Layout, key: str
) -> Float[np.ndarray, " state"]:
    values = np.full(layout.size, np.nan)
    for name, value in told.items():
        if name not in layout.parts:
            raise InputError(
                f"{key} names {name}, which is not a variable of the model: choose "
                f"from {', '.join(layout.parts)}"
            )
        values[layout.parts[name]] = value
    return values


def _require(told: np.ndarray, layout: Layout, key: str, why: str) -> None:
    missing = [n for n, part in layout.parts.items() if np.isnan(told[part]).any()]
    if missing:
        raise InputError(f"{key}.{missing[0]} is missing and {why}: add it")
