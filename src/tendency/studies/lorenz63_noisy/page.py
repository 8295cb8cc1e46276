"""The page of the study."""

from collections.abc import Sequence

from tendency.report.blocks import Code, Column, Section, Table
from tendency.report.from_scores import score_chart, score_table
from tendency.report.page import Page
from tendency.report.provenance import Provenance
from tendency.scores.records import Score
from tendency.studies.lorenz63_noisy.models import DENSE, PRUNED
from tendency.studies.lorenz63_noisy.parameters import PARAMETERS

_QUESTION = (
    "All that is known of a chaotic flow is 10,000 states of it, each with white noise "
    "of standard deviation 0.5. How well can its dynamics be learned, and are the "
    "equations themselves found, with honest errors?"
)
_READING = (
    "Medians over the seeds; the roll-outs and the one-step fit are of the first seed. "
    "Forecasts start from true states, 2,000 of them; leads are steps of 0.01. A "
    "one-step loss takes noise for dynamics; weak forms average the noise out before "
    "they regress; multiple shooting frees the first state of each window. The joint "
    "fit frees all states: weak-constraint 4DVar over states and coefficients "
    "together, with a model error that decreases from stage to stage."
)
_PRUNING = (
    "Terms below four standard errors are removed and all is fitted again, until all "
    "that is left is significant. In parentheses the standard error, in units of the "
    "last decimal."
)


def make_page(
    scores: Sequence[Score], case: str, equations: list[str], provenance: Provenance
) -> Page:
    """All that the study found."""
    sections = [
        Section(
            "Forecasts",
            _READING,
            (
                score_table(
                    scores,
                    "RMSE",
                    case=case,
                    leads=(1, 4, 8),
                    lead_units="steps",
                    caption="Root mean square error of forecasts.",
                ),
                _long(scores, case),
                score_chart(
                    scores,
                    "RMSE",
                    case=case,
                    lead_units="steps of 0.01",
                    log=True,
                    caption="Error against lead time; diamonds are published.",
                ),
            ),
        ),
        Section(
            "The equations",
            _PRUNING,
            (
                Code("\n".join(equations), "", "What survived, of the first seed:"),
                _parameters(scores),
            ),
        ),
        Section("Seed by seed", "", (_seeds(scores),)),
    ]
    return Page(
        "Lorenz-63 from noisy states", _QUESTION, tuple(sections), provenance,
        kicker="tendency study",
    )  # fmt: skip


def _at(scores: Sequence[Score]) -> dict[tuple, float]:
    return {(s.case, s.model, s.metric, s.lead): s.value for s in scores}


def _long(scores: Sequence[Score], case: str) -> Table:
    metrics = (
        "valid prediction time",
        "climate distance",
        "terms",
        "coefficient error",
        "state RMSE",
        "CPU time",
    )
    at = _at(scores)
    models = dict.fromkeys(s.model for s in scores if s.case == case)
    columns = (
        Column("model"),
        Column("valid prediction time", "Lyapunov times", best="highest"),
        Column("climate distance", "std", best="lowest"),
        Column("terms"),
        Column("largest coefficient error", best="lowest"),
        Column("error of the states"),
        Column("CPU time", "s"),
    )
    rows = tuple(
        (model, *(at.get((case, model, metric, None)) for metric in metrics))
        for model in models
    )
    return Table(columns, rows, "Long forecasts, coefficients and cost.")


def _parameters(scores: Sequence[Score]) -> Table:
    at = _at(scores)
    cases = dict.fromkeys(s.case for s in scores if s.model == PRUNED)
    columns = (
        Column("data"),
        *(
            Column(title, group=name)
            for name in PARAMETERS
            for title in ("error", "standard error")
        ),
    )
    rows = tuple(
        (
            "median" if "seed" not in case else case,
            *(
                at.get((case, PRUNED, f"{kind} of {name}", None))
                for name in PARAMETERS
                for kind in ("error", "standard error")
            ),
        )
        for case in cases
    )
    return Table(columns, rows, "The parameters, from the seven coefficients.")


def _seeds(scores: Sequence[Score]) -> Table:
    at = _at(scores)
    cases = [c for c in dict.fromkeys(s.case for s in scores) if "seed" in c]
    columns = (
        Column("data"),
        Column("model"),
        *(Column(f"{lead} steps", group="RMSE") for lead in (1, 4, 8)),
        Column("valid prediction time", "Lyapunov times"),
        Column("terms"),
    )
    rows = tuple(
        (
            case,
            model,
            *(at.get((case, model, "RMSE", lead)) for lead in (1.0, 4.0, 8.0)),
            at.get((case, model, "valid prediction time", None)),
            at.get((case, model, "terms", None)),
        )
        for case in cases
        for model in (DENSE, PRUNED)
    )
    return Table(columns, rows, "The joint fits.")
