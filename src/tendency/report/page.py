"""Floor 5, report: `Page` and `write_page`, one self-contained HTML file.

The file asks nothing of the network: styles, charts' data, images and the drawing
library (Vega) are inside, and a content security policy
forbids the rest. It follows the reader's light or dark theme.
"""

import html
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tendency.report.blocks import Chart, Code, Section
from tendency.report.drawing import asset, library, load_theme
from tendency.report.html import block_html, embedded_json
from tendency.report.numbers import duration
from tendency.report.provenance import Provenance
from tendency.report.text import heading, paragraphs, slug

_POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline' 'unsafe-eval'; base-uri 'none'; form-action 'none'"
)


@dataclass(frozen=True)
class Page:
    """A report: what was asked, what was found, how to do it again.

    `question` is the first thing read: one to three sentences that a newcomer follows.
    """

    title: str
    question: str
    sections: tuple[Section, ...]
    provenance: Provenance
    kicker: str = "tendency report"


def page_html(page: Page) -> str:
    """The whole page as a string.

    Raises:
        InputError: a block that contradicts itself (a row of the wrong length, a map
            with more labels than images, bytes that are no image).
    """
    sections = (*page.sections, provenance_section(page.provenance))
    names: list[str] = []
    bodies: list[str] = []
    charts = 0
    for section in sections:
        name = slug(section.title)
        name = name if name not in names else f"{name}-{len(names)}"
        names.append(name)
        parts = [f"<h2>{heading(section.title)}</h2>", paragraphs(section.text)]
        for block in section.blocks:
            charts += isinstance(block, Chart)
            parts.append(block_html(block, charts))
        if section is sections[-1]:
            parts.append(_facts(page.provenance))
        body = "\n".join(part for part in parts if part)
        bodies.append(f'<section id="{name}">\n{body}\n</section>')
    contents = "".join(
        f'<li><a href="#{name}">{html.escape(section.title)}</a></li>'
        for name, section in zip(names, sections, strict=True)
    )
    theme = load_theme()
    drawing = f"<script>{library()}</script>" if charts else ""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="tendency">
<title>{html.escape(page.title)}</title>
<style>
:root {{ {_variables(theme["light"])} }}
@media screen and (prefers-color-scheme: dark) {{
:root {{ {_variables(theme["dark"])} }} }}
{asset("page.css")}</style>
</head>
<body>
<div class="page">
<header>
<p class="kicker">{html.escape(page.kicker)} · {html.escape(page.provenance.date)}</p>
<h1>{heading(page.title)}</h1>
<div class="question">{paragraphs(page.question)}</div>
</header>
<nav class="contents" aria-label="Contents"><details><summary>Contents</summary>
<ol>{contents}</ol></details></nav>
<main>
{chr(10).join(bodies)}
</main>
</div>
<div id="tip" role="tooltip" hidden></div>
<script type="application/json" id="theme">{embedded_json(theme)}</script>
{drawing}
<script type="module">
{asset("page.js")}</script>
</body>
</html>
"""


def write_page(page: Page, path: Path) -> Path:
    """Write the page to `path` in one move: never half a page, whatever happens.

    Raises:
        InputError: see `page_html`.
        OSError: the directory is missing or cannot be written; nothing is left behind.
    """
    text = page_html(page)
    path = Path(path)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path


def provenance_section(provenance: Provenance) -> Section:
    """The last section of every page: the command that makes it again."""
    command = Code(provenance.command, "shell", "The command that made this page:")
    return Section("How to reproduce it", "", (command,))


def _facts(provenance: Provenance) -> str:
    versions = ", ".join(f"{k} {v}" for k, v in provenance.versions.items())
    facts = {
        "Versions": versions,
        "Seed": "–" if provenance.seed is None else str(provenance.seed),
        "Hardware": provenance.hardware,
        "Device": provenance.device,
        "Wall time": duration(provenance.wall_seconds),
        "Date": provenance.date,
        **provenance.more,
    }
    items = "".join(
        f"<dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd>"
        for name, value in facts.items()
        if value
    )
    return f'<dl class="provenance">{items}</dl>'


def _variables(colours: dict[str, str]) -> str:
    return " ".join(
        f"--{name}: {colour};" for name, colour in colours.items() if name.isalpha()
    )
