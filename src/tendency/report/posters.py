"""Floor 5, report: a chart as a file, for a README or a paper."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from tendency.errors import InputError
from tendency.report.drawing import coloured, load_theme


def poster(
    spec: Mapping[str, Any],
    path: Path,
    *,
    theme: Literal["light", "dark"] = "light",
    width: int = 760,
    scale: float = 2.0,
) -> Path:
    """Draw `spec` to `path`, a PNG or an SVG by its suffix.

    `width` is that of the axes [px]; a chart of several panels keeps its own. `scale`
    multiplies the pixels of a PNG, which is set in the font that Matplotlib ships: the
    same on every machine.

    Raises:
        InputError: another suffix.
    """
    import matplotlib
    import vl_convert

    path = Path(path)
    if path.suffix not in (".png", ".svg"):
        raise InputError(
            f"a poster cannot be written as {path.name!r}: name a .png or a .svg file"
        )
    colours = load_theme()
    wide = {} if "facet" in spec else {"width": width}
    config = coloured(colours["config"], colours[theme])
    config["padding"] = 16
    drawn = coloured({**spec, **wide}, colours[theme])
    if path.suffix == ".svg":
        path.write_text(vl_convert.vegalite_to_svg(drawn, config=config), "utf-8")
    else:
        vl_convert.register_font_directory(f"{matplotlib.get_data_path()}/fonts/ttf")
        config["font"] = "DejaVu Sans"
        path.write_bytes(vl_convert.vegalite_to_png(drawn, scale=scale, config=config))
    return path
