"""`tendency translate`: texts, or standard input line by line."""

import os
import queue
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

from tendency.errors import InputError, nearest
from tendency.text import Translator

_DEFAULT = "transformer"
_MOST = 128  # lines that are translated at once
Long = Literal["cut", "drop", "refuse"]


def translate(
    run: Path,
    texts: Sequence[str],
    *,
    model: str | None,
    beam: int,
    long: Long,
    say: Callable[[str], None],
) -> None:
    """Print the translation of each text, or of each line of standard input.

    Lines that are there are translated together, and what is translated is flushed at
    once: as a filter it waits for no more lines than it has.

    Arguments:
        run: the folder of a run of the study, or a file of a translator in it.
        model: the name of that file without its suffix.
        long: what becomes of a text that is longer than the translator's window: cut
            it, drop it (an empty line is printed), or refuse it.

    Raises:
        InputError: there is no such translator, its tokenizer is another's, or a text
            is not UTF-8 or is refused.
    """
    translator = Translator.load(_file(run, model), width=beam)
    lines = iter([list(texts)]) if texts else _arriving(sys.stdin.buffer)
    done, counts = 0, {"longer than the window": 0, "of strange characters": 0}
    try:
        for some in lines:
            places = translator.too_long(some)
            if places and long == "refuse":
                raise InputError(
                    f"text {done + places[0] + 1} is longer than the "
                    f"{translator.window} tokens that this translator reads: shorten "
                    "it, or have it --long cut"
                )
            counts["longer than the window"] += len(places)
            unseen = [translator.tokenizer.unseen(line) for line in some]
            counts["of strange characters"] += sum(map(bool, unseen))
            if long == "drop":
                some = ["" if i in places else s for i, s in enumerate(some)]
            for line in translator(some):
                print(line)
            sys.stdout.flush()
            done += len(some)
    except BrokenPipeError:  # who read has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    what = "dropped" if long == "drop" else "cut"
    if counts["longer than the window"]:
        say(
            f"{counts['longer than the window']} of {done} texts are longer than "
            f"{translator.window} tokens and were {what}"
        )
    if counts["of strange characters"]:
        say(
            f"{counts['of strange characters']} of {done} texts hold characters that "
            "were never learned from: expect little of them"
        )


def _file(run: Path, model: str | None) -> Path:
    if run.is_file():
        if model is not None:
            raise InputError(
                f"{run} is one translator and --model {model} names one of a folder: "
                "leave one of them out"
            )
        return run
    there = sorted(p.stem for p in run.glob("*.safetensors"))
    name = model or _DEFAULT
    if name not in there:
        raise InputError(
            f"{run} holds no translator {name!r}: "
            + (
                nearest(name, there)
                if there
                else "give the folder of a run of `tendency run translation`"
            )
        )
    return run / f"{name}.safetensors"


def _arriving(stream: Iterable[bytes]) -> Iterator[list[str]]:
    """Lines as they come, all that are there at a time.

    Raises:
        InputError: a line is not UTF-8.
    """
    waiting: queue.Queue[bytes | None] = queue.Queue(8 * _MOST)

    def read() -> None:
        for line in stream:
            waiting.put(line)
        waiting.put(None)

    threading.Thread(target=read, daemon=True).start()
    number, open_still = 0, True
    while open_still:
        lines = [waiting.get()]
        while len(lines) < _MOST and lines[-1] is not None and not waiting.empty():
            lines.append(waiting.get())
        if lines[-1] is None:
            open_still = False
            lines.pop()
        texts = []
        for line in filter(None, lines):
            number += 1
            try:
                texts.append(line.decode("utf-8").rstrip("\r\n"))
            except UnicodeDecodeError as error:
                yield texts
                raise InputError(
                    f"line {number} of standard input is not UTF-8 (byte "
                    f"{line[error.start]:#04x}): convert it first (iconv -f LATIN1 -t "
                    "UTF-8)"
                ) from error
        yield texts
