"""The spectrum of the sea surface as a chart."""

from typing import Any

import numpy as np

from tendency.report.encodings import (
    by_name,
    hover_layers,
    legend_click,
    log_axis,
    shown,
    single_view,
    titled,
)
from tendency.report.numbers import with_units
from tendency.studies.quasigeostrophic.statistics import SLOPE_RANGE, Spectrum, slope


def spectrum_chart(one: Spectrum, name: str) -> dict[str, Any]:
    """Power against wavelength, both axes logarithmic, and the line that was fitted."""
    inside = 1 / np.asarray(SLOPE_RANGE[::-1])
    wavenumbers = one.wavenumber[
        (one.wavenumber >= inside[0]) & (one.wavenumber <= inside[1])
    ]
    exponent = slope(one)
    middle = np.exp(np.log(wavenumbers).mean())
    height = np.exp(np.interp(middle, one.wavenumber, np.log(one.density)))
    line = height * (wavenumbers / middle) ** exponent
    fitted = f"power of {exponent:.1f}"
    shown_range = one.density > one.density.max() * 1e-12
    rows = [
        {"name": who, "wavelength": 1e-3 / k, "power": float(power)}
        for who, ks, powers in (
            (name, one.wavenumber[shown_range], one.density[shown_range]),
            (fitted, wavenumbers, line),
        )
        for k, power in zip(ks, powers, strict=True)
    ]
    lengths = [row["wavelength"] for row in rows]
    powers = [row["power"] for row in rows]
    across = log_axis(min(lengths), max(lengths))
    across["scale"]["reverse"] = True  # large scales on the left, as wavenumbers go
    x_title, y_title = with_units("wavelength", "km"), with_units("power", "m2 m")
    encoding = {
        "x": titled("wavelength", x_title) | across,
        "y": titled("power", y_title) | log_axis(min(powers), max(powers)),
        **by_name("name", [name, fitted], (fitted,)),
    }
    tooltip = {
        "": shown("name"),
        x_title: shown("wavelength", ".3g"),
        y_title: shown("power", ".3g"),
    }
    layers = [
        {"mark": "line", "params": [legend_click("name")]},
        *hover_layers(tooltip, len(rows)),
    ]
    return single_view({"values": rows}, {"encoding": encoding, "layer": layers})
