"""The ocean of the study, and its model at any resolution."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, PRNGKeyArray

from tendency.cell import Constant
from tendency.grid import Axis, Grid
from tendency.integrate import adams_bashforth3
from tendency.physics.quasigeostrophic import two_layer_quasigeostrophic
from tendency.symbolic.fourier import InFourierSpace, small_scale_filter
from tendency.symbolic.generated import State, generate
from tendency.symbolic.program import times
from tendency.symbolic.spectral import Spectral

DAY = 86_400.0  # [s]
GRAVITY = 9.81  # [m / s²]
Field = Float[Array, "y x"]
Hat = Complex[Array, "y half_x"]


class Setting(NamedTuple):
    """A doubly periodic box at middle latitudes."""

    length: float = 1.28e6  # of both sides [m]
    deformation_radius: float = 25e3  # [m]
    thickness_ratio: float = 0.25  # upper layer over lower [1]
    shear: float = 0.1  # U₁ - U₂, with U₂ = 0 [m / s]
    beta: float = 1.8e-11  # [1 / (m s)]
    bottom_drag: float = 5.8e-7  # [1 / s]
    coriolis: float = 9.3e-5  # f₀ [1 / s]
    dt: float = 2_400.0  # [s]

    @property
    def steps_a_day(self) -> int:
        return round(DAY / self.dt)


MIDLAT = Setting()


class Size(NamedTuple):
    """How much of everything."""

    points: int = 128  # along each side
    spin_up: int = 1_095  # [days]
    days: int = 360  # of diagnostics
    starts: int = 20  # of the forecasts
    frames: int = 90  # of the maps, one a day


FULL = Size()
SMALL = Size(points=64, spin_up=500, days=120, starts=8, frames=45)


def grid_of(points: int, setting: Setting = MIDLAT) -> Grid:
    """The box with so many points along each side, y before x."""
    return Grid.of(*(Axis(name, points, 0.0, setting.length) for name in "yx"))


def model(points: int, setting: Setting = MIDLAT) -> InFourierSpace:
    """The cell: Adams-Bashforth 3 in Fourier space, small scales filtered each step."""
    system = two_layer_quasigeostrophic(
        deformation_radius=setting.deformation_radius,
        thickness_ratio=setting.thickness_ratio,
        upper_velocity=setting.shear,
        beta=setting.beta,
        bottom_drag=setting.bottom_drag,
    )
    grid = grid_of(points, setting)
    tendency = generate(system, grid, Spectral(dealias=False))
    smoothing = Constant(small_scale_filter(grid))
    return InFourierSpace(tendency, setting.dt, adams_bashforth3, smoothing)


def noise(points: int, key: PRNGKeyArray, setting: Setting = MIDLAT) -> State:
    """A weak, smooth, random potential vorticity without mean [1 / s]."""
    flow = Flow(points, setting)
    kx, ky = flow.wavenumbers
    smooth = np.exp(-(kx**2 + ky**2) * (setting.length / 30) ** 2 / 8)
    smooth[0, 0] = 0.0
    white = 1e-6 * jax.random.normal(key, (2, points, points))
    q = jnp.fft.irfft2(times(smooth[None], jnp.fft.rfft2(white)), s=(points, points))
    return {"q1": q[0], "q2": q[1]}


class Flow(eqx.Module):
    """What follows from a state: stream functions, velocities, the sea surface."""

    points: int = eqx.field(static=True)
    setting: Setting = eqx.field(static=True, default=MIDLAT)

    @property
    def wavenumbers(self) -> tuple[np.ndarray, np.ndarray]:
        """Of `rfft2`, along x and along y [1 / m]."""
        unit = 2 * np.pi * self.points / self.setting.length
        kx, ky = np.fft.rfftfreq(self.points), np.fft.fftfreq(self.points)
        return unit * kx[None, :], unit * ky[:, None]

    @property
    def coupling(self) -> tuple[float, float]:
        """F₁ and F₂ [1 / m²]."""
        s = self.setting
        upper = 1 / (s.deformation_radius**2 * (1 + s.thickness_ratio))
        return upper, s.thickness_ratio * upper

    def stream(self, state: State) -> tuple[Hat, Hat]:
        """The transforms of ψ₁ and ψ₂, without mean."""
        kx, ky = self.wavenumbers
        square = kx**2 + ky**2
        upper, lower = self.coupling
        under = square * (square + upper + lower)
        under[0, 0] = np.inf
        q1, q2 = jnp.fft.rfft2(state["q1"]), jnp.fft.rfft2(state["q2"])
        hat = lambda a, b: -(times(a / under, q1) + times(b / under, q2))  # noqa: E731
        return (
            hat(square + lower, np.full_like(square, upper)),
            hat(np.full_like(square, lower), square + upper),
        )

    def on_grid(self, hat: Hat | Complex[np.ndarray, "y half_x"]) -> Field:
        return jnp.fft.irfft2(hat, s=(self.points, self.points))

    def height(self, state: State) -> Field:
        """The sea surface, f₀ ψ₁ / g [m]."""
        return self.setting.coriolis / GRAVITY * self.on_grid(self.stream(state)[0])

    def vorticity(self, state: State) -> Field:
        """Of the upper layer, relative, over f₀ [1]."""
        kx, ky = self.wavenumbers
        hat = times(-(kx**2 + ky**2) / self.setting.coriolis, self.stream(state)[0])
        return self.on_grid(hat)


def coarser(fields: Float[np.ndarray, "*batch y x"], points: int) -> np.ndarray:
    """The same fields on fewer points, the small scales cut off in Fourier space."""
    fine, half = fields.shape[-1], points // 2
    hats = np.fft.rfft2(fields)
    rows = [*range(half), *range(fine - half, fine)]
    cut = hats[..., rows, : half + 1] * (points / fine) ** 2
    cut[..., half, :] = 0.0  # half of the highest wavenumber would be missing
    cut[..., :, half] = 0.0
    return np.fft.irfft2(cut, s=(points, points))
