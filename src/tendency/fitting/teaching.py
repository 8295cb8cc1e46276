"""What a fit of a translator brings down."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from tendency.errors import InputError
from tendency.networks.sequences import seen_of
from tendency.windows import Window


class Teaching(eqx.Module):
    """Σ w (-Σ q log p): the cross-entropy of each token, those before it being given.

    The states of a window are `source` and `target`, its weights those of the target's
    tokens: with one over the mean number of tokens each token counts alike, and the
    mean over samples is one over tokens. Weights are for the tokens that are told, all
    but the first.

    Arguments:
        label_smoothing: ε of q = (1 - ε) of the token and ε / vocabulary of each, in
            training; validation takes the token alone.
        scheduled_sampling: the share of tokens that are not given but drawn from what
            was told in a first pass, in training, so that the translator learns to
            mend its own errors.

    Sources: Szegedy et al. (2016, arXiv:1512.00567), section 7, for the smoothing;
    Bengio et al. (2015, arXiv:1506.03099) for the sampling, in the two passes of
    Mihaylova & Martins (2019, arXiv:1906.07651).

    Raises:
        InputError: a share that is not at least 0 and below 1.
    """

    label_smoothing: float = eqx.field(static=True, default=0.0)
    scheduled_sampling: float = eqx.field(static=True, default=0.0)

    def __check_init__(self):
        for name in ("label_smoothing", "scheduled_sampling"):
            value = getattr(self, name)
            if not 0 <= value < 1:
                raise InputError(
                    f"{name} is {value}, a share of 0 or more and below 1 was expected"
                )

    def __call__(
        self, translator: Any, window: Window, *, key: PRNGKeyArray | None = None
    ) -> Float[Array, ""]:
        """Of one pair; without a key neither dropout, smoothing nor sampling."""
        source, target = window.states["source"], window.states["target"]
        seen, given, told = seen_of(source), target[:-1], target[1:]
        if key is not None and self.scheduled_sampling:
            first, second, key = jax.random.split(key, 3)
            logits = translator.teach(source, seen, given, key=first)
            given = self._mixed(given, jax.lax.stop_gradient(logits), second)
        logits = translator.teach(source, seen, given, key=key)
        smoothing = 0.0 if key is None else self.label_smoothing
        missed = cross_entropy(logits, told, smoothing)
        weights = window.weights[1:].astype(missed.dtype)
        return jnp.sum(weights * missed)

    def _mixed(
        self,
        given: Int[Array, " target"],
        logits: Float[Array, "target vocabulary"],
        key: PRNGKeyArray,
    ) -> Int[Array, " target"]:
        """Some of the tokens after the first replaced by what was told there."""
        one, two = jax.random.split(key)
        drawn = jax.random.categorical(one, logits[:-1]).astype(given.dtype)
        ours = jax.random.bernoulli(two, self.scheduled_sampling, drawn.shape)
        return given.at[1:].set(jnp.where(ours, drawn, given[1:]))


def cross_entropy(
    logits: Float[Array, "time vocabulary"],
    tokens: Int[Array, " time"],
    smoothing: float = 0.0,
) -> Float[Array, " time"]:
    """-Σ q log p at each time, with (1 - ε) of q on the token and ε on all alike."""
    total = jax.nn.logsumexp(logits, axis=-1)
    found = jnp.take_along_axis(logits, tokens[:, None], axis=-1)[:, 0]
    return total - (1 - smoothing) * found - smoothing * logits.mean(-1)
