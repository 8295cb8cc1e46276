"""The page of the study."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from tendency.report.blocks import Chart, Column, Section, Table
from tendency.report.charts import attractor_chart
from tendency.report.page import Page
from tendency.report.provenance import Provenance
from tendency.scores.records import Score

_QUESTION = (
    "Of Lorenz-63 only x is seen, with or without noise. Can two hidden components and "
    "their equations be found with which x is forecast from its own past?"
)
_FITTED = (
    "The hidden components start from the slope of x and from a fading memory of x²; "
    "dx/dt = u / T is held, which fixes the scale of u; the other two equations are "
    "quadratic, all 20 coefficients unknown. States and coefficients are fitted "
    "together (weak-constraint 4DVar with decreasing model error), from several rates "
    "of the memory; the start of least cost goes on. What is found need not be y and "
    "z, and is not."
)
_FORECAST = (
    "A forecast knows the past values of x in a window and nothing else: the hidden "
    "components at its end come from the same cost with the model held. Root mean "
    "square over the windows; leads are steps of 0.01, 0 is the analysis."
)


def make_page(
    scores: Sequence[Score],
    runs: Mapping[str, Float[np.ndarray, "time 3"]],
    provenance: Provenance,
) -> Page:
    """All that the study found."""
    cases = list(dict.fromkeys(s.case for s in scores))
    at = {(s.case, s.model, s.metric, s.lead): s.value for s in scores}

    def figures(metric, lead=None):
        return tuple(at.get((c, "latent quadratic", metric, lead)) for c in cases)

    forecasts = Table(
        (Column("lead [steps]"), *(Column(c) for c in cases)),
        tuple((str(n), *figures("RMSE of x", float(n))) for n in (0, 1, 4, 8)),
        "Errors of x, forecast from windows of past observations.",
    )
    rest = Table(
        (Column("figure"), *(Column(c) for c in cases)),
        tuple(
            (f"{metric}{units}", *figures(metric))
            for metric, units in (
                ("reconstruction RMSE of x", ""),
                ("valid prediction time", " [Lyapunov times]"),
                ("Lyapunov exponent", " (the equations': 0.9056)"),
                ("standard error of the exponent", ""),
                ("CPU time", " [s]"),
            )
        ),
        "The model that was found.",
    )
    starts = list(dict.fromkeys(s.model for s in scores if s.metric == "cost"))
    costs = Table(
        (Column("start"), *(Column(c, best="lowest") for c in cases)),
        tuple((n, *(at.get((c, n, "cost", None)) for c in cases)) for n in starts),
        "Cost an observation after the first stage.",
    )
    bounded = {
        name: np.where(np.abs(values) < 100, values, np.nan)
        for name, values in runs.items()
    }
    chart = Chart(
        attractor_chart(bounded, reference="truth", labels=("x", "z or w")),
        "Free runs: x against z of the truth, or the hidden component w.",
        f"Attractors of {', '.join(runs)}.",
    )
    return Page(
        "Lorenz-63 through x alone",
        _QUESTION,
        (
            Section("What was found", _FITTED, (rest, costs, chart)),
            Section("Forecasts from the past of x", _FORECAST, (forecasts,)),
        ),
        provenance,
        kicker="tendency study",
    )
