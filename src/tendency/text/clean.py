"""Pairs made fit to learn from: cleaned, each once, split without overlap."""

import re
import unicodedata
from collections.abc import Mapping

import numpy as np

from tendency.errors import InputError
from tendency.text.pairs import Pairs

_PLACEHOLDER = re.compile(r"%[-+ #0-9.*]*l?[a-zA-Z]|%\(\w+\)|\{\w*\}|<[/a-zA-Z][^>]*>")


_REASONS: tuple[str, ...] = ("empty", "repeated", "placeholder", "same")


def clean(
    pairs: Pairs, *, placeholders: bool = True, same: bool = True
) -> tuple[Pairs, Mapping[str, int]]:
    """The pairs that can be learned from, and how many were left out, by reason.

    Text is put into Unicode's composed form, white space made single. Left out are
    pairs of which a side is empty, and those that were there before.

    Arguments:
        placeholders: whether to keep pairs with placeholders (%s, {name}) or tags.
        same: whether to keep pairs whose sides are equal: names, untranslated text.

    Raises:
        InputError: no pair is left.
    """
    left_out: dict[str, int] = dict.fromkeys(_REASONS, 0)
    kept: dict[tuple[str, str], None] = {}
    for pair in zip(pairs.source, pairs.target, strict=True):
        source, target = (
            " ".join(unicodedata.normalize("NFC", text).split()) for text in pair
        )
        if not (source and target):
            left_out["empty"] += 1
        elif not same and source == target:
            left_out["same"] += 1
        elif not placeholders and _PLACEHOLDER.search(f"{source}\n{target}"):
            left_out["placeholder"] += 1
        elif (source, target) in kept:
            left_out["repeated"] += 1
        else:
            kept[source, target] = None
    if not kept:
        raise InputError(
            f"none of the {len(pairs)} pairs of {pairs.origin} can be learned from "
            f"({told(left_out)}): give another file"
        )
    source, target = zip(*kept, strict=True)
    return Pairs(source, target, pairs.origin), left_out


def told(counts: Mapping[str, int]) -> str:
    """Counts by name, those that are not zero."""
    return ", ".join(f"{n} {name}" for name, n in counts.items() if n) or "none"


def normalised(sentence: str) -> str:
    """A sentence as it is compared: letters and digits alone, without case."""
    text = unicodedata.normalize("NFKC", sentence).casefold()
    words = re.findall(r"\w+", text)
    return " ".join(words) or text.strip()


def split(pairs: Pairs, shares: tuple[float, ...], seed: int) -> tuple[Pairs, ...]:
    """Parts such that no sentence, of either language, is in two of them.

    Sentences are compared as `normalised`. Pairs that share one are kept together:
    those that are linked by any chain of them go into one part, at random.

    Arguments:
        shares: of the parts, which sum to one; a part is cut at the first group that
            fills it.

    Raises:
        InputError: shares that do not sum to one, or a part without a pair.
    """
    if not np.isclose(sum(shares), 1) or min(shares) <= 0:
        raise InputError(
            f"the shares of the parts are {shares}, numbers above 0 that sum to 1 were "
            "expected"
        )
    groups = list(_linked(pairs).values())
    order = np.random.default_rng(seed).permutation(len(groups))
    parts: list[list[int]] = [[] for _ in shares]
    # The last part first: the first, which is to be learned from, takes what is left.
    part = len(shares) - 1
    for i in order:
        while part and len(parts[part]) >= round(shares[part] * len(pairs)):
            part -= 1
        parts[part] += groups[i]
    if any(not part for part in parts):
        raise InputError(
            f"the {len(pairs)} pairs of {pairs.origin} are {len(groups)} groups without"
            f" a common sentence, too few for {len(shares)} parts: give more text"
        )
    return tuple(pairs.part(sorted(part)) for part in parts)


def _linked(pairs: Pairs) -> dict[int, list[int]]:
    """The places of pairs that share a sentence, by the first of them."""
    above = list(range(len(pairs)))

    def first(i: int) -> int:
        while above[i] != i:
            above[i] = above[above[i]]
            i = above[i]
        return i

    known: dict[tuple[int, str], int] = {}
    for i, pair in enumerate(zip(pairs.source, pairs.target, strict=True)):
        for side, sentence in enumerate(pair):
            j = known.setdefault((side, normalised(sentence)), i)
            one, other = sorted((first(i), first(j)))
            above[other] = one
    groups: dict[int, list[int]] = {}
    for i in range(len(pairs)):
        groups.setdefault(first(i), []).append(i)
    return groups
