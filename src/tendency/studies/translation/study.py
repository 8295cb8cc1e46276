"""The study from pairs to report."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tendency.report.provenance import Provenance
from tendency.report.results import write_results
from tendency.studies.translation.corpus import corpus_of
from tendency.studies.translation.models import fitted
from tendency.studies.translation.page import make_page, scores_of
from tendency.studies.translation.setting import FILES, FULL, SMALL, TRANSFORMER


def run(
    out: Path,
    *,
    seed: int,
    small: bool,
    say: Callable[[str], None],
    pairs: Sequence[Path] | None = None,
) -> None:
    """Write `scores.json`, `report.html` and the translators into `out`.

    Raises:
        InputError: a file cannot be read, holds too few pairs, or cannot be written; no
            file was given and the machine has no catalogues.
    """
    began = time.perf_counter()
    size = SMALL if small else FULL
    corpus = corpus_of(pairs, size, seed, say)
    outcomes = {}
    for name, file in FILES.items():
        outcomes[name] = fitted(name, corpus, size, seed, say)
        outcomes[name].translator.save(
            out / f"{file}.safetensors", {"study": "translation", "name": name}
        )
    scores = scores_of(outcomes, corpus)
    seconds = time.perf_counter() - began
    provenance = Provenance.here(
        seed=seed,
        wall_seconds=seconds,
        more={"pairs": corpus.origin, "precision": "float32"},
    )
    page = make_page(scores, outcomes, corpus, size, provenance)
    judged = outcomes[TRANSFORMER].greedy
    assert judged is not None
    settings = {
        "seed": seed,
        "small": small,
        "pairs": corpus.origin,
        "tokenizer": corpus.tokenizer.digest,
        "bleu": judged.bleu_signature,
        "chrf": judged.chrf_signature,
        **{k: v for k, v in size._asdict().items() if k != "training"},
        "training": {name: t._asdict() for name, t in size.training.items()},
    }
    report = write_results(out, "translation", settings, scores, page)
    say(f"{report} after {time.perf_counter() - began:.0f} s")
