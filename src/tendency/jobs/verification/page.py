"""Floor 5: the page of a forecast set beside the truth."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from tendency.files import writing
from tendency.jobs.pages import files_of, rank_sections
from tendency.jobs.verification.found import Found
from tendency.report.blocks import Block, Chart, Section, Table
from tendency.report.from_scores import Better, score_section
from tendency.report.lines import line_chart
from tendency.report.numbers import readable_units
from tendency.report.page import Page, write_page
from tendency.report.provenance import Provenance
from tendency.scores.comparing import LEAD, over_starts
from tendency.scores.metrics import best_in_tables
from tendency.scores.records import Score
from tendency.scores.spectral import spectral_means

_SPECTRA = 3  # lead times drawn


def write(found: Found, scores: Sequence[Score], out: Path, seconds: float) -> Path:
    """Write `report.html` into the folder; its path.

    Raises:
        InputError: it cannot be written.
    """
    unit = f"{found.lead_unit}s" if found.lead_unit else ""
    ranked = [s for s in scores if s.metric == "rank_frequency"]
    differences = [s for s in scores if s.model not in found.files]
    plain = [s for s in scores if s not in ranked and s not in differences]
    names = list(found.files)
    sections = [
        *_cases("", plain, unit),
        *_cases("Difference: ", differences, unit),
        *rank_sections(ranked, unit, names),
        *_spectra(found, unit),
        _compared(found),
    ]
    title = " and ".join(Path(p.rstrip("/")).stem for p in found.files.values())
    page = Page(
        f"{title} against {Path(found.truth.rstrip('/')).stem}",
        f"How good are the forecasts of {title}{', by lead time,' if unit else ''} "
        "against what was observed? Every start counts alike, points by their area "
        "where there are latitudes, and what is not known in both is left out.",
        tuple(sections),
        Provenance.here(
            seed=found.measures.seed,
            wall_seconds=seconds,
            more={
                name: digest
                for path in (*found.files.values(), found.truth)
                for name, digest in files_of(path).items()
            },
        ),
        kicker="tendency score",
    )
    path = out / "report.html"
    with writing(path):
        write_page(page, path)
    return path


def _cases(head: str, scores: Sequence[Score], unit: str) -> Iterator[Section]:
    known = best_in_tables()
    # Of one model nothing is best, and of differences neither sign is.
    several = not head and len({s.model for s in scores}) > 1
    best: dict[str, Better] = {
        s.metric: known[s.metric] if several else None for s in scores
    }
    for case in dict.fromkeys(s.case for s in scores):
        yield score_section(
            f"{head}{case}",
            [s for s in scores if s.case == case],
            case=case,
            lead_units=unit,
            best=best,
        )


def _spectra(found: Found, unit: str) -> Iterator[Section]:
    """Mean spectral densities of the forecasts and of the truth, at some lead times."""
    for variable in found.units:
        blocks: list[Block] = []
        for model, tallies in found.tallies.items():
            tally = tallies.get((variable, "spectra"))
            if tally is None or not (tally["count"] > 0).any():
                continue
            means = spectral_means(over_starts(tally))
            count = means.sizes[LEAD]
            chosen = np.unique(np.linspace(0, count - 1, _SPECTRA).round().astype(int))
            length = str(tally.attrs["length"])
            wavelength = 1 / means["wavenumber"].values
            lines = {"truth": (wavelength, means["truth"].isel({LEAD: 0}).values)}
            for i in chosen:
                one = means.isel({LEAD: int(i)})
                name = f"{float(one[LEAD]):.4g} {unit}".strip() if unit else model
                lines[name] = (wavelength, one["forecast"].values)
            units = readable_units(found.units[variable])
            density = f"power [({units or '1'})² {length}]"
            chart = line_chart(
                lines, across=f"wavelength [{length}]", up=density, log=True,
                reference="truth",
            )  # fmt: skip
            blocks.append(
                Chart(
                    chart,
                    f"{model}: mean spectral density by wavelength, that of the truth "
                    "in black.",
                    f"Power spectra of {model} and of the truth.",
                )
            )
        if blocks:
            yield Section(f"Spectra: {variable}", "", tuple(blocks))


def _compared(found: Found) -> Section:
    rows = [(name, value) for name, value in found.facts.items()]
    table = Table(("", ""), tuple(rows), "What was compared.")
    notes = "\n".join(f"- {note}" for note in found.notes)
    return Section("Data", notes, (table,))
