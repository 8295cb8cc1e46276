"""The residuals of tendencies or single steps, by the numbers unknown in equations."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from tendency.cell import Ramp
from tendency.errors import InputError
from tendency.fitting.triangles import Triangles
from tendency.symbolic.generated import Generated
from tendency.symbolic.unknowns import AbstractMap, AbstractNumbers, Combination

Fields = Mapping[str, Any]  # name -> (time, *field)
_AT_ONCE = 2**22  # numbers of a Jacobian


def numbered(groups: Any, count: int) -> Int[np.ndarray, " time"]:
    """Groups as 0, 1, 2, ..."""
    found = np.zeros(count, int) if groups is None else np.asarray(groups)
    if found.shape != (count,):
        raise InputError(
            f"groups has the shape {found.shape} and there are {count} states, one "
            "number for each was expected"
        )
    return np.unique(found, return_inverse=True)[1]


class Problem(NamedTuple):
    """Residuals and their Jacobian, by the numbers that are unknown."""

    model: Any
    states: dict[str, Array]
    targets: dict[str, Array]  # tendencies, none for a cell
    forcing: Any
    rows: Int[np.ndarray, " row"]  # the times that give a residual
    fields: tuple[str, ...]  # those that do
    sizes: dict[str, float]  # of the tendencies, in root mean square

    @property
    def numbers(self) -> dict[str, AbstractNumbers]:
        """What is unknown."""
        return numbers_in(equations_in(self.model))

    @property
    def names(self) -> tuple[str, ...]:
        """Of the numbers, one by one."""
        return _names(self.numbers)

    @property
    def free(self) -> Float[np.ndarray, " unknown"]:
        """Z of `Interval` at the first guess."""
        return _flat(u.free for u in self.numbers.values())

    def with_free(self, free: Any) -> Any:
        """The model with other numbers."""
        return _with_free(self.model, jnp.asarray(free))

    def values(self, free: Any) -> Float[np.ndarray, " unknown"]:
        """The numbers in their units."""
        return _flat(u.value for u in self._at(free).values())

    def slopes(self, free: Any) -> Float[np.ndarray, " unknown"]:
        """Of the values, by z."""

        def one(number):
            back = lambda z: number.bounds.to_bounded(z, number.scale.value)  # noqa: E731
            return jax.jvp(back, (number.free,), (jnp.ones_like(number.free),))[1]

        return _flat(one(u) for u in self._at(free).values())

    def stepped(self, free: Any, step: Any) -> Float[np.ndarray, " unknown"]:
        """After a step of the values, at most nine tenths of the way to a bound."""
        wish = self.values(free) + self.slopes(free) * step
        found, first = [], 0
        for one in self._at(free).values():
            here = wish[first : first + one.free.size].reshape(one.free.shape)
            first += one.free.size
            now = np.asarray(one.value)
            lower, upper = (np.asarray(b) for b in one.bounds.ends)
            with np.errstate(invalid="ignore"):  # of infinite bounds
                low, high = (now - 0.9 * (now - b) for b in (lower, upper))
            low = np.where(np.isfinite(lower), low, -np.inf)
            high = np.where(np.isfinite(upper), high, np.inf)
            within = np.clip(here, low, high)
            found.append(one.bounds.to_free(within, one.scale.value))
        return _flat(found)

    def require_inside(self, free: Any) -> None:
        """That no bound stops the search.

        Raises:
            InputError: one does, by name.
        """
        first = 0
        for one in self._at(free).values():
            now, size = np.asarray(one.value), np.asarray(one.scale.value)
            for bound in one.bounds.ends:
                near = np.ravel(np.abs(now - np.asarray(bound)) < 1e-9 * size)
                if near.any():
                    i = int(np.argmax(near))
                    value = np.broadcast_to(bound, now.shape).ravel()[i]
                    raise InputError(
                        f"{self.names[first + i]} tends to its bound {value:g}, beyond "
                        "which the least residuals are: the data, or the equations, "
                        "are not what the bound supposes; check them, or widen it"
                    )
            first += one.free.size

    def triangles(self, free: Any, group: Int[np.ndarray, " row"]) -> Triangles:
        """All that least squares depend on, by group and field."""
        points = sum(a[0].size for a in self.states.values())
        size = min(max(1, _AT_ONCE // (points * (len(free) + 1))), len(self.rows))
        found = Triangles.empty(len(free))
        for first in range(0, len(self.rows), size):
            here = np.arange(first, min(first + size, len(self.rows)))
            index = jnp.asarray(np.resize(self.rows[here], size))  # of one shape
            data = self.states, self.targets, self.forcing
            blocks: Any = _blocks(
                self.model, data, self.fields, jnp.asarray(free), index
            )
            r, slopes = blocks
            for name in r:
                both = np.concatenate([slopes[name], r[name][..., None]], axis=-1)
                found.add(name, group[here], both[: len(here)])
        return found

    def _at(self, free: Any) -> dict[str, AbstractNumbers]:
        return numbers_in(equations_in(self.with_free(free)))


def problem_of(model, states, tendencies, forcing, segments, fields) -> Problem:
    """The residuals of `identify`, whose arguments these are."""
    generated = equations_in(model)
    if not numbers_in(generated):
        raise InputError(
            "the equations have no unknown numbers: declare some as Scalar, "
            "Combination or Field in the unknowns of the system"
        )
    arrays, targets = _checked(generated, model, states, tendencies)
    rows = _rows(model, arrays, segments)
    forcing = None if forcing is None else jax.tree.map(jnp.asarray, dict(forcing))
    times = len(next(iter(arrays.values())))
    for name, values in (forcing or {}).items():
        if len(values) != times:
            raise InputError(
                f"the forcing {name} has {len(values)} times and the states {times}: "
                "give it at the times of the states"
            )
    found = tuple(targets or arrays)
    for name in fields or ():
        if name not in found:
            raise InputError(
                f"fields holds {name}, and there are residuals of {', '.join(found)}"
            )
    found = found if fields is None else tuple(fields)
    sizes = {
        k: v for k, v in _sizes(model, arrays, targets, rows).items() if k in found
    }
    return Problem(model, arrays, targets, forcing, rows, found, sizes)


def numbers_in(equations: Generated) -> dict[str, AbstractNumbers]:
    """Those that are unknown, by name in the order in which JAX puts a mapping."""
    return {
        n: u
        for n, u in sorted(equations.unknowns.items())
        if isinstance(u, AbstractNumbers)
    }


def _with_free(model: Any, free: Array) -> Any:
    equations, first, found = equations_in(model), 0, {}
    for name, one in numbers_in(equations).items():
        part = free[first : first + one.free.size].reshape(one.free.shape)
        found[name] = eqx.tree_at(lambda u: u.free, one, part)
        first += one.free.size
    found = {**equations.unknowns, **found}
    return with_equations(model, eqx.tree_at(lambda g: g.unknowns, equations, found))


@eqx.filter_jit
def _blocks(
    model: Any, data: Any, fields: tuple[str, ...], free: Array, index: Array
) -> tuple[Any, Any]:
    """Residuals at some times, and their Jacobian; compiled once for like models."""

    def one(i):
        def residuals(free):
            states, targets, forcing = data
            new = _with_free(model, free)
            found = _residuals(new, states, targets, forcing, i)
            return {name: found[name] for name in fields}

        return residuals(free), jax.jacfwd(residuals)(free)

    return jax.vmap(one)(index)


def _residuals(model: Any, states, targets, forcing, i: Array) -> dict[str, Array]:
    at = lambda arrays, i: jax.tree.map(lambda a: a[i], arrays)  # noqa: E731
    if isinstance(model, Generated):
        found = model(at(states, i), at(forcing, i))
        return {n: (found[n] - t[i]).ravel() for n, t in targets.items()}
    here = None if forcing is None else Ramp(at(forcing, i), at(forcing, i + 1))
    new = model.step(model.init(at(states, i)), here).state
    after = at(states, i + 1)
    return {n: ((new[n] - after[n]) / model.dt).ravel() for n in states}


def _flat(parts: Iterable[Any]) -> Float[np.ndarray, " unknown"]:
    return np.concatenate([np.ravel(np.asarray(p)) for p in parts])


def _rows(model: Any, states, segments) -> Int[np.ndarray, " row"]:
    """The times at which there is a residual."""
    count = len(next(iter(states.values())))
    if isinstance(model, Generated):
        return np.arange(count)
    segments = [count] if segments is None else [*segments]
    if sum(segments) != count:
        raise InputError(
            f"the segments hold {sum(segments)} times and the states {count}: give the "
            "length of each contiguous stretch"
        )
    rows = np.setdiff1d(np.arange(count), np.cumsum(segments) - 1)
    if not rows.size:
        raise InputError("no stretch has two states, a step apart: give longer ones")
    first = jax.tree.map(lambda a: a[0], states)
    if model.init(first).memory is not None:
        raise InputError(
            "the scheme of the cell remembers earlier tendencies, which single steps "
            "do not have: identify with a Runge-Kutta scheme, such as rk4"
        )
    return rows


def _sizes(model, states, targets, rows) -> dict[str, float]:
    found = {}
    for name, values in (targets or states).items():
        known = np.asarray(values)
        if not targets:
            known = (known[rows + 1] - known[rows]) / model.dt
        size = float(np.sqrt(np.nanmean(known**2))) if np.isfinite(known).any() else 0.0
        found[name] = size if size > 0 else 1.0
    return found


def _checked(generated: Generated, model, states: Fields, tendencies: Fields | None):
    shapes = dict(generated.shapes)
    if isinstance(model, Generated) == (tendencies is None):
        raise InputError(
            "a tendency is identified from states and tendencies, and a cell from "
            f"states a step apart: {'give' if tendencies is None else 'leave out'} the "
            "tendencies"
        )
    sizes = {len(a) for a in (*states.values(), *(tendencies or {}).values())}
    for name, shape in shapes.items():
        found = np.shape(states[name])[1:] if name in states else None
        if found != shape:
            raise InputError(
                f"the states hold {'no ' if found is None else ''}{name}"
                f"{'' if found is None else f' of shape {found}'}, arrays of the shape "
                f"{shape}, time first, were expected"
            )
    for name, values in (tendencies or {}).items():
        if name not in shapes or np.shape(values)[1:] != shapes[name]:
            raise InputError(
                f"the tendencies hold {name} of shape {np.shape(values)[1:]}, and the "
                f"fields are {', '.join(f'{n} {s}' for n, s in shapes.items())}"
            )
    if len(sizes) != 1:
        raise InputError(
            f"states and tendencies have {sorted(sizes)} times, the same number was "
            "expected"
        )
    arrays = {n: jnp.asarray(states[n]) for n in shapes}
    targets = {n: jnp.asarray(v) for n, v in (tendencies or {}).items()}
    return arrays, targets


def equations_in(model: Any) -> Generated:
    """A generated tendency, or that of a cell.

    Raises:
        InputError: there is none.
    """
    found = model if isinstance(model, Generated) else getattr(model, "tendency", None)
    if not isinstance(found, Generated):
        raise InputError(
            f"{type(model).__name__} was given, and a tendency made by `generate`, or "
            "Integrated with it, was expected"
        )
    return found


def with_equations(model: Any, equations: Generated) -> Any:
    """The same with another tendency in its place."""
    if isinstance(model, Generated):
        return equations
    return eqx.tree_at(lambda m: m.tendency, model, equations)


def _names(numbers: Mapping[str, AbstractNumbers]) -> tuple[str, ...]:
    found = []
    for name, one in numbers.items():
        if isinstance(one, Combination):
            found += [f"{name}_{i}" for i in range(1, len(one.of) + 1)]
        elif isinstance(one, AbstractMap):
            found += [f"{name}[{i}]" for i in range(one.free.size)]
        else:
            found.append(name)
    return tuple(found)
