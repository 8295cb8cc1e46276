"""Floor 5: an assimilation part after part of its times; a kill loses one of them.

Each part is written when it is done, `parts/0003.safetensors` say, with where the
filter stands after it. A run that finds parts of its own goes on after them, and the
numbers are those of a run that was never killed, bit for bit.
"""

import contextlib
import shutil
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from tendency.assimilation import (
    Analyses,
    FilterDiverged,
    FilterDivergence,
    assimilate,
    equivalents,
    rank_histogram,
)
from tendency.assimilation.health import examine
from tendency.assimilation.method import Cycle, Progress
from tendency.assimilation.smoothers import matrix_of, products_after
from tendency.assimilation.transform import recombined
from tendency.assimilation.verb import nothing
from tendency.errors import InputError
from tendency.files import read_tensors, write_tensors, writing
from tendency.fitting.checkpoint import fingerprint
from tendency.jobs.assimilation.methods import ENSEMBLES, in_one_piece
from tendency.jobs.assimilation.problem import Problem

_NUMBERS = 2**24  # of the ensembles of a part, before and after
_TIMES = 500  # of a part at most
KINDS = ("background", "analysis", "smoothed")
_TOLD = ("innovation", "expected_variance", "residual", "misfit", "log_likelihood")


@dataclass(frozen=True, eq=False)
class Found:
    """What came out, in the units of the data; NaN after the filter was lost."""

    states: dict[str, Float[np.ndarray, "time state"]]  # means, by `KINDS`
    spreads: dict[str, Float[np.ndarray, "time state"]]
    innovation: Float[np.ndarray, "time obs"]
    expected_variance: Float[np.ndarray, "time obs"]
    residual: Float[np.ndarray, "time obs"]
    misfit: Float[np.ndarray, " time"]
    log_likelihood: Float[np.ndarray, " time"]
    ranks: Int[np.ndarray, " rank"]  # empty where there are no members
    factor: float | None  # of the error variances, where it was estimated
    lost: str | None  # why it stopped before the end
    warnings: tuple[str, ...]


def keep(cycle: Cycle) -> tuple[Array, Array, Array]:
    """The members before and after an analysis, and in the space of observations."""
    before, after = cycle.background.ensemble.state, cycle.analysis.ensemble.state
    return before, after, equivalents(cycle)


def keep_equivalents(cycle: Cycle) -> Array:
    """The members in the space of observations alone."""
    return equivalents(cycle)


def keep_transforms(cycle: Cycle) -> tuple[Array, ...]:
    """The same, and the transform of the members, with which a smoother goes back."""
    return *keep(cycle), matrix_of(cycle)


def run_parts(problem: Problem, folder: Path, say: Callable[[str], None]) -> Found:
    """Assimilate all times, from where the parts in `folder` end.

    Raises:
        InputError: nothing can be written, or a part is damaged.
    """
    mark = fingerprint(
        problem.modelled.cell,
        problem.modelled.preparation,
        problem.observations,
        problem.method,
        problem.prior,
        problem.key,
        problem.asked.method.smoother,
    )
    pieces = _cut(problem)
    parts: list[dict[str, np.ndarray]] = []
    belief = problem.method.begin(problem.modelled.cell, problem.prior)
    now, lost = Progress(belief, np.zeros((), np.int32)), None
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    for number, piece in enumerate(pieces):
        path = folder / f"{number:04}.safetensors"
        part = _kept(path, mark)
        if part is None:
            try:
                part, now = _assimilated(problem, piece, now)
            except FilterDiverged as error:
                part, now = _told(problem, piece, error.analyses)
                lost = str(error).partition("; the analyses")[0]
                parts.append(part)
                break
            leaves = jax.tree.leaves(now)
            final = {f"final.{i}": np.asarray(x) for i, x in enumerate(leaves)}
            write_tensors(path, {**part, **final}, {"mark": mark})
            if len(pieces) > 1:
                say(f"{piece.stop} of {len(problem.t)} times are assimilated")
        else:
            structure = jax.tree.structure(now)
            count = structure.num_leaves
            leaves = [jnp.asarray(part.pop(f"final.{i}")) for i in range(count)]
            now = jax.tree.unflatten(structure, leaves)
            now = Progress(now.belief, np.asarray(now.step))
            if number == 0:
                say("an assimilation that was interrupted goes on")
        parts.append(part)
    factor = getattr(now.belief, "factor", None)
    return _joined(problem, parts, lost, None if factor is None else float(factor))


