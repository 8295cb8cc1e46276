"""Floor 5, report: text to HTML, escaped, with the little markup that blocks allow."""

import html
import re

_MARKUP = re.compile(
    r"`(?P<code>[^`]+)`"
    r"|\[(?P<label>[^\]]+)\]\((?P<url>https?://[^)\s]+)\)"
    r"|\bdoi:(?P<doi>10\.\d{4,9}/[^\s`]*[^\s`,;.)])"
    r"|\barXiv[: ](?P<arxiv>\d{4}\.\d{4,5})"
)


def inline(text: str) -> str:
    """One line of text, escaped, its `code`, links and references marked up."""
    parts, end = [], 0
    for match in _MARKUP.finditer(text):
        parts.append(html.escape(text[end : match.start()]))
        parts.append(_marked(match))
        end = match.end()
    parts.append(html.escape(text[end:]))
    return "".join(parts)


def _marked(match: re.Match[str]) -> str:
    found = match.groupdict()
    if found["code"]:
        return f"<code>{html.escape(found['code'])}</code>"
    if found["url"]:
        return _link(found["url"], found["label"])
    if found["doi"]:
        return _link(f"https://doi.org/{found['doi']}", f"doi:{found['doi']}")
    return _link(f"https://arxiv.org/abs/{found['arxiv']}", f"arXiv:{found['arxiv']}")


def _link(url: str, label: str) -> str:
    return f'<a href="{html.escape(url)}" rel="noopener">{html.escape(label)}</a>'


def paragraphs(text: str) -> str:
    """Text of several paragraphs, or lists of lines that start with `- `."""
    blocks = []
    for block in re.split(r"\n\s*\n", text.strip()):
        lines = block.strip().splitlines()
        if not lines:
            continue
        if all(line.lstrip().startswith("- ") for line in lines):
            items = "".join(f"<li>{inline(line.lstrip()[2:])}</li>" for line in lines)
            blocks.append(f'<ul class="text">{items}</ul>')
        else:
            blocks.append(f"<p>{inline(' '.join(map(str.strip, lines)))}</p>")
    return "\n".join(blocks)


def slug(text: str) -> str:
    """A name for links and files: lower case letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "part"


def heading(text: str) -> str:
    """A heading, escaped; a name such as Lorenz-63 is not broken at its hyphen."""
    whole = r'<span class="whole">\1</span>'
    return re.sub(r"(\w+-\d\w*)", whole, html.escape(text))
