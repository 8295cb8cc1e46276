"""Floor 5: the run of a system, as a CF dataset."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np
import xarray as xr
from jaxtyping import Float

from tendency import __version__
from tendency.equations.build import Built
from tendency.equations.expressions import Numbers
from tendency.equations.given import FACES
from tendency.errors import InputError
from tendency.forecasting import forecast


class Ran(NamedTuple):
    """The states that were saved, those before one stops being finite; NaN on land."""

    times: Float[np.ndarray, " time"]  # [time.units]
    states: dict[str, Numbers]  # time first
    stopped: float | None  # the first saved time that is not finite [time.units]


def integrate(built: Built) -> Ran:
    """Step the system and keep the initial state and every saved one."""
    time = built.asked.time
    forcing = None
    if built.forcing is not None:
        forcing = {k: jax.numpy.asarray(v) for k, v in built.forcing.items()}
    _, saved = forecast(built.cell, built.carry, time.steps, forcing, every=time.every)
    states = {
        name: np.concatenate([np.asarray(built.state[name])[None], np.asarray(values)])
        for name in built.system.fields
        for values in [saved[name]]
    }
    states |= _diagnosed(built, states, forcing)
    seas = {name: built.sea(name) for name in states}
    wet = [v if seas[k] is None else v[:, seas[k]] for k, v in states.items()]
    whole = np.all([np.isfinite(v.reshape(len(v), -1)).all(axis=1) for v in wet], 0)
    for name, sea in seas.items():
        if sea is not None:
            states[name] = np.where(sea, states[name], np.nan)
    if whole.all():
        return Ran(built.times, states, None)
    first = int(np.argmin(whole))
    kept = {name: values[:first] for name, values in states.items()}
    return Ran(built.times[:first], kept, float(built.times[first]))


def _diagnosed(built: Built, states: dict[str, Numbers], forcing) -> dict[str, Numbers]:
    """The diagnostic fields that are asked for, of the saved states."""
    diagnose = built.diagnose
    if diagnose is None:
        return {}
    time = built.asked.time
    when = np.arange(0, time.steps + 1, time.every)
    given = {k: v[when] for k, v in (forcing or {}).items() if k in diagnose.forcings}

    @jax.jit
    def all_of(states, given):
        return jax.lax.map(lambda both: diagnose(*both), (states, given))

    found = all_of({k: jax.numpy.asarray(v) for k, v in states.items()}, given)
    return {name: np.asarray(found[name]) for name in built.diagnosed}


def integrals(
    built: Built, ran: Ran, of: Callable[[Numbers], Numbers] = np.asarray
) -> dict[str, Float[np.ndarray, " time"]]:
    """Each field, or what `of` makes of it, times its cells, summed over the water."""
    return {
        name: np.nansum(
            (of(values) * built.grid.sizes(built.offsets[name])).reshape(
                len(values), -1
            ),
            axis=1,
        )
        for name, values in ran.states.items()
        if name in built.system.fields
    }


def dataset_of(built: Built, ran: Ran) -> xr.Dataset:
    """The states with their coordinates, units, and the equations they obey."""
    asked = built.asked
    variables, coordinates = {}, {"time": _time(built, ran)}
    for name, values in ran.states.items():
        dims = []
        for axis, offset in zip(built.grid.axes, built.offsets[name], strict=True):
            dim = f"{axis.name}{FACES if offset else ''}"
            attributes = {"units": asked.axes[axis.name].unit, "long_name": axis.name}
            letter = axis.name.upper()
            if letter in ("X", "Y", "Z"):
                attributes["axis"] = letter
            coordinates[dim] = xr.Variable(dim, axis.positions(offset), attributes)
            dims.append(dim)
        attributes = {"units": built.unit(name), "long_name": name}
        variables[name] = xr.Variable(("time", *dims), values, attributes)
    told = {
        "Conventions": "CF-1.11",
        "title": asked.system.about or asked.system.name,
        "source": f"tendency {__version__}, generated from equations",
        "equations": "\n".join(built.system.written),
        "method": f"{method_said(built)}, {asked.time.scheme}, dt = {built.cell.dt!r}",
    }
    parameters = {
        f"parameter_{name}": float(value)
        for name, value in built.generated.values.items()
    }
    return xr.Dataset(variables, coordinates, told | parameters)


def _time(built: Built, ran: Ran) -> xr.Variable:
    time = built.asked.time
    units = time.unit if time.since is None else f"{time.unit} since {time.since}"
    attributes = {"units": units, "long_name": "time", "axis": "T"}
    if time.since is not None:
        attributes |= {"standard_name": "time", "calendar": "standard"}
    return xr.Variable("time", ran.times, attributes)


def method_said(built: Built) -> str:
    """How derivatives in space are taken, in words, equation by equation."""
    if not built.grid.axes:
        return "no space"
    found = built.generated.methods
    return "; ".join(f"{fields}: {how}" if fields else how for fields, how in found)


def require_finite(ran: Ran, where: str, advice: str | None) -> None:
    """That the run went to its end.

    Raises:
        InputError: a field stopped being finite.
    """
    if ran.stopped is not None:
        raise InputError(
            f"the fields stop being finite by t = {ran.stopped:g}, what came before is "
            f"in {where}: {advice or 'take a shorter time.dt, or upwind differences'}"
        )
