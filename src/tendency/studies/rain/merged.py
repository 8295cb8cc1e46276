"""Advection and learning in one: probabilities of rain in the moving frame.

The last fields are carried along their flow; a network, the same at every point and for
every lead, reads them there at several scales and gives the distribution of the rate: a
logistic one of location μ and scale σ on a scale of levels that is learned too. Which
points to warn is then decided from the probabilities alone, so that the expected CSI is
highest.
"""

import itertools
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from tendency.fitting import Descent, fit
from tendency.networks.dense import Dense
from tendency.studies.rain.frame import FEATURES, Moving, features, moving, sources
from tendency.studies.rain.setting import HISTORY, LEVELS, Radar, Size
from tendency.windows import Window, Windows

_SPREAD = (0.02, 5.0)  # the scale of the distribution, at least and at most
_COUNT = (1.0, 1.0, 1.0, 3.0, 10.0)  # of each level: the rare ones would be ignored


class RateNetwork(eqx.Module):
    """P(R ≥ level) = 1 / (1 + exp((cₗ - μ) / σ)), with μ and σ by layers from features.

    The cuts c rise with the levels, so that probabilities fall.
    """

    layers: tuple[Dense, ...]
    first: Float[Array, ""]
    gaps: Float[Array, " level_less_1"]  # of the cuts, by softplus

    def __init__(self, width: int, *, key: PRNGKeyArray):
        """Two hidden layers of `width`; cuts a unit apart."""
        sizes = (FEATURES, width, width, 2)
        keys = jax.random.split(key, len(sizes) - 1)
        self.layers = tuple(
            Dense(n, m, dtype=jnp.float32, key=k)
            for (n, m), k in zip(itertools.pairwise(sizes), keys, strict=True)
        )
        self.first = jnp.zeros((), jnp.float32)
        self.gaps = jnp.full(len(LEVELS) - 1, 0.54, jnp.float32)

    def __call__(self, x: Float[Array, " feature"]) -> Float[Array, " level"]:
        """The log-odds of reaching each level."""
        for layer in self.layers[:-1]:
            x = jax.nn.gelu(layer(x))
        location, spread = self.layers[-1](x)
        cuts = self.first + jnp.concatenate(
            [jnp.zeros(1, x.dtype), jnp.cumsum(jax.nn.softplus(self.gaps))]
        )
        return (location - cuts) / jnp.clip(jnp.exp(spread), *_SPREAD)


def surprise(
    network: RateNetwork, window: Window, *, key: PRNGKeyArray | None = None
) -> Float[Array, ""]:
    """The logarithmic score of what came, summed over levels by their weights."""
    x, rate = (a[0] for a in window.states)
    reached = (rate >= jnp.asarray(LEVELS, rate.dtype)).astype(x.dtype)
    score = optax.sigmoid_binary_cross_entropy(network(x), reached)
    return (jnp.asarray(_COUNT, x.dtype) * score).sum()


class Merged(eqx.Module):
    """Networks whose probabilities are averaged, and statistics of what they read."""

    networks: tuple[RateNetwork, ...]
    mean: np.ndarray
    std: np.ndarray
    longest: float = eqx.field(static=True)  # the longest lead that it saw [min]

    @eqx.filter_jit
    def probabilities(
        self, now: Moving, minutes: Array, points: Array
    ) -> Float[Array, "level row column"]:
        """Of reaching each of `LEVELS`; beyond the longest lead learned, as at it."""
        x = features(now, jnp.minimum(minutes, self.longest), points)
        x = (x - jnp.asarray(self.mean)[:, None, None]) / jnp.asarray(self.std)[
            :, None, None
        ]
        flat = x.reshape(len(x), -1).T
        told = [jax.nn.sigmoid(jax.vmap(n)(flat)) for n in self.networks]
        return jnp.mean(jnp.stack(told), 0).T.reshape(-1, *x.shape[1:])


def fit_merged(radar: Radar, size: Size, seed: int) -> Merged:
    """Learn from pairs of a start and a lead whose rain fell before the split."""
    rng = np.random.default_rng(seed)
    x, rate, longest = samples(radar, size, rng)
    mean, std = x.mean(0), x.std(0) + np.float32(1e-6)
    windows = Windows.of(((x - mean) / std, rate), 1)
    batch = min(1024, len(windows))
    updates = size.epochs * (len(windows) // batch)
    rates = optax.cosine_decay_schedule(4e-3, max(updates, 1))
    method = Descent(
        optax.adamw(rates, weight_decay=1e-2), epochs=size.epochs, batch=batch
    )
    networks = []
    for member in range(size.members):
        make, descend = jax.random.split(jax.random.key(1000 * seed + member))
        network = RateNetwork(size.width, key=make)
        loss: Callable = surprise
        fitted = fit(network, windows, method, key=descend, loss=loss)  # pyright: ignore
        networks.append(fitted.cell)
    return Merged(tuple(networks), mean, std, longest * radar.minutes)  # pyright: ignore


def samples(
    radar: Radar, size: Size, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, int]:
    """Features and rates at random points, and the longest lead among them [steps].

    Leads are drawn evenly in their logarithm, since the rain soon forgets.
    """
    most = radar.split - 1 - HISTORY
    each = max(1, size.pairs // most)
    known = np.flatnonzero(radar.seen)
    xs, rates, longest = [], [], 1
    at = jax.jit(features)
    for start in range(HISTORY, radar.split - 1):
        last = radar.split - 1 - start
        now = moving(radar.rate[start - HISTORY : start + 1], radar.seen)
        points = sources(now.flow, most)
        drawn = np.exp(rng.uniform(0, np.log(last + 1), each)).astype(int)
        for lead in np.unique(np.clip(drawn, 1, last)):
            x = at(now, np.float32(lead * radar.minutes), points[lead - 1])
            few = rng.choice(known, min(size.pixels, known.size), replace=False)
            xs.append(np.asarray(x).reshape(FEATURES, -1)[:, few].T)
            rates.append(radar.rate[start + lead].reshape(-1)[few])
            longest = max(longest, int(lead))
    return np.concatenate(xs), np.concatenate(rates), longest


def warned(
    probability: Float[np.ndarray, " point"],
) -> np.ndarray:
    """Which points to warn, so that the expected CSI is highest.

    Of the k likeliest points Σ p are expected to be hits, and the CSI to be near
    Σ p / (k + Σ over the others p): a threshold on p between CSI / (1 + CSI) and it.
    Source: Lipton, Elkan & Naryanaswamy (2014, arXiv:1402.1892), for the F1 score,
    which rises with the CSI.
    """
    order = np.argsort(-probability, kind="stable")
    hits = np.cumsum(probability[order], dtype=np.float64)
    expected = hits / (np.arange(1, len(hits) + 1) + hits[-1] - hits)
    chosen = np.zeros(len(probability), bool)
    chosen[order[: int(np.argmax(expected)) + 1]] = True
    return chosen


def decided(
    probabilities: Float[np.ndarray, "level row column"],
    seen: np.ndarray,
) -> Float[np.ndarray, "row column"]:
    """The highest level that each point is warned of [mm / h], zero of none."""
    rate = np.zeros(seen.shape, np.float32)
    for level, p in zip(LEVELS, probabilities, strict=True):
        chosen = np.zeros(seen.shape, bool)
        chosen[seen] = warned(p[seen])
        rate[chosen] = level
    return rate
