"""Floor 1: schemes for tendencies with a stiff linear part on periodic axes.

Where the fastest waves or the strongest diffusion are linear and diagonal in Fourier
space, they need not limit the step. `SpectralLinear` is that linear part L; a scheme
finds the rest of any tendency by itself, as f(c, x) - L x:

- `ETDRK4` takes the linear part exactly, the rest at order 4;
- `IMEXRungeKutta` takes the linear part implicitly and the rest explicitly, by the
  tableau `ars343` (order 3) or `ars222` (order 2).

What depends on the step h (exponentials, inverses) is computed once, in float64, when
the scheme is made: `ETDRK4.of(linear, h)`.
"""

from tendency.stiff.exponential import ETDRK4 as ETDRK4
from tendency.stiff.implicit import IMEXRungeKutta as IMEXRungeKutta
from tendency.stiff.implicit import IMEXTableau as IMEXTableau
from tendency.stiff.implicit import ars222 as ars222
from tendency.stiff.implicit import ars343 as ars343
from tendency.stiff.spectral import Multiplier as Multiplier
from tendency.stiff.spectral import SpectralLinear as SpectralLinear
from tendency.stiff.spectral import wavenumbers as wavenumbers
