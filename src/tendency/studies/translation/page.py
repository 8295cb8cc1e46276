"""The report: the three architectures, what they told, and what they looked at."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tendency.report.blocks import Block, Chart, Column, Section, Table
from tendency.report.heat import heat_chart
from tendency.report.lines import line_chart
from tendency.report.page import Page
from tendency.report.provenance import Provenance
from tendency.scores.records import Score
from tendency.studies.translation.corpus import Corpus
from tendency.studies.translation.models import Outcome, word_attention
from tendency.studies.translation.setting import HOW, ONE, TRANSFORMER, Size
from tendency.text import measured

_LENGTHS = (3, 6, 9, 12)  # words of a source: the groups end there, and at any
_FEW = 20  # sentences; the BLEU of fewer says little
_SAMPLES, _ENDS, _MAPS = 8, 4, 2
_WIDEST = 14  # words of a sentence whose attention is drawn


def scores_of(outcomes: Mapping[str, Outcome], corpus: Corpus) -> list[Score]:
    """BLEU and chrF of the held-out part, all of it and by the length of sentences."""
    scores = []
    for name, outcome in outcomes.items():
        assert outcome.greedy is not None
        assert outcome.beam is not None
        for case, found in (("greedy", outcome.greedy), ("beam", outcome.beam)):
            scores.append(Score(case, name, "bleu", None, found.bleu))
            scores.append(Score(case, name, "chrf", None, found.chrf))
        loss = float(outcome.validation_loss[outcome.best])
        scores.append(Score("validation", name, "cross-entropy", None, loss, "nat"))
        for label, bleu in _by_length(outcome, corpus).items():
            scores.append(Score(label, name, "bleu", None, bleu))
    return scores


def make_page(
    scores: Sequence[Score],
    outcomes: Mapping[str, Outcome],
    corpus: Corpus,
    size: Size,
    provenance: Provenance,
) -> Page:
    """The page of the study."""
    sections = (
        _first_section(scores, outcomes, corpus),
        _length_section(outcomes, corpus),
        _learning_section(outcomes, size),
        _attention_section(outcomes, corpus),
        _told_section(outcomes, corpus),
        _how_section(outcomes, corpus, size),
    )
    return Page(
        "From one language to another, in three architectures",
        "What does a single vector forget as sentences grow, and what does attention "
        "keep? Two LSTMs with one vector between them, an LSTM that looks back at the "
        "source, and a Transformer learn to translate from the same few thousand pairs "
        "of sentences, and are judged on sentences that none has seen.",
        sections,
        provenance,
    )


def verdict(scores: Sequence[Score]) -> str:
    """What the Transformer gains over the single vector, in a sentence."""
    at = {(s.model, s.metric): s.value for s in scores if s.case == "greedy"}
    gain = at[TRANSFORMER, "bleu"] - at[ONE, "bleu"]
    return (
        f"The Transformer reaches a BLEU of {at[TRANSFORMER, 'bleu']:.1f} and a chrF "
        f"of {at[TRANSFORMER, 'chrf']:.1f}: {abs(gain):.1f} BLEU "
        f"{'more' if gain >= 0 else 'less'} than a single vector between two LSTMs "
        f"({at[ONE, 'bleu']:.1f})."
    )


def _first_section(
    scores: Sequence[Score], outcomes: Mapping[str, Outcome], corpus: Corpus
) -> Section:
    rows = []
    for name, outcome in outcomes.items():
        assert outcome.greedy is not None
        assert outcome.beam is not None
        rows.append(
            (
                name,
                outcome.greedy.bleu,
                outcome.greedy.chrf,
                outcome.beam.bleu,
                outcome.beam.chrf,
                outcome.weights,
                outcome.seconds,
                outcome.rate,
            )
        )
    columns = (
        Column("architecture"),
        Column("BLEU", group="likeliest token", best="highest"),
        Column("chrF", group="likeliest token", best="highest"),
        Column("BLEU", group="beam of 4", best="highest"),
        Column("chrF", group="beam of 4", best="highest"),
        Column("weights"),
        Column("learned in", "s"),
        Column("sentences a second"),
    )
    any_of = next(iter(outcomes.values())).greedy
    assert any_of is not None
    text = (
        f"Of {corpus.origin}. {' '.join(corpus.notes)}\n\n{verdict(scores)} Scores are "
        "of the held-out part, from 0 to 100; the rate is of the likeliest token each "
        "time. There is no published number for this text."
    )
    caption = (
        f"Signatures of sacrebleu: `{any_of.bleu_signature}` and "
        f"`{any_of.chrf_signature}`."
    )
    table = Table(columns, tuple(rows), caption)
    return Section("How good are the translations?", text, (table,))


def _by_length(outcome: Outcome, corpus: Corpus) -> dict[str, float]:
    """BLEU of the sentences of each group of lengths, where there are enough."""
    test = corpus.parts[2]
    words = np.array([len(s.split()) for s in test.source])
    found, low = {}, 1
    for high in (*_LENGTHS, None):
        places = np.flatnonzero((words >= low) & (words <= (high or words.max())))
        label = f"{low} to {high} words" if high else f"{low} words and more"
        if len(places) >= min(_FEW, len(words) // 4):
            told = [outcome.told[i] for i in places]
            found[label] = measured(told, [test.target[i] for i in places]).bleu
        low = (high or 0) + 1
    return found


def _length_section(outcomes: Mapping[str, Outcome], corpus: Corpus) -> Section:
    lines, rows = {}, {}
    for name, outcome in outcomes.items():
        found = _by_length(outcome, corpus)
        lines[name] = (
            np.arange(1.0, len(found) + 1),
            np.array(list(found.values())),
        )
        rows[name] = found
    labels = list(next(iter(rows.values())))
    chart = Chart(
        line_chart(lines, across="group of lengths, short to long", up="BLEU"),
        "BLEU of held-out sentences by the words of their source: "
        f"{'; '.join(f'{i}: {label}' for i, label in enumerate(labels, 1))}.",
        "BLEU by the length of the sentence, one line an architecture.",
    )
    columns = (
        Column("architecture"),
        *(Column(label, best="highest") for label in labels),
    )
    table = Table(
        columns, tuple((name, *found.values()) for name, found in rows.items())
    )
    text = (
        "A single vector has as many numbers for a sentence of three words as for one "
        "of thirty. Attention looks back at each word when it is needed."
    )
    return Section("What one vector forgets", text, (chart, table))


def _learning_section(outcomes: Mapping[str, Outcome], size: Size) -> Section:
    losses = {
        name: (np.arange(1.0, len(o.validation_loss) + 1), o.validation_loss)
        for name, o in outcomes.items()
    }
    bleu = {
        name: (
            np.array([epoch + 1.0 for epoch in o.bleu_by_epoch]),
            np.array(list(o.bleu_by_epoch.values())),
        )
        for name, o in outcomes.items()
    }
    charts = (
        Chart(
            line_chart(losses, across="epoch", up="cross-entropy of a token [nat]"),
            "Of the validation part, by the averaged weights.",
            "Validation loss by epoch, one line an architecture.",
        ),
        Chart(
            line_chart(bleu, across="epoch", up="BLEU"),
            f"Of {size.watched} pairs of the validation part at most.",
            "BLEU of the validation part by epoch, one line an architecture.",
        ),
    )
    text = (
        "Each token is learned with those before it given, and a tenth of its chance "
        "spread over all others (label smoothing). The epoch with the smallest "
        "validation loss is kept."
    )
    return Section("How they learn", text, charts)


def _attention_section(outcomes: Mapping[str, Outcome], corpus: Corpus) -> Section:
    test = corpus.parts[2]
    best = outcomes[TRANSFORMER]
    fine = [
        i
        for i in np.argsort(best.chrf_of_each, kind="stable")[::-1]
        if 4 <= len(test.source[i].split()) <= _WIDEST
        and len(best.told[i].split()) <= _WIDEST
        and best.told[i]
    ]
    # Not the very best, which are the shortest: of the better half the longest.
    half = sorted(fine[: max(len(fine) // 2, 1)], key=lambda i: -len(test.source[i]))
    blocks: list[Block] = []
    for i in half[:_MAPS]:
        for name, outcome in outcomes.items():
            told = outcome.told[i]
            if not told or len(told.split()) > 2 * _WIDEST:
                continue
            found = word_attention(outcome.translator, test.source[i], told)
            if found is None:
                continue
            columns, rows, weights = found
            chart = heat_chart(
                np.clip(weights, 0, 1),
                rows,
                columns,
                across="source",
                up="told",
                label="attention",
            )
            caption = f"{name}: `{test.source[i]}`; reference: `{test.target[i]}`."
            alt = f"Attention of each word told to the words of the source, by {name}."
            blocks.append(Chart(chart, caption, alt))
    text = (
        "How much each word that is told was read off the words of the source: a row "
        "is a word of the translation, and sums to one. ⏎ is the end. Of the "
        "Transformer it is the mean over the heads of its last block; a single vector "
        "has nothing of the kind."
    )
    return Section("Word to word", text, tuple(blocks))


def _told_section(outcomes: Mapping[str, Outcome], corpus: Corpus) -> Section:
    test, best = corpus.parts[2], outcomes[TRANSFORMER]
    columns = (
        Column("source"),
        Column("reference"),
        *(Column(name) for name in outcomes),
        Column("its chrF"),
    )

    def rows(places: Iterable[Any]) -> tuple:
        return tuple(
            (
                test.source[i],
                test.target[i],
                *(o.told[i] for o in outcomes.values()),
                best.chrf_of_each[i],
            )
            for i in places
        )

    draw = np.random.default_rng(0).permutation(len(test))[:_SAMPLES]
    order = np.argsort(best.chrf_of_each, kind="stable")
    long = [i for i in order[::-1] if len(test.source[i].split()) >= 6]
    fine = (long or list(order[::-1]))[:_ENDS]
    tables = (
        Table(columns, rows(sorted(draw)), "Drawn at random from the held-out part."),
        Table(
            columns, rows(fine), "The best of the Transformer, of six words and more."
        ),
        Table(columns, rows(order[:_ENDS]), "Its worst."),
    )
    return Section("What was told", "", tables)


def _how_section(
    outcomes: Mapping[str, Outcome], corpus: Corpus, size: Size
) -> Section:
    rows = []
    for name, outcome in outcomes.items():
        training = size.training[name]
        rows.append(
            (
                name,
                training.epochs,
                outcome.best + 1,
                training.rate,
                training.dropout,
                float(outcome.validation_loss[outcome.best]),
            )
        )
    table = Table(
        (
            "architecture",
            "epochs",
            Column("epoch kept"),
            "highest rate",
            "dropout",
            Column("cross-entropy of a token", "nat", best="lowest"),
        ),
        tuple(rows),
    )
    text = (
        f"Text is split into {len(corpus.tokenizer)} byte-level tokens, learned from "
        "the training part of both languages, whose vectors are shared by the two "
        "languages and the output. Adam with weight decay, a warm-up and a cosine; "
        f"batches of {size.batch} sentences of like length; averaged weights. {HOW}"
    )
    return Section("How it was done", text, (table,))
