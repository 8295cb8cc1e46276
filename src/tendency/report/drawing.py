"""Floor 5, report: from a chart's specification to what the page draws.

Colours stay names ("theme:ink") until a chart is drawn on a light or dark background.
"""

import functools
import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any


def asset(name: str) -> str:
    """A text file of `report/assets`."""
    return (files("tendency.report") / "assets" / name).read_text(encoding="utf-8")


def load_theme() -> dict[str, Any]:
    """The colours of `light` and `dark`, and the Vega `config` that names them."""
    return json.loads(asset("theme.json"))


def coloured(value: Any, colours: Mapping[str, str]) -> Any:
    """`value` with the names of colours replaced by `colours`."""
    text = json.dumps(value)
    for name, colour in colours.items():
        text = text.replace(f'"theme:{name}"', f'"{colour}"')
    return json.loads(text)


def checked(spec: Mapping[str, Any]) -> dict[str, Any]:
    """`spec`, as wide as its container.

    It is compiled and the result thrown away: a chart that cannot be drawn is found
    before the page is written.

    Raises:
        ValueError: Vega-Lite refuses the specification.
    """
    import vl_convert

    wide = {} if "facet" in spec else {"width": "container"}
    full = {**spec, **wide}
    vl_convert.vegalite_to_vega(full)
    return full


@functools.cache
def library() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script that defines `vegaEmbed`."""
    import vl_convert

    code = vl_convert.javascript_bundle("globalThis.vegaEmbed = vegaEmbed;")
    # A function of its own, so that the library's names stay out of the page's scope.
    return f"(() => {{{code.replace('</script', '<' + chr(92) + '/script')}}})();"
