"""Equations become MathML while the site is built: pages need no script for them."""

import html
import re
from pathlib import Path

from latex2mathml.converter import convert
from mkdocs.exceptions import PluginError

_EQUATION = re.compile(
    r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.DOTALL
)


def on_page_markdown(markdown: str, page, **kwargs) -> str:
    """Show pages of the repository, their links mended, where the site names them."""
    if page.file.src_path not in ("changelog.md", "contributing.md"):
        return markdown
    source = Path(page.file.src_path.upper()).with_suffix(".md")
    return source.read_text(encoding="utf-8").replace("](docs/", "](")


def on_page_content(content: str, page, **kwargs) -> str:
    """Replace what arithmatex has marked: `$...$` and `$$...$$`, docstrings too."""

    def mathml(match: re.Match) -> str:
        tex = html.unescape(match[3]).strip()
        display = "block" if match[2] == "[" else "inline"
        try:
            return convert(tex, display=display)
        except Exception as error:
            raise PluginError(f"{page.file.src_path}: {tex!r}: {error!r}") from error

    return _EQUATION.sub(mathml, content)
