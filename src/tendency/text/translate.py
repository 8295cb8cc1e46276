"""A fitted translator with its tokenizer: from text to text, and on disk."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import jax.numpy as jnp
import numpy as np

from tendency.errors import InputError
from tendency.networks.sequences import (
    END,
    AbstractTranslator,
    beam,
    greedy,
    seen_of,
)
from tendency.store import load, save
from tendency.text.batches import filled
from tendency.text.tokenizer import Tokenizer

_TOKENIZER = "tokenizer.json"
_SHORT = 16  # tokens of a source; of longer ones, the window
_BATCHES = (1, 8, 128)


@dataclass(frozen=True)
class Translator:
    """Text to text.

    Arguments:
        network: the translator of tokens.
        tokenizer: the one whose tokens it learned from.
        window: tokens of a sentence at most, its end among them.
        width: of the beam; 1 for the likeliest token each time.
    """

    network: AbstractTranslator
    tokenizer: Tokenizer
    window: int
    width: int = 1

    def too_long(self, sentences: Sequence[str]) -> list[int]:
        """The places of sentences that are longer than the window, which are cut."""
        tokens = self.tokenizer.encode(sentences)
        return [i for i, t in enumerate(tokens) if len(t) >= self.window]

    def __call__(self, sentences: Sequence[str]) -> list[str]:
        """The translation of each; one longer than the window is cut (`too_long`).

        Sentences go in batches of like length, so that few programs are compiled. An
        empty sentence stays empty.
        """
        tokens = self.tokenizer.encode(sentences)
        places = [i for i, t in enumerate(tokens) if t]
        places.sort(key=lambda i: len(tokens[i]))
        answers = [""] * len(tokens)
        groups: dict[int, list[int]] = {}
        for i in places:
            short = len(tokens[i]) < min(_SHORT, self.window)
            length = min(_SHORT, self.window) if short else self.window
            groups.setdefault(length, []).append(i)
        for length, members in groups.items():
            for start in range(0, len(members), _BATCHES[-1]):
                some = members[start : start + _BATCHES[-1]]
                told = self._told([tokens[i] for i in some], length)
                for i, text in zip(some, told, strict=True):
                    answers[i] = text
        return answers

    def _told(self, tokens: list[list[int]], length: int) -> list[str]:
        cut = [(*t[: self.window - 1], END) for t in tokens]
        size = next(n for n in _BATCHES if n >= len(cut))
        array = filled([*cut, *[(END,)] * (size - len(cut))], length)
        source = jnp.asarray(array)
        # A target is longer than its source, seldom more than half as long again.
        room = min(2 * length, self.window)
        if self.width == 1:
            told = greedy(self.network, source, seen_of(source), room)
        else:
            told = beam(self.network, source, seen_of(source), room, width=self.width)
        return self.tokenizer.decode(np.asarray(told.tokens)[: len(cut)])

    def save(self, path: str | Path, metadata: Mapping[str, Any] | None = None) -> None:
        """Write the network to `path`, and its tokenizer into the same folder.

        Raises:
            InputError: a file cannot be written.
        """
        path = Path(path)
        header = {
            **(metadata or {}),
            "tokenizer": self.tokenizer.digest,
            "window": self.window,
        }
        self.tokenizer.write(path.parent / _TOKENIZER)
        save(path, self.network, header)

    @classmethod
    def load(cls, path: str | Path, *, width: int = 1) -> Self:
        """From a file by `save`, with the tokenizer beside it.

        Raises:
            InputError: a file is missing or damaged, it holds no translator, or the
                tokenizer beside it is not the one that it learned with.
        """
        path = Path(path)
        network, header = load(path)
        if not isinstance(network, AbstractTranslator) or "tokenizer" not in header:
            raise InputError(
                f"{path} holds a {type(network).__name__}, a translator was expected: "
                "give the folder of a run of the study of translation"
            )
        tokenizer = Tokenizer.read(path.parent / _TOKENIZER)
        if tokenizer.digest != header["tokenizer"]:
            raise InputError(
                f"{path.parent / _TOKENIZER} is not the tokenizer that {path} learned "
                f"with (digests {tokenizer.digest[:12]} and "
                f"{str(header['tokenizer'])[:12]}): put back the one of its run"
            )
        return cls(network, tokenizer, int(header["window"]), width)
