"""Floor 5: `tendency report`, one page of what a job asked and found."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from tendency.data.clock import show
from tendency.errors import InputError
from tendency.files import writing
from tendency.jobs.check import check
from tendency.jobs.examples import example_sections
from tendency.jobs.fit import Kept, load_model
from tendency.jobs.forecast import open_forecast
from tendency.jobs.load import Material
from tendency.jobs.models import BASELINES
from tendency.jobs.pages import files_of, rank_sections
from tendency.jobs.progress import Say
from tendency.jobs.settings import Job
from tendency.report.blocks import Code, Section, Table
from tendency.report.from_scores import score_section
from tendency.report.page import Page, write_page
from tendency.report.provenance import Provenance
from tendency.scores.metrics import best_in_tables
from tendency.scores.records import Score, read_scores


def report(job: Job, material: Material, *, say: Say) -> Path:
    """Write `report.html` from the scores, the forecasts and the models.

    Raises:
        InputError: one of these is missing, or the page cannot be written.
    """
    path = Path(job.out) / "scores.json"
    if not path.exists():
        raise InputError(
            f"there are no scores, {path} was expected: run `tendency score` first"
        )
    _, scores = read_scores(path)
    names = (*BASELINES, *job.models)
    kept = {name: load_model(job, name, material) for name in names}
    opened = {n: open_forecast(job, n, kept[n].header["mark"]) for n in names}
    seconds = sum(m.header["seconds"] for m in kept.values())
    seconds += sum(float(d.attrs["tendency_seconds"]) for d in opened.values())
    sections = [
        *_score_sections(job, material, scores),
        *example_sections(job, material, scores, opened),
        *([_model_section(job, kept)] if job.models else []),
        _data_section(job),
    ]
    for dataset in opened.values():
        dataset.close()
    variables = ", ".join(v.name for v in material.layout.variables)
    test = material.part("test")
    page = Page(
        job.report.title,
        f"How well can {variables} be forecast, up to "
        f"{_lead(job.forecast.steps, material)} ahead? Models learned from "
        f"{_dates(material.part('learn'))} are scored from every start within "
        f"{_dates(test)}, which none of them has seen, beside the forecasts that need "
        "no model.",
        tuple(sections),
        Provenance.here(
            seed=job.seed,
            wall_seconds=seconds,
            command=f"tendency run {Path(job.out) / 'config.toml'}",
            more=files_of(job.data.path),
        ),
        kicker="tendency job",
    )
    out = Path(job.out) / "report.html"
    with writing(out):
        write_page(page, out)
    say(f"the report is {out}")
    return out


def _score_sections(
    job: Job, material: Material, scores: Sequence[Score]
) -> Iterator[Section]:
    unit = f"{material.layout.clock.unit}s"
    ranked = [s for s in scores if s.metric == "rank_frequency"]
    scores = [s for s in scores if s.metric != "rank_frequency"]
    for case in dict.fromkeys(s.case for s in scores):
        yield score_section(
            f"Skill: {case}",
            [s for s in scores if s.case == case],
            case=case,
            text=(
                "Over all starts of the test part"
                + (", weighted by area" if material.layout.latitude.any() else "")
                + "; the root is taken after the mean. In grey the baselines."
            ),
            lead_units=unit,
            baselines=BASELINES,
            best=best_in_tables(),
        )
    yield from rank_sections(ranked, unit, job.models)


def _model_section(job: Job, kept: dict[str, Kept]) -> Section:
    rows, blocks = [], []
    for name, model in kept.items():
        if name in BASELINES:
            continue
        changed = job.models[name].model_dump(exclude_defaults=True, mode="json")
        notes = model.header["notes"]
        changed.update(notes.get("chosen", {}))
        kind = changed.pop("kind")
        options = ", ".join(f"{k} {_plain(v)}" for k, v in changed.items())
        told = f"epoch {notes['best_epoch'] + 1}" if "best_epoch" in notes else ""
        rows.append((name, kind, options, told, float(model.header["seconds"])))
        if notes.get("equations"):
            lines = "\n".join(notes["equations"])
            caption = f"The equations that {name} found, of the prepared state:"
            blocks.append(Code(lines, "", caption))
        if len(notes.get("tried", [])) > 1:
            tried = tuple(
                (f"{t['lags']} lags, ridge {t['ridge']:g}", t["error"])
                for t in notes["tried"]
            )
            caption = (
                f"What {name} chose from, on the validation part: the mean over lead "
                "times of the logarithm of the mean square error."
            )
            blocks.append(Table(("choice", "error"), tried, caption, digits=4))
    columns = ("model", "kind", "options", "kept", "fit [s]")
    caption = "The models that were learned; options that are not named are the usual."
    table = Table(columns, tuple(rows), caption)
    return Section("Models", "", (table, *blocks))


def _data_section(job: Job) -> Section:
    found = check(job)
    rows = tuple(
        (what, how) for name in ("data", "parts", "preparation", "forecast")
        for what, how in found[name]
    )  # fmt: skip
    return Section("Data", "", (Table(("", ""), rows, "What was read and used."),))


def _lead(steps: int, material: Material) -> str:
    clock = material.layout.clock
    return f"{steps * clock.step:g} {clock.unit}s"


def _dates(series) -> str:
    return f"{show(series.times[0])} to {show(series.times[-1])}"


def _plain(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
