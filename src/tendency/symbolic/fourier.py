"""Floor 1: a spectral model stepped in Fourier space."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, PRNGKeyArray, PyTree

from tendency.cell import AbstractCell, Carry, Constant, forcing_at
from tendency.errors import InputError
from tendency.grid import Grid
from tendency.integrate import AbstractScheme, rk4
from tendency.symbolic.generated import Generated, State
from tendency.symbolic.program import times

Hats = dict[str, Complex[Array, "..."]]


class InFourierSpace(AbstractCell):
    """A generated spectral tendency, its scheme working on transforms.

    The carry's state is the fields on the grid, as in any cell. A step transforms them
    once, works in Fourier space, multiplies by `smoothing` and comes back: fewer
    transforms than `Integrated`, and a filter of small scales costs none. With
    `substeps` it takes so many of length dt / substeps before it comes back.

    Raises:
        InputError: the tendency is not by `Spectral`, `dt` or `substeps` is not
            positive, or the smoothing has another shape.
    """

    tendency: Generated
    dt: float = eqx.field(static=True)  # [time unit of the tendency]
    scheme: AbstractScheme = rk4
    smoothing: Constant | None = None  # a factor for each wavenumber of `rfftn`
    substeps: int = eqx.field(static=True, default=1)

    def __check_init__(self):
        names = {name for name, _ in self.tendency.assignments}
        for field, shape in self.tendency.shapes:
            if f"d_t_{field}_hat" not in names:
                raise InputError(
                    f"the tendency of {field} is not found in Fourier space: generate "
                    "it with the method Spectral()"
                )
            half = (*shape[:-1], shape[-1] // 2 + 1)
            found = half if self.smoothing is None else self.smoothing.value.shape
            if found != half:
                raise InputError(
                    f"the smoothing has the shape {found}, {half} was expected"
                )
        if not (math.isfinite(self.dt) and self.dt > 0):
            raise InputError(f"dt is {self.dt}, a positive step was expected")
        if self.substeps < 1:
            raise InputError(f"substeps is {self.substeps}, at least 1 was expected")

    @property
    def spin_up_steps(self) -> int:
        """A scheme with a memory starts by itself, at a lower order."""
        return 0

    def init(self, state: State) -> Carry:
        return Carry(state, self.scheme.init(self._forward(state)))

    def step(
        self,
        carry: Carry,
        forcing: PyTree = None,
        *,
        key: PRNGKeyArray | None = None,
    ) -> Carry:
        start, h = self._forward(carry.state), self.dt / self.substeps

        def substep(i, now):
            before, memory = now

            def stage(c, hats):
                fields = carry.state if hats is start else self._backward(hats)
                here = forcing_at(forcing, (i + c) / self.substeps)
                return self.tendency.in_fourier_space(hats, fields, here)

            hats, memory = self.scheme.step(stage, before, memory, h)
            if self.smoothing is not None:
                factor = self.smoothing.value
                real = jax.tree.leaves(hats)[0].real.dtype
                hats = jax.tree.map(lambda x: times(factor.astype(real), x), hats)
            return hats, memory

        now = substep(0, (start, carry.memory))
        if self.substeps > 1:
            now = jax.lax.fori_loop(1, self.substeps, substep, now)
        hats, memory = now
        return Carry(self._backward(hats), memory)

    def _forward(self, state: State) -> Hats:
        return {name: jnp.fft.rfftn(state[name]) for name, _ in self.tendency.shapes}

    def _backward(self, hats: Hats) -> State:
        return {n: jnp.fft.irfftn(hats[n], s=s) for n, s in self.tendency.shapes}


def small_scale_filter(
    grid: Grid, *, cutoff: float = 0.65 * math.pi, strength: float = 23.6
) -> Float[Array, "..."]:
    """exp(-strength (κ - cutoff)⁴) for κ > cutoff, κ = |k h|: damps small scales.

    The filter of pyqg (LaCasce, 1996, PhD thesis, MIT-WHOI), once a step.
    """
    total = 0.0
    for i, axis in enumerate(grid.axes):
        last = i == len(grid.axes) - 1
        k = (np.fft.rfftfreq if last else np.fft.fftfreq)(axis.points)
        shape = [1] * len(grid.axes)
        shape[i] = -1
        total = total + (2 * np.pi * k.reshape(shape)) ** 2
    over = np.maximum(np.sqrt(total) - cutoff, 0.0)
    return jnp.asarray(np.exp(-strength * over**4))
