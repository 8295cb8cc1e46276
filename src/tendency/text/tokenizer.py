"""Byte-level byte-pair encoding: text as tokens, none of which is unknown."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from tendency.errors import InputError
from tendency.files import write_atomically
from tendency.networks.sequences import BEGIN, END, PAD
from tendency.text.extra import needed

_FORMAT = "tendency-tokenizer-1"
_MARKS = {PAD: "<pad>", BEGIN: "<begin>", END: "<end>"}
_BYTES = 256


class Tokenizer:
    """Merges of bytes that are frequent neighbours, learned from text.

    Any text can be encoded: a character that was never learned from is a few bytes,
    whose tokens a translator has hardly seen. `unseen` finds such.

    Source: Sennrich, Haddow & Birch (2016, arXiv:1508.07909); on bytes as of Radford et
    al. (2019); by the library `tokenizers`.
    """

    def __init__(self, content: Mapping[str, Any]):
        """Of the content of its file, as `learn` and `read` make it."""
        tokenizers = needed("tokenizers", "splitting text into tokens")
        self._content = dict(content)
        self._inner = tokenizers.Tokenizer.from_str(json.dumps(content["merges"]))
        self.characters = frozenset(content["characters"])

    @classmethod
    def learn(cls, sentences: Iterable[str], vocabulary: int) -> Self:
        """Learn so many tokens, the marks and the 256 bytes among them.

        Raises:
            InputError: a vocabulary that does not hold these, or no text.
        """
        least = len(_MARKS) + _BYTES
        if vocabulary < least:
            raise InputError(
                f"the vocabulary is {vocabulary} tokens, at least {least} were "
                "expected: all bytes, and the marks"
            )
        sentences = list(sentences)
        if not any(sentences):
            raise InputError("there is no text to learn a vocabulary from: give some")
        tokenizers = needed("tokenizers", "splitting text into tokens")
        inner = tokenizers.Tokenizer(tokenizers.models.BPE())
        # Each word with the space before it, the first one too: it is then one token
        # wherever it stands.
        level = tokenizers.pre_tokenizers.ByteLevel
        inner.pre_tokenizer = level(add_prefix_space=True)
        inner.decoder = tokenizers.decoders.ByteLevel()
        trainer = tokenizers.trainers.BpeTrainer(
            vocab_size=vocabulary,
            special_tokens=[_MARKS[i] for i in sorted(_MARKS)],
            initial_alphabet=sorted(level.alphabet()),
            show_progress=False,
        )
        inner.train_from_iterator(sentences, trainer)
        characters = "".join(sorted(set("".join(sentences))))
        merges = json.loads(inner.to_str())
        # Marks in a text are text: without this, "<end>" would end a sentence.
        merges["added_tokens"] = []
        return cls({"format": _FORMAT, "characters": characters, "merges": merges})

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """From a file by `write`.

        Raises:
            InputError: it is missing, or something else.
        """
        try:
            content = json.loads(Path(path).read_bytes())
        except OSError as error:
            raise InputError(
                f"{path} could not be read ({error.strerror}): give the tokenizer that "
                "was saved beside the translator"
            ) from error
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path} is not a tokenizer ({error})") from error
        if not isinstance(content, dict) or content.get("format") != _FORMAT:
            raise InputError(
                f"{path} is not a tokenizer by tendency, or one of another version: "
                "give the one that was saved beside the translator"
            )
        try:
            return cls(content)
        except InputError:
            raise
        except Exception as error:  # what the library raises is of no finer type
            raise InputError(f"{path} is a damaged tokenizer ({error})") from error

    def write(self, path: str | Path) -> None:
        """Write its JSON.

        Raises:
            InputError: it cannot be written.
        """
        write_atomically(path, self._text().encode())

    @property
    def digest(self) -> str:
        """Of all that decides its tokens: a translator knows its tokenizer by it."""
        return hashlib.sha256(self._text().encode()).hexdigest()

    def __len__(self) -> int:
        return self._inner.get_vocab_size()

    def encode(self, sentences: Sequence[str]) -> list[list[int]]:
        """The tokens of each, without marks.

        Raises:
            InputError: text that cannot be written as UTF-8.
        """
        for sentence in sentences:
            try:
                sentence.encode()
            except UnicodeEncodeError as error:
                raise InputError(
                    f"the text {sentence!r} is not Unicode ({error.reason}): it was "
                    "read in a wrong encoding; convert it to UTF-8"
                ) from error
        found = self._inner.encode_batch(list(sentences), add_special_tokens=False)
        return [encoding.ids for encoding in found]

    def decode(self, tokens: Iterable[Any]) -> list[str]:
        """Text, up to the end of each; bytes that are no character become U+FFFD."""
        kept = []
        for sentence in tokens:
            ids = [int(i) for i in sentence]
            ids = ids[: ids.index(END)] if END in ids else ids
            kept.append([i for i in ids if i not in _MARKS])
        return [text.strip() for text in self._inner.decode_batch(kept)]

    def words(self, tokens: Iterable[int]) -> list[str]:
        """Each token as it reads alone, with a space where a word begins."""
        marks = {END: "⏎", PAD: "", BEGIN: ""}
        return [
            marks[i] if i in marks else self._inner.decode([i])
            for i in map(int, tokens)
        ]

    def unseen(self, sentence: str) -> str:
        """The characters that were never learned from."""
        return "".join(sorted(set(sentence) - self.characters - {" "}))

    def _text(self) -> str:
        return json.dumps(self._content, sort_keys=True)
