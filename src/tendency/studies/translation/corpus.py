"""The pairs of the study: of the user's files, or of catalogues on the machine."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tendency.errors import InputError
from tendency.studies.translation.setting import HOW, SHARES, Size
from tendency.text import (
    Pairs,
    Tokenizer,
    TokenPairs,
    clean,
    read_pairs,
    split,
    tokens_of,
)
from tendency.text.clean import told

CATALOGUES = Path("/usr/share/locale/fr/LC_MESSAGES")
_FEW = 200  # pairs; of fewer nothing is learned


@dataclass(frozen=True)
class Corpus:
    """The parts, as text and as tokens, and what was left out on the way."""

    origin: str
    parts: tuple[Pairs, Pairs, Pairs]  # learned from, chosen by, held out
    tokenizer: Tokenizer
    train: TokenPairs
    validation: TokenPairs
    notes: tuple[str, ...]


def corpus_of(
    files: Sequence[Path] | None, size: Size, seed: int, say: Callable[[str], None]
) -> Corpus:
    """Read, clean, split, and learn a vocabulary from the training part.

    Raises:
        InputError: a file cannot be read or holds too few pairs; none was given and
            there is no catalogue on the machine.
    """
    if files:
        pairs, left_out = clean(read_pairs(list(files)))
        origin = ", ".join(path.name for path in files)
    else:
        found = sorted(CATALOGUES.glob("*.mo"))
        if not found:
            raise InputError(
                f"no pairs were given and there are no French catalogues in "
                f"{CATALOGUES}: give a file with --pairs, any table with a tab between "
                "a sentence and its translation, or install catalogues (Debian: "
                "libreoffice-l10n-fr)"
            )
        # Of thousands of messages those that read as sentences.
        read = read_pairs(found)
        pairs, left_out = clean(read, placeholders=False, same=False)
        origin = f"French catalogues of messages in {CATALOGUES}"
        say(f"no pairs were given: {len(found)} {origin}. {HOW}")
    notes = [f"{len(pairs)} pairs; left out: {told(left_out)}."]
    if len(pairs) > size.most:
        order = np.random.default_rng(seed).permutation(len(pairs))
        notes.append(f"{size.most} of them were drawn, so that it takes minutes.")
        pairs = pairs.part(sorted(order[: size.most].tolist()))
    if len(pairs) < _FEW:
        raise InputError(
            f"{origin} holds {len(pairs)} pairs, at least {_FEW} were expected to learn"
            " a translation from: give more text"
        )
    train, validation, test = split(pairs, SHARES, seed)
    notes.append(
        f"{len(train)} are learned from, {len(validation)} choose the epoch, "
        f"{len(test)} are held out; no sentence of either language is in two parts."
    )
    tokenizer = Tokenizer.learn([*train.source, *train.target], size.vocabulary)
    tokens = [
        tokens_of(part, tokenizer, size.window, long="drop")
        for part in (train, validation)
    ]
    long = sum(t.long for t in tokens)
    if long:
        notes.append(
            f"{long} pairs of the first two parts are longer than {size.window} tokens "
            "and were dropped."
        )
    cut = tokens_of(test, tokenizer, size.window, long="cut").long
    if cut:
        notes.append(
            f"{cut} held-out pairs are longer than {size.window} tokens: their sources "
            "are cut, their references are not."
        )
    strange = sum(bool(tokenizer.unseen(s)) for s in test.source)
    if strange:
        notes.append(
            f"{strange} held-out sentences hold characters that were never learned "
            "from."
        )
    for note in notes:
        say(note)
    return Corpus(
        origin, (train, validation, test), tokenizer, *tokens, notes=tuple(notes)
    )
