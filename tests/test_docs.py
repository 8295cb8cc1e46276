"""What the README and the documentation show is what the program does.

Python blocks of a page are run in their order, in one namespace and an empty folder, as
a reader would: without the strict promotion of the other tests. A block is left out
only after an HTML comment that says why: `<!-- not run: reason -->`. Command lines are
read by the program's own parser, a TOML block is checked as what it is, and
targets of make are looked up.
"""

import re
import shlex
import tomllib
from dataclasses import dataclass
from pathlib import Path

import jax
import pytest
from conftest import ROOT

from tendency.cli import app
from tendency.equations.build import build
from tendency.equations.config import parse_equations
from tendency.jobs.assimilation.config import parse_assimilation
from tendency.jobs.config import parse_job

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES = [page for page in PAGES if page.exists()]
BLOCK = re.compile(
    r"(?P<waiver><!-- not run: (?P<reason>.+?) -->\s*)?"
    r"^(?P<indent> *)```(?P<language>\w+)[^\n]*\n(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    page: Path
    line: int  # of the first line of the text in the page
    language: str
    text: str
    reason: str | None  # for leaving it out


def blocks(page: Path, *languages: str) -> list[Block]:
    source = page.read_text(encoding="utf-8")
    return [
        Block(
            page,
            source.count("\n", 0, match.start("text")) + 1,
            match["language"],
            re.sub(f"^{match['indent']}", "", match["text"], flags=re.MULTILINE),
            match["reason"],
        )
        for match in BLOCK.finditer(source)
        if match["language"] in languages
    ]


def command_lines() -> list[tuple[str, str]]:
    """Each command with the place where it stands."""
    found = []
    for page in PAGES:
        for block in blocks(page, "sh", "bash", "shell", "console"):
            text = block.text.replace("\\\n", " " * 2)
            for number, line in enumerate(text.splitlines(), block.line):
                words = shlex.split(line.removeprefix("$ "), comments=True)
                if words:
                    name = f"{page.relative_to(ROOT)}:{number}"
                    found.append((name, shlex.join(words)))
    return found


def relative(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize(
    "page", [p for p in PAGES if blocks(p, "python")], ids=relative
)
def test_python_blocks_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "__page__"}
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        for block in blocks(page, "python"):
            if block.reason is None:
                padding = "\n" * (block.line - 1)  # a traceback points to the page
                exec(compile(padding + block.text, str(page), "exec"), namespace)


@pytest.mark.parametrize(
    ("place", "command"),
    [c for c in command_lines() if c[1].split()[0].endswith("tendency")],
)
def test_commands_are_understood(place, command):
    app.parse_args(shlex.split(command)[1:], exit_on_error=False, print_error=False)


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "toml")], ids=relative)
def test_configurations_are_valid(page):
    for block in blocks(page, "toml"):
        content, place = tomllib.loads(block.text), f"{relative(page)}:{block.line}"
        if "system" in content:
            build(parse_equations(content, source=place))
        elif "observations" in content:
            parse_assimilation(content, source=place)
        else:
            parse_job(content, source=place)


def test_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^(\w+):", makefile, re.MULTILINE))
    asked = {
        (place, word)
        for place, command in command_lines()
        if command.startswith("make ")
        for word in command.split()[1:]
        if "=" not in word
    }
    assert asked, "no page tells how to run the tests"
    assert {(place, word) for place, word in asked if word not in targets} == set()


def test_a_block_left_out_says_why():
    for page in PAGES:
        source = page.read_text(encoding="utf-8")
        waivers = source.count("<!-- not run:")
        told = [b for b in blocks(page, "python", "sh", "toml") if b.reason]
        assert waivers == len(told), f"{page}: a waiver that no block follows"