def _cut(problem: Problem) -> list[slice]:
    """Stretches of times whose ensembles fit into memory side by side."""
    method, times = problem.asked.method, len(problem.t)
    if in_one_piece(method):
        return [slice(0, times)]
    members = method.members if _of_members(problem) else 2
    size = problem.modelled.preparation.size + problem.observations.values.shape[1]
    length = int(np.clip(_NUMBERS // (members * size), 1, _TIMES))
    return [slice(i, min(i + length, times)) for i in range(0, times, length)]


def _of_members(problem: Problem) -> bool:
    """Whether the analyses are members, kept to be decoded one by one."""
    return problem.asked.method.name in ENSEMBLES


def _kept(path: Path, mark: str) -> dict[str, np.ndarray] | None:
    """A part that this very assimilation has written; any other is removed."""
    if not path.exists():
        return None
    with contextlib.suppress(InputError):  # damaged: made anew
        tensors, header = read_tensors(path)
        if header.get("mark") == mark:
            return dict(tensors)
    shutil.rmtree(path.parent)
    path.parent.mkdir()
    return None


def _assimilated(
    problem: Problem, piece: slice, start: Progress
) -> tuple[dict[str, np.ndarray], Progress]:
    observations = problem.observations[piece]
    first, last = int(start.step), int(observations.steps[-1])
    forcing = None
    if problem.ends is not None and last > first:
        forcing = jnp.asarray(problem.ends[first : last + 1])
    with warnings.catch_warnings():  # told at the end, of all times
        warnings.simplefilter("ignore", FilterDivergence)
        analyses = assimilate(
            problem.modelled.cell,
            start,
            observations,
            problem.method,
            forcing=forcing,
            save=_saving(problem),
            key=problem.key,
        )
    return _told(problem, piece, analyses)


def _saving(problem: Problem) -> Callable[[Cycle], Any]:
    method = problem.asked.method
    if method.name == "ienks":
        return keep_equivalents
    if not _of_members(problem):
        return nothing
    return keep_transforms if method.smoother else keep


def _told(
    problem: Problem, piece: slice, analyses: Analyses
) -> tuple[dict[str, np.ndarray], Progress]:
    t = jnp.asarray(problem.t[piece])
    model = problem.modelled.preparation
    part: dict[str, Any] = {name: getattr(analyses, name) for name in _TOLD}
    part["failed"] = analyses.failed
    if not _of_members(problem):
        for kind in KINDS:
            mean = getattr(analyses, f"{kind}_mean")
            if mean is not None:
                spread = getattr(analyses, f"{kind}_spread")
                part[kind] = model.decode(mean, t)
                part[f"{kind}_spread"] = _spread(model, spread)
        if analyses.saved is not None:
            part["ranks"] = _ranks(problem, piece, analyses.saved)
        return {name: np.asarray(x) for name, x in part.items()}, analyses.final
    before, after, seen, *matrices = analyses.saved
    for kind, members in (("background", before), ("analysis", after)):
        part[kind], part[f"{kind}_spread"] = _decoded(model, members, t)
    part["ranks"] = _ranks(problem, piece, seen)
    if matrices:
        part |= {"members": after, "matrices": matrices[0]}
    return {name: np.asarray(x) for name, x in part.items()}, analyses.final


def _ranks(problem: Problem, piece: slice, seen: Array) -> Int[np.ndarray, " rank"]:
    key = jax.random.fold_in(problem.key, piece.start)
    observations = problem.observations[piece]
    finite = observations.seen & jnp.isfinite(seen).all(1)
    observations = eqx.tree_at(lambda o: o.seen, observations, finite)
    return rank_histogram(seen, observations, key=key)


@eqx.filter_jit
def _decoded(preparation, members, t):
    """Mean and spread in the units of the data, of (time, member, latent)."""

    def one(pair):
        latent, now = pair
        wide = jnp.full(latent.shape[:1], now)
        states = preparation.decode(latent, wide)
        return states.mean(0), states.std(0, ddof=1)

    return jax.lax.map(one, (members, t))


@eqx.filter_jit
def _spread(preparation, spread):
    """In the units of the data, as if the components did not covary.

    Exact without EOFs; with them exact in the mean square over the points, since
    patterns are orthogonal.
    """
    variance = spread**2
    if preparation.patterns is not None:
        variance = variance @ preparation.patterns.value.T**2
    return preparation.scale.value[None] * jnp.sqrt(variance)


@eqx.filter_jit
def _smoothed(members, matrices, lag):
    products = products_after(matrices, lag)
    return jax.lax.map(lambda pair: recombined(*pair), (members, products))


def _joined(
    problem: Problem,
    parts: list[dict[str, np.ndarray]],
    lost: str | None,
    factor: float | None,
) -> Found:
    """All parts in one, NaN where the filter was lost."""
    times = len(problem.t)
    whole = {
        name: np.concatenate([part[name] for part in parts])
        for name in parts[0]
        if name != "ranks"
    }
    ranks = np.sum([part.get("ranks", np.zeros(0, int)) for part in parts], 0)
    kinds = [kind for kind in KINDS if kind in whole]
    states = {kind: whole.pop(kind) for kind in kinds}
    spreads = {kind: whole.pop(f"{kind}_spread") for kind in kinds}
    if "members" in whole and lost is None:
        members, matrices = (jnp.asarray(whole[n]) for n in ("members", "matrices"))
        smoothed = _smoothed(members, matrices, problem.asked.method.lag)
        t = jnp.asarray(problem.t)
        decoded = _decoded(problem.modelled.preparation, smoothed, t)
        states["smoothed"], spreads["smoothed"] = map(np.asarray, decoded)
    # The members spread within the EOFs; what these leave out varies as ever.
    outside = problem.out_of_sight
    spreads = {k: np.sqrt(s.astype(float) ** 2 + outside) for k, s in spreads.items()}
    told = [] if lost else _examined(problem, whole)
    if problem.columns is not None:
        for name in ("innovation", "expected_variance", "residual"):
            whole[name] = _unpacked(problem, whole[name])

    def full(array: np.ndarray) -> np.ndarray:
        array = array.astype(float)
        shape = (times - len(array), *array.shape[1:])
        return np.concatenate([array, np.full(shape, np.nan)])

    return Found(
        states={k: full(a) for k, a in states.items()},
        spreads={k: full(a) for k, a in spreads.items()},
        **{name: full(whole[name]) for name in _TOLD},
        ranks=ranks,
        factor=factor,
        lost=lost,
        warnings=tuple(told),
    )


def _unpacked(
    problem: Problem, rows: Float[np.ndarray, "time packed"]
) -> Float[np.ndarray, "time obs"]:
    """What stands side by side, back in the columns of the observations."""
    assert problem.columns is not None
    columns = problem.columns[: len(rows)]
    found = np.full((len(rows), problem.used.values.shape[1]), np.nan)
    time, place = np.nonzero(columns >= 0)
    found[time, columns[time, place]] = rows[time, place]
    return found


def _examined(problem: Problem, whole: dict[str, np.ndarray]) -> list[str]:
    """What there is to say of the filter over all times."""
    analyses = Analyses(
        steps=np.asarray(problem.observations.steps),
        times=problem.t,
        background_mean=None,
        background_spread=None,
        analysis_mean=None,
        analysis_spread=None,
        **{name: jnp.asarray(whole[name]) for name in (*_TOLD, "failed")},
        final=Progress(None, np.zeros((), np.int32)),
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", FilterDivergence)
        examine(analyses)
    return [str(w.message) for w in caught if w.category is FilterDivergence]
