"""Floor 5: `tendency fit`, the models of a job fitted once and kept.

A model is kept as `models/NAME.safetensors`, whose header says what it was fitted to
and how. One whose header says what is asked for now is not fitted again; one that was
interrupted goes on from its checkpoint in `models/NAME/`.
"""

import hashlib
import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from tendency.cell import AbstractCell
from tendency.data.clock import show
from tendency.data.layout import Layout
from tendency.data.prepare import Preparation
from tendency.errors import InputError
from tendency.files import write_atomically, writing
from tendency.fitting import Diverged
from tendency.jobs.build import Built, Report, baselines, build
from tendency.jobs.load import Material
from tendency.jobs.models import BASELINES, LinearAR
from tendency.jobs.progress import Say, epochs_shown
from tendency.jobs.settings import Job
from tendency.store import load, save


@dataclass(frozen=True, eq=False)
class Kept:
    """A model as it is kept on disk."""

    name: str
    cell: AbstractCell
    preparation: Preparation
    header: dict[str, Any]  # `asked`, `mark`, `outside`, `layout`, `train`, `notes`

    @property
    def layout(self) -> Layout:
        """Where each number of the state lies in the data."""
        return Layout.from_dict(self.header["layout"])


def fit_models(job: Job, material: Material, *, say: Say) -> None:
    """Fit every model of the job that is not there yet, the baselines first.

    Raises:
        InputError: a model does not suit the data, or nothing can be written.
        Diverged: a loss stopped being finite; the models before are kept, and the last
            good weights are in `models/NAME/last_good.safetensors`.
    """
    folder = Path(job.out) / "models"
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    wanted = {n: asked_for(job, n, material) for n in (*BASELINES, *job.models)}
    if any(not _is_kept(folder, n, wanted[n]) for n in BASELINES):
        for name, built in baselines(job, material).items():
            _keep(folder / f"{name}.safetensors", built, wanted[name], job, material, 0)
    for name, model in job.models.items():
        if _is_kept(folder, name, wanted[name]):
            say(f"{name}: fitted already")
            continue
        _clear_other(folder / name, wanted[name])
        began = time.perf_counter()
        with epochs_shown(name) as report:
            built = _built(job, name, material, folder / name, wanted[name], report)
        seconds = time.perf_counter() - began
        path = folder / f"{name}.safetensors"
        _keep(path, built, wanted[name], job, material, seconds)
        say(f"{name} ({model.kind}): fitted in {seconds:.1f} s{_chosen(built)}")


def load_model(job: Job, name: str, material: Material) -> Kept:
    """The model of that name, as this job asks for it.

    Raises:
        InputError: it is not there, or was fitted to something else.
    """
    path = Path(job.out) / "models" / f"{name}.safetensors"
    if not path.exists():
        raise InputError(
            f"the model {name} is not fitted, {path} was expected: run `tendency fit` "
            "first"
        )
    (cell, preparation), header = load(path)
    if header.get("mark") != mark_of(asked_for(job, name, material)):
        raise InputError(
            f"{path} was fitted with another configuration or other data: run "
            "`tendency fit` again"
        )
    return Kept(name, cell, preparation, dict(header))


def asked_for(job: Job, name: str, material: Material) -> dict[str, Any]:
    """All that decides a model: what it is, its data, how they are cut and prepared."""
    model = job.models.get(name)
    asked = {
        "model": {"kind": name} if model is None else model.model_dump(mode="json"),
        "split": job.split.model_dump(mode="json", exclude={"test"}),
        "prepare": job.prepare.model_dump(mode="json"),
        "data": _digest(material),
        "seed": job.seed,
    }
    chosen = isinstance(model, LinearAR)
    if chosen and any(isinstance(v, list) for v in (model.lags, model.ridge)):
        asked["steps"] = job.forecast.steps  # what is chosen is chosen for them
    return asked


def mark_of(asked: dict[str, Any]) -> str:
    """A digest of `asked_for`."""
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:16]


def _digest(material: Material) -> str:
    first, stop = material.learn
    states = np.ascontiguousarray(material.series.states[first:stop])
    digest = hashlib.sha256(states.tobytes())
    digest.update(np.ascontiguousarray(material.series.t[first:stop]).tobytes())
    digest.update(repr((material.train, material.validation)).encode())
    return digest.hexdigest()[:16]


def _is_kept(folder: Path, name: str, asked: dict[str, Any]) -> bool:
    path = folder / f"{name}.safetensors"
    if not path.exists():
        return False
    try:
        return load(path)[1].get("mark") == mark_of(asked)
    except InputError:
        return False  # damaged, or of another version: it is fitted anew


def _built(
    job: Job,
    name: str,
    material: Material,
    directory: Path,
    asked: dict[str, Any],
    report: Report | None,
) -> Built:
    try:
        return build(job, name, material, directory=directory, report=report)
    except Diverged as error:
        header = {"mark": mark_of(asked), "asked": asked}
        path = directory / "last_good.safetensors"
        save(path, error.fitted.cell, header)
        message = f"models.{name}: {error}, in {path}"
        raise Diverged(message, error.fitted) from error
    except (MemoryError, jax.errors.JaxRuntimeError) as error:
        if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
            raise InputError(
                f"models.{name} ran out of memory ({' '.join(str(error).split())[:90]})"
                ": lower its batch, horizon or width, or data.subset"
            ) from error
        raise


def _keep(
    path: Path,
    built: Built,
    asked: dict[str, Any],
    job: Job,
    material: Material,
    seconds: float,
) -> None:
    learn = material.part("learn")
    header = {
        "mark": mark_of(asked),
        "asked": asked,
        "layout": material.layout.to_dict(),
        "train": [show(learn.times[0]), show(learn.times[-1])],
        "outside": built.outside,
        "seconds": round(seconds, 3),
        "notes": built.notes,
    }
    save(path, (built.cell, built.preparation), header)


def _clear_other(directory: Path, asked: dict[str, Any]) -> None:
    """Leave a checkpoint of this very fit, and nothing of any other."""
    note = directory / "fit.json"
    text = json.dumps(asked, sort_keys=True, indent=1)
    if note.exists() and note.read_text(encoding="utf-8") == text:
        return
    with writing(directory):
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
    write_atomically(note, text.encode())


def _chosen(built: Built) -> str:
    if len(built.notes.get("tried", [])) < 2:
        return ""
    pairs = [f"{k} {v:g}" for k, v in built.notes["chosen"].items()]
    return f", {' and '.join(pairs)} chosen"
