"""Floor 4: numbers that stand for missing and that a file does not declare."""

import numpy as np
from jaxtyping import Float

_USUAL = (-9999.0, -999.0, -99999.0, -32768.0, -32767.0, -999.9, -9999.9)
_HUGE = 1e15  # beyond which nothing geophysical is


def fill_in(values: Float[np.ndarray, "..."]) -> float | None:
    """The lowest or highest value where it looks like a fill value, else `None`.

    It is one of those that programs write (-9999, -32767, ...) or huge (1e20, 9.97e36).
    """
    finite = values[np.isfinite(values)]
    if not finite.size:
        return None
    low, high = float(finite.min()), float(finite.max())
    if high > _HUGE:
        return high
    usual = any(np.isclose(low, fill, rtol=1e-6) for fill in _USUAL)
    return low if usual or low < -_HUGE else None
