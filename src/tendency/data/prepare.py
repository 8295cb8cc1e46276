"""Floor 4: from data to what a model sees, and back.

`prepare` fits a `Preparation` to the training data: take off the regular cycles, divide
by a scale, weight by area, project on EOFs. Nothing of it knows files or labels but
`prepare`, which reads them from the `Layout`.
"""

from collections.abc import Sequence

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from tendency.cell import Constant
from tendency.data.eof import eofs as leading_eofs
from tendency.data.layout import Layout
from tendency.errors import InputError
from tendency.statistical.climatology import Climatology, climatology

_POLE = 0.01  # the least cos(latitude): the poles keep a weight, so that decode exists


class Preparation(eqx.Module):
    """z = Eᵀ (x - c(t)) / s, and its inverse x = c(t) + s E z.

    c are the mean and the cycles, s the scale of each component (the standard deviation
    of its variable over the root of its area weight), E the EOFs. Without EOFs the
    inverse is exact to rounding; with them it gives back what they hold.
    """

    cycle: Constant | None  # c, a `Climatology`
    scale: Constant  # s, (state,) [units of the state]
    patterns: Constant | None = None  # E, (state, latent)
    explained: Constant | None = None  # (latent,): share of the variance of each EOF

    @property
    def size(self) -> int:
        """The number of components of a latent state."""
        if self.patterns is None:
            return self.scale.value.shape[0]
        return self.patterns.value.shape[1]

    @eqx.filter_jit
    def climatology(self, t: Float[Array, "*batch"]) -> Float[Array, "*batch state"]:
        """c(t), zero where no mean was taken off [units of the state]."""
        t = jnp.asarray(t)
        if self.cycle is None:
            scale = self.scale.value
            return jnp.zeros((*t.shape, *scale.shape), scale.dtype)
        return self.cycle.value.at(t)

    @eqx.filter_jit
    def encode(
        self, states: Float[Array, "*batch state"], t: Float[Array, "*batch"]
    ) -> Float[Array, "*batch latent"]:
        """What the model sees of states at times `t` [unit of the clock].

        A missing value (NaN) becomes the climatology, that is zero.
        """
        states = jnp.asarray(states, self.scale.value.dtype)
        anomalies = states - self.climatology(t)
        scale = jnp.expand_dims(self.scale.value, tuple(range(anomalies.ndim - 1)))
        anomalies = jnp.where(jnp.isfinite(anomalies), anomalies, 0) / scale
        return anomalies if self.patterns is None else anomalies @ self.patterns.value

    @eqx.filter_jit
    def decode(
        self, latent: Float[Array, "*batch latent"], t: Float[Array, "*batch"]
    ) -> Float[Array, "*batch state"]:
        """States at times `t`, in the units of the data."""
        latent = jnp.asarray(latent, self.scale.value.dtype)
        if self.patterns is not None:
            latent = latent @ self.patterns.value.T
        scale = jnp.expand_dims(self.scale.value, tuple(range(latent.ndim - 1)))
        return self.climatology(t) + scale * latent


def lasting_share(
    preparation: Preparation,
    states: Float[np.ndarray, "time state"],
    t: Float[np.ndarray, " time"],
    follows: Bool[np.ndarray, " time"],
) -> float:
    """Of what the EOFs leave out, the part that is there a step later, by regression.

    Of times that did not give the EOFs, whose residuals are too small to tell. What is
    missing (NaN) leaves nothing out.

    Arguments:
        follows: where a time is one step after the time before.
    """
    values, at = jnp.asarray(states), jnp.asarray(t)
    left = np.asarray(values - preparation.decode(preparation.encode(values, at), at))
    left = np.nan_to_num(left / np.asarray(preparation.scale.value))
    pairs = np.flatnonzero(follows)
    now, later = left[pairs - 1], left[pairs]
    total = float(np.sum(now**2))
    return float(np.clip(np.sum(now * later) / total, 0, 1)) if total > 0 else 0.0


def prepare(
    states: Float[np.ndarray, "time state"],
    t: Float[np.ndarray, " time"],
    layout: Layout,
    *,
    deseasonalise: Sequence[str] = (),
    harmonics: int = 2,
    standardise: bool = True,
    area_weights: bool = True,
    eofs: int | float | None = None,
) -> Preparation:
    """Fit a `Preparation` to the training data.

    One scale serves a whole variable, so that its patterns stay what they are. With
    EOFs the latent state is divided by the standard deviation of the first, and keeps
    the proportions of the others.

    Arguments:
        states: packed by `layout`; NaN is missing.
        t: when, in numbers of `layout.clock`.
        deseasonalise: the cycles to take off, of "year" and "day".
        harmonics: of each cycle.
        eofs: modes kept, or below 1 the share of the variance that they must hold.

    Raises:
        InputError: a record shorter than its cycle, more harmonics than the step
            resolves, more EOFs than there are, a component that is never observed.
    """
    states = np.asarray(states)
    never = ~np.isfinite(states).any(0)
    if never.any():
        raise InputError(
            f"{int(never.sum())} of {layout.size} components of the state are missing "
            'all through the training data: set data.mask to "land"'
        )
    cycle = None
    anomalies = states.astype(np.float64)
    if deseasonalise or standardise or eofs is not None:
        cycle = _cycle(states, t, layout, tuple(deseasonalise), harmonics)
        anomalies = anomalies - np.asarray(eqx.filter_jit(cycle.at)(jnp.asarray(t)))
    scale = np.ones(layout.size)
    if standardise:
        for part in layout.parts.values():
            spread = np.sqrt(np.nanmean(anomalies[:, part] ** 2))
            scale[part] = spread if spread > 0 else 1.0
    if area_weights:
        cosine = np.cos(np.deg2rad(layout.latitude))
        scale = scale / np.sqrt(np.maximum(cosine, _POLE))
    patterns = explained = None
    if eofs is not None:
        weighted = np.where(np.isfinite(anomalies), anomalies, 0) / scale
        found, variance = leading_eofs(weighted, eofs)
        total = np.sum(weighted**2) / len(weighted)
        patterns, explained = found, variance / total
        scale = scale * np.sqrt(variance[0])

    def constant(value: np.ndarray | None) -> Constant | None:
        return None if value is None else Constant(jnp.asarray(value, states.dtype))

    return Preparation(
        None if cycle is None else Constant(cycle),
        Constant(jnp.asarray(scale, states.dtype)),
        constant(patterns),
        constant(explained),
    )


def _cycle(
    states: np.ndarray,
    t: np.ndarray,
    layout: Layout,
    names: tuple[str, ...],
    harmonics: int,
) -> Climatology:
    clock = layout.clock
    periods = tuple(clock.cycle(name) for name in names)
    for name, period in zip(names, periods, strict=True):
        if 2 * harmonics >= period / clock.step:
            raise InputError(
                f"{harmonics} harmonics of the {name} were asked for and a step of "
                f"{clock.label} resolves {int(np.ceil(period / clock.step / 2)) - 1}: "
                "lower prepare.harmonics"
            )
    try:
        return climatology(
            jnp.asarray(states), jnp.asarray(t), periods, harmonics, dt=clock.step
        )
    except InputError as error:
        raise InputError(f"prepare.deseasonalise: {error}") from error
