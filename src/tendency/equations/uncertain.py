"""Floor 5: how errors of an initial state go on, by the methods of `[uncertainty]`."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from tendency.assimilation.kalman import row_of
from tendency.cell import Carry
from tendency.equations.build import Built, build
from tendency.equations.expressions import Numbers
from tendency.equations.settings import Equations, FieldTable, Uncertainty
from tendency.equations.tables import Given
from tendency.equations.values import initial
from tendency.errors import InputError, nearest
from tendency.grid import Axis
from tendency.propagation import (
    Members,
    Parametric,
    Propagated,
    PropagationFailed,
    TangentLinear,
)
from tendency.propagation import propagate as propagated
from tendency.propagation.tangent import Modes

_LEAST = 1e-10  # of the largest mode: below it are those of rounding
_MOST = 20_000  # modes of a field
_IMAGES = 3  # of a periodic axis, on either side


class Errors(NamedTuple):
    """Of one field at the start: spread times a sum of waves with independent sizes.

    The correlation is a product over the axes, exp(-r²/(2 length²)), of each of which
    `roots` has a square root.
    """

    spread: Numbers
    roots: list[Float[np.ndarray, "points wave"]]

    def draw(self, key: PRNGKeyArray) -> Array:
        """Errors at random."""
        waves = jax.random.normal(key, [root.shape[1] for root in self.roots])
        for axis, root in enumerate(self.roots):
            waves = jnp.moveaxis(
                jnp.tensordot(jnp.asarray(root), waves, (1, axis)), 0, axis
            )
        return jnp.asarray(self.spread) * waves

    def modes(self, most: int | None) -> Float[np.ndarray, "mode *grid"]:
        """Those of the largest variance, as many as asked for.

        Raises:
            InputError: there are too many of them for a matrix.
        """
        if not self.roots:
            return np.asarray(self.spread)[None]
        sizes = [(root**2).sum(0) for root in self.roots]
        product = np.ones(())
        for size in sizes:
            product = np.multiply.outer(product, size)
        kept = int((product > _LEAST * product.max()).sum())
        if most is None and kept > _MOST:
            raise InputError(
                f"the errors have {kept} modes, at most {_MOST} were expected: give "
                "uncertainty.modes, or a larger length"
            )
        largest = np.argsort(-product.ravel(), kind="stable")[: min(most or kept, kept)]
        found = []
        for index in zip(*np.unravel_index(largest, product.shape), strict=True):
            wave = np.ones(())
            for root, i in zip(self.roots, index, strict=True):
                wave = np.multiply.outer(wave, root[:, i])
            found.append(self.spread * wave)
        return np.array(found)


def follow(
    asked: Equations, built: Built
) -> tuple[dict[str, Propagated], dict[str, str]]:
    """Mean and variance by each method in the order asked, and why others failed.

    Raises:
        InputError: a table that does not fit the equations, or equations that have no
            moments.
    """
    table = _table(asked, built)
    errors = {name: _errors(name, table, built) for name in table.spread}
    time = built.asked.time
    found: dict[str, Propagated] = {}
    failed: dict[str, str] = {}
    setting: dict[str, Any] = {
        "every": time.every,
        "forcing": built.forcing,
        "grid": built.grid if built.grid.axes else None,
    }
    for method in table.methods:
        try:
            if method == "members":
                how = Members(table.members, batch=table.batch)
                prior, key = _drawn(built, errors), jax.random.key(table.seed)
                found[method] = propagated(
                    built.cell, prior, time.steps, how, key=key, **setting
                )
            elif method == "tangent":
                modes = _modes(built, errors, table.modes)
                found[method] = propagated(
                    built.cell, modes, time.steps, TangentLinear(), **setting
                )
            else:
                found[method] = _by_moments(asked, built, table, errors)
        except PropagationFailed as error:
            said = str(error).partition("; what was there")[0]
            failed[method] = f"by {method} {said}"
    return found, failed


def _table(asked: Equations, built: Built) -> Uncertainty:
    table = asked.uncertainty
    if table is None:
        raise InputError(
            "the file has no table [uncertainty]: add one with the spread of the "
            "initial errors, spread = { u = 0.01 }"
        )
    if asked.system.moments:
        raise InputError(
            "the file asks for the moments of its equations (system.moments) and for "
            'their propagation: take moments out, and put "moments" in '
            "uncertainty.methods"
        )
    names = list(built.system.fields)
    for key, given in (("spread", table.spread), ("length", table.length)):
        for name in given:
            if name not in names:
                raise InputError(
                    f"uncertainty.{key} holds {name}, which is no field of the "
                    f"equations: {nearest(name, names)}"
                )
    if built.water is not None or any(any(o) for o in built.offsets.values()):
        raise InputError(
            "uncertainty was asked of fields with land or on the faces of cells, and "
            "correlations of errors are known on whole grids: leave coast and "
            "staggered out"
        )
    if any(axis.stretch is not None for axis in built.grid.axes):
        raise InputError(
            "uncertainty was asked of a stretched axis, and lengths of errors are told "
            "on even ones: leave stretch out"
        )
    return table


def _errors(name: str, table: Uncertainty, built: Built) -> Errors:
    offsets = {name: built.offsets[name]}
    spread = initial(
        table.spread[name],
        name,
        built.system,
        built.grid,
        offsets,
        built.system.parameters,
        None,
        where=f"uncertainty.spread.{name}",
    )
    if not (np.isfinite(spread).all() and (spread >= 0).all()):
        raise InputError(
            f"uncertainty.spread.{name} is {np.nanmin(spread):.3g} somewhere, a "
            "standard deviation was expected: give numbers that are not negative"
        )
    if "moments" in table.methods and not (spread > 0).all():
        raise InputError(
            f"uncertainty.spread.{name} is 0 somewhere, and equations of moments "
            "divide by the variance: give positive numbers, or take another method"
        )
    axes = built.grid.axes
    if axes and name not in table.length:
        raise InputError(
            f"the errors of {name} have no length: add uncertainty.length.{name}, that "
            "of their correlation, in the units of the axes"
        )
    return Errors(spread, [_root(axis, table.length[name]) for axis in axes])


def _root(axis: Axis, length: float) -> Float[np.ndarray, "points wave"]:
    """B with B Bᵀ the correlation along an axis."""
    x = axis.positions()
    apart = x[:, None] - x[None, :]
    around = np.arange(-_IMAGES, _IMAGES + 1) * (axis.upper - axis.lower)
    images = around if axis.periodic else np.zeros(1)
    correlation = np.exp(-0.5 * ((apart[None] + images[:, None, None]) / length) ** 2)
    correlation = correlation.sum(0)
    correlation /= correlation[0, 0]  # of images, where the length is large
    values, vectors = np.linalg.eigh(correlation)
    kept = values > _LEAST * values[-1]
    return (vectors[:, kept] * np.sqrt(values[kept]))[:, ::-1]


def _drawn(
    built: Built, errors: Mapping[str, Errors]
) -> Callable[[PRNGKeyArray], dict[str, Array]]:
    state = {k: jnp.asarray(v) for k, v in built.state.items()}

    def draw(key: PRNGKeyArray) -> dict[str, Array]:
        keys = jax.random.split(key, len(errors))
        moved = {
            name: state[name] + one.draw(k)
            for (name, one), k in zip(errors.items(), keys, strict=True)
        }
        return state | moved

    return draw


def _modes(built: Built, errors: Mapping[str, Errors], most: int | None) -> Modes:
    carry = built.carry
    moving = jax.tree.map(lambda x: jnp.zeros_like(x), carry)
    rows, shares = [], []
    for name, one in errors.items():
        modes = one.modes(most)
        sizes = (modes.reshape(len(modes), -1) ** 2).sum(1)
        shares.append(sizes / max(float((one.spread**2).sum()), 1e-300))
        for mode in modes:
            state = moving.state | {name: jnp.asarray(mode)}
            rows.append(row_of(Carry(state, moving.memory))[0])
    rows, share = jnp.stack(rows), np.concatenate(shares)
    if most is not None and len(rows) > most:  # those of the largest share of a field
        rows = rows[np.argsort(-share, kind="stable")[:most]]
    return Modes(carry, rows)


def _by_moments(
    asked: Equations, built: Built, table: Uncertainty, errors: Mapping[str, Errors]
) -> Propagated:
    """By equations of variance and aspect, which start from spreads and lengths."""
    names = list(built.system.fields)
    missing = [name for name in names if name not in errors]
    if missing:
        raise InputError(
            f"the moments of {missing[0]} start from its spread, which is missing: add "
            f"uncertainty.spread.{missing[0]}, or take another method"
        )
    if not built.grid.axes or not all(axis.periodic for axis in built.grid.axes):
        raise InputError(
            "moments were asked for on an axis with walls, whose conditions for "
            "variance and aspect are not known: set system.moments = true and give "
            "boundaries of V and nu, or take another method"
        )
    alone, fields = len(names) == 1, dict(asked.fields)

    def add(name: str, values: float) -> None:
        fields[name] = FieldTable(initial=Given(expression=repr(values)))

    for a, f in enumerate(names):
        nu, end = table.length[f] ** 2 / 2, "" if alone else f"_{f}"
        two = len(built.grid.axes) > 1
        x, *y = (axis.name for axis in built.grid.axes)
        for pair in [x + x, x + y[0], y[0] + y[0]] if two else [""]:
            level = nu if pair in ("", x + x, *(c + c for c in y)) else 0.0
            add(f"nu{end}{pair and '_'}{pair}", level)
        for h in names[a:]:
            add("V" if alone else f"V_{f}" if f == h else f"V_{f}_{h}", 0.0)
    system = asked.system.model_copy(
        update={"moments": True, "closures": table.closures}
    )
    changes = {"system": system, "fields": fields, "time": built.asked.time}
    whole = build(asked.model_copy(update=changes))
    state = {k: jnp.asarray(v) for k, v in whole.state.items()}
    for name, one in errors.items():
        state["V" if alone else f"V_{name}"] = jnp.asarray(one.spread**2)
    time = whole.asked.time
    return propagated(
        whole.cell,
        state,
        time.steps,
        Parametric(tuple(axis.name for axis in built.grid.axes)),
        every=time.every,
        forcing=whole.forcing,
    )
