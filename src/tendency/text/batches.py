"""Pairs as tokens, in buckets of like length."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from tendency.buckets import Buckets
from tendency.errors import InputError
from tendency.networks.sequences import BEGIN, END, PAD
from tendency.text.pairs import Pairs
from tendency.text.tokenizer import Tokenizer
from tendency.windows import Window


@dataclass(frozen=True)
class TokenPairs:
    """Tokens of each sentence, without marks, and what was done about long ones."""

    source: tuple[tuple[int, ...], ...]
    target: tuple[tuple[int, ...], ...]
    long: int  # pairs of which a side was longer than the window

    def __len__(self) -> int:
        return len(self.source)


def tokens_of(
    pairs: Pairs,
    tokenizer: Tokenizer,
    window: int,
    *,
    long: Literal["drop", "cut", "refuse"],
) -> TokenPairs:
    """The tokens of pairs; those that do not fit are counted.

    Arguments:
        window: tokens of a sentence at most, its end among them.
        long: drop pairs that have a longer side, cut that side, or refuse them.

    Raises:
        InputError: a window below 2, a long sentence where they are refused, or no pair
            is left.
    """
    if window < 2:
        raise InputError(f"the window is {window} tokens, at least 2 were expected")
    sides = [tokenizer.encode(side) for side in (pairs.source, pairs.target)]
    fits = [max(len(s), len(t)) < window for s, t in zip(*sides, strict=True)]
    count = fits.count(False)
    if count and long == "refuse":
        place = fits.index(False)
        raise InputError(
            f"{count} of {len(pairs)} pairs are longer than the window of {window} "
            f"tokens, the first {pairs.source[place]!r}: enlarge the window, or have "
            "them dropped or cut"
        )
    if long == "drop":
        sides = [[t for t, f in zip(side, fits, strict=True) if f] for side in sides]
        if not sides[0]:
            raise InputError(
                f"all {len(pairs)} pairs of {pairs.origin} are longer than the window "
                f"of {window} tokens: enlarge it"
            )
    cut = [tuple(tuple(t[: window - 1]) for t in side) for side in sides]
    return TokenPairs(cut[0], cut[1], count)


def bucketed(pairs: TokenPairs, buckets: int, *, least: int = 1) -> Buckets:
    """Samples for `Teaching`: states `source` and `target`, one weight a token.

    The lengths of the buckets are those that need the fewest tokens in all, the filling
    among them. Weights are one over the mean number of target tokens, so that a mean
    over samples is a mean over tokens.

    Arguments:
        buckets: at most so many.
        least: pairs in a bucket, for which there must be that many.
    """
    longest = np.array(
        [max(len(s), len(t)) for s, t in zip(pairs.source, pairs.target, strict=True)]
    )
    tokens = sum(len(t) + 1 for t in pairs.target)
    groups = []
    for places in _groups(longest, buckets, least):
        source = filled([(*pairs.source[i], END) for i in places])
        target = filled([(BEGIN, *pairs.target[i], END) for i in places])
        weights = (target != PAD).astype(np.float32)
        weights[:, 0] = 0  # the beginning is given
        weights = jnp.asarray(weights * np.float32(len(pairs) / tokens))
        states = {"source": jnp.asarray(source), "target": jnp.asarray(target)}
        groups.append(Window(states, weights=weights))
    return Buckets.of(groups)


def filled(
    sentences: Sequence[Sequence[int]], length: int | None = None
) -> Int[np.ndarray, "sentence time"]:
    """The tokens as one array, filled up to the longest, or to `length`."""
    length = max(map(len, sentences)) if length is None else length
    array = np.full((len(sentences), length), PAD, np.int32)
    for row, sentence in zip(array, sentences, strict=True):
        row[: len(sentence)] = sentence
    return array


def _groups(longest: Int[np.ndarray, " pair"], buckets: int, least: int) -> list:
    """Places by bucket, the cuts between lengths chosen for the fewest tokens."""
    order = np.argsort(longest, kind="stable")
    lengths, counts = np.unique(longest, return_counts=True)
    ends = np.cumsum(counts)
    # cost[k][j]: tokens of the pairs up to length j in k buckets, and where to cut.
    cost: list[Mapping[int, tuple[float, int]]] = [{-1: (0.0, -1)}]
    for _ in range(buckets):
        row: dict[int, tuple[float, int]] = {}
        for j, end in enumerate(ends):
            options = [
                (before + (end - start) * (lengths[j] + 2.0), i)
                for i, (before, _) in cost[-1].items()
                if i < j and end - (start := ends[i] if i >= 0 else 0) >= least
            ]
            if options:
                row[j] = min(options)
        cost.append(row)
    last = len(lengths) - 1
    found = [(row[last][0], k) for k, row in enumerate(cost) if last in row]
    if not found:
        return [order]  # fewer pairs than the least of a bucket
    k, cuts = min(found)[1], [last]
    while k > 1:
        cuts.insert(0, cost[k][cuts[0]][1])
        k -= 1
    return np.split(order, [ends[c] for c in cuts[:-1]])
