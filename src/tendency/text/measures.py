"""How near translations are to their references: BLEU and chrF, with signatures."""

from collections.abc import Sequence
from dataclasses import dataclass

from tendency.errors import InputError
from tendency.text.extra import needed


@dataclass(frozen=True)
class Measured:
    """BLEU and chrF of a corpus, from 0 to 100, and how they were computed."""

    bleu: float
    chrf: float
    bleu_signature: str
    chrf_signature: str


def measured(told: Sequence[str], references: Sequence[str]) -> Measured:
    """By the library `sacrebleu`, at its default settings.

    Sources: Papineni et al. (2002, doi:10.3115/1073083.1073135) for BLEU; Popović
    (2015, doi:10.18653/v1/W15-3049) for chrF; Post (2018, doi:10.18653/v1/W18-6319) for
    the signatures.

    Raises:
        InputError: no translation, or not as many as references.
    """
    if not told or len(told) != len(references):
        raise InputError(
            f"there are {len(told)} translations and {len(references)} references, as "
            "many, and at least 1, were expected"
        )
    metrics = needed("sacrebleu", "scoring translations").metrics
    bleu, chrf = metrics.BLEU(), metrics.CHRF()
    one = bleu.corpus_score(list(told), [list(references)])
    other = chrf.corpus_score(list(told), [list(references)])
    return Measured(
        one.score, other.score, str(bleu.get_signature()), str(chrf.get_signature())
    )


def chrf_of_each(told: Sequence[str], references: Sequence[str]) -> list[float]:
    """ChrF of each sentence alone, from 0 to 100: BLEU is of a corpus."""
    chrf = needed("sacrebleu", "scoring translations").metrics.CHRF()
    pairs = zip(told, references, strict=True)
    return [chrf.sentence_score(one, [reference]).score for one, reference in pairs]
