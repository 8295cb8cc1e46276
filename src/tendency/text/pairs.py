"""Pairs of sentences, each the translation of the other, and the files they are in."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tendency.errors import InputError
from tendency.text.extra import needed


@dataclass(frozen=True)
class Pairs:
    """Sentences and their translations, in order; `origin` says where from."""

    source: tuple[str, ...]
    target: tuple[str, ...]
    origin: str

    def __post_init__(self):
        if len(self.source) != len(self.target):
            raise InputError(
                f"{self.origin} holds {len(self.source)} sentences and "
                f"{len(self.target)} translations, as many of each were expected"
            )

    def __len__(self) -> int:
        return len(self.source)

    def part(self, places: Iterable[int]) -> Self:
        """The pairs at these places."""
        places = list(places)
        return type(self)(
            tuple(self.source[i] for i in places),
            tuple(self.target[i] for i in places),
            self.origin,
        )


def read_pairs(paths: str | Path | Sequence[str | Path]) -> Pairs:
    """Pairs from files.

    One path is a table of two columns with a tab between (`.tsv`, `.txt`), or a gettext
    catalogue (`.mo`, `.po`). Two paths that are neither are files of Moses: a sentence
    a line, its translation in the same line of the other. Any number of tables and
    catalogues are joined.

    Raises:
        InputError: a file cannot be read or is not UTF-8, a line has not two columns,
            the two files have not as many lines, or there is no pair.
    """
    paths = [paths] if isinstance(paths, str | Path) else list(paths)
    paths = [Path(p) for p in paths]
    if not paths:
        raise InputError("no file of pairs was given, at least 1 was expected")
    known = (*_TABLES, *_CATALOGUES)
    if len(paths) == 2 and not any(p.suffix in known for p in paths):
        pairs = _moses(*paths)
    elif all(p.suffix in known for p in paths):
        found = [_CATALOGUES.get(p.suffix, _table)(p) for p in paths]
        origin = f"{paths[0]}" if len(paths) == 1 else f"{len(paths)} files"
        pairs = Pairs(
            tuple(s for f in found for s, _ in f),
            tuple(t for f in found for _, t in f),
            origin,
        )
    else:
        raise InputError(
            f"{', '.join(map(str, paths))}: one table (.tsv, .txt), gettext catalogues "
            "(.mo, .po) or two files of a sentence a line were expected"
        )
    if not len(pairs):
        raise InputError(f"{pairs.origin} holds no pair of sentences: give another")
    return pairs


def _lines(path: Path) -> list[str]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{path} could not be read ({error.strerror}): give a file of pairs of "
            "sentences"
        ) from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise InputError(
            f"{path} is not UTF-8: byte {content[error.start]:#04x} in line {line}; "
            "convert it first (iconv -f LATIN1 -t UTF-8)"
        ) from error
    lines = text.replace("\r\n", "\n").split("\n")
    return lines[:-1] if lines and not lines[-1] else lines


def _table(path: Path) -> list[tuple[str, str]]:
    pairs = []
    for number, line in enumerate(_lines(path), start=1):
        columns = line.split("\t")
        if not line.strip():
            columns = ["", ""]  # counted where pairs are cleaned
        if len(columns) != 2:
            raise InputError(
                f"line {number} of {path} has {len(columns)} columns, 2 with a tab "
                "between were expected: a sentence and its translation"
            )
        pairs.append((columns[0], columns[1]))
    return pairs


def _catalogue(path: Path, kind: str) -> list[tuple[str, str]]:
    polib = needed("polib", "reading gettext catalogues")
    read = polib.mofile if kind == "mo" else polib.pofile
    if not path.is_file():
        raise InputError(f"{path} could not be read (no such file): give a catalogue")
    try:
        entries = [e for e in read(str(path)) if _is_translated(e)]
    except (OSError, ValueError, LookupError) as error:
        raise InputError(
            f"{path} is not a gettext catalogue ({error}): give a .{kind} file"
        ) from error
    pairs = []
    for entry in entries:
        if entry.msgid_plural:
            forms = list(entry.msgstr_plural.values())
            pairs += [(entry.msgid, forms[0]), (entry.msgid_plural, forms[-1])]
        else:
            pairs.append((entry.msgid, entry.msgstr))
    return pairs


def _is_translated(entry: Any) -> bool:
    """Whether a translation is there and not in doubt; a `.mo` file holds no others."""
    flags = getattr(entry, "flags", ())
    doubtful = getattr(entry, "obsolete", False) or "fuzzy" in flags
    there = entry.msgstr or all((entry.msgstr_plural or {"": ""}).values())
    return bool(there) and not doubtful


def _moses(source: Path, target: Path) -> Pairs:
    one, other = _lines(source), _lines(target)
    if len(one) != len(other):
        raise InputError(
            f"{source} has {len(one)} lines and {target} {len(other)}, as many were "
            "expected: line n of one is the translation of line n of the other"
        )
    return Pairs(tuple(one), tuple(other), f"{source}, {target}")


_TABLES = (".tsv", ".txt")
_CATALOGUES = {
    ".mo": lambda path: _catalogue(path, "mo"),
    ".po": lambda path: _catalogue(path, "po"),
}
