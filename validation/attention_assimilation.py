"""A transformer inside an ensemble filter: what becomes of keys and values.

    OMP_NUM_THREADS=1 XLA_FLAGS=--xla_cpu_multi_thread_eigen=false \
        .venv/bin/python validation/attention_assimilation.py [cycles] [seeds]

Lorenz-63 in DAPPER's setting (validation/assimilation.py), 10 members. The cells learn
steps of 0.05 from 5,000 states of the true model without noise: a `TransformerCell`
that reads 8 states, and a GRU. With "whole" the filter recombines the whole carry, keys
and values or hidden state too; with "state" the state alone, each member keeping its
own past. Errors are medians over the seeds of the root of the mean square, at the
inflation that is best for each.
"""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax

from tendency import (
    Descent,
    Integrated,
    Observations,
    RolloutLoss,
    assimilate,
    ensemble_of,
    fit,
    forecast,
)
from tendency.assimilation import ETKF, Multiplicative
from tendency.cell import AbstractCell, Carry, Standardisation
from tendency.networks import GRU, Recurrent, RecurrentCell
from tendency.networks.attention import CausalTransformer, TransformerCell
from tendency.physics import Lorenz63
from tendency.windows import Windows

jax.config.update("jax_enable_x64", True)

DT, GAP, VARIANCE, MEMBERS = 0.05, 5, 2.0, 10
INFLATIONS = (1.02, 1.05, 1.1, 1.2, 1.3)


class OwnPast(AbstractCell):
    """The same cell, its memory as counters, which a filter leaves to each member."""

    of: AbstractCell
    dt: float = DT
    spin_up_steps: int = 0

    def init(self, state):
        return self._hidden(self.of.init(state))

    def step(self, carry: Carry, forcing=None, *, key=None):
        def shown(a):
            bits = a.dtype in (jnp.int64, jnp.uint64)
            return jax.lax.bitcast_convert_type(a, jnp.float64) if bits else a

        memory = jax.tree.map(shown, carry.memory)
        return self._hidden(self.of.step(Carry(carry.state, memory), forcing, key=key))

    def _hidden(self, carry: Carry) -> Carry:
        def hide(a):
            real = a.dtype == jnp.float64
            return jax.lax.bitcast_convert_type(a, jnp.int64) if real else a

        return Carry(carry.state, jax.tree.map(hide, carry.memory))


def learned(states: jax.Array, kind: str) -> AbstractCell:
    """Fitted by teacher forcing, then through roll-outs of the steps of a cycle."""
    size, key = states.shape[1], jax.random.key(0)
    scale = {
        "standardisation": Standardisation.of(states),
        "increment_std": jnp.diff(states, axis=0).std(0),
    }
    if kind == "transformer":
        network = CausalTransformer(
            size, size, window=8, size=32, heads=4, depth=2, key=key
        )
        cell = TransformerCell(network, DT, **scale)
    else:
        network = Recurrent(GRU(size, 32, key=key), size, key=key)
        cell = RecurrentCell(network, DT, spin_up_steps=7, **scale)
    for horizon, epochs in ((None, 40), (2 * GAP, 20)):
        loss = RolloutLoss(horizon, teacher_forcing=horizon is None)
        length = 24 if horizon is None else 8 + horizon
        windows = Windows.of(states, length)
        rate = optax.cosine_decay_schedule(3e-3, epochs * (len(windows) // 64))
        method = Descent(optax.adam(rate), epochs=epochs, batch=64)
        cell = fit(cell, windows, method, loss=loss, key=key).cell
    return cell


def error(cell: AbstractCell, truth: jax.Array, inflation: float, seed: int) -> float:
    """Of the analyses' means, the first twentieth left out."""
    keys = jax.random.split(jax.random.key(seed), 3)
    cycles = len(truth)
    noise = np.sqrt(VARIANCE) * jax.random.normal(keys[0], truth.shape)
    steps = GAP * np.arange(1, cycles + 1)
    observations = Observations.of(truth + noise, steps, error=VARIANCE)
    prior = ensemble_of(cell, truth[0], 1.4, size=MEMBERS, key=keys[1])
    method = ETKF(Multiplicative(inflation), rotated=True)
    found = assimilate(cell, prior, observations, method, key=keys[2])
    apart = jnp.sqrt(((found.analysis_mean - truth) ** 2).mean(1))
    return float(apart[cycles // 20 :].mean())


def main(cycles: int, seeds: int) -> None:
    true = Integrated(Lorenz63(), 0.01)
    start = jnp.array([1.509, -1.531, 25.46])
    _, path = forecast(true, true.init(start), 5 * 5000, every=5)
    _, truth = forecast(true, true.init(path[-1]), 25 * cycles, every=25)
    for kind in ("transformer", "GRU"):
        cell = learned(path, kind)
        for what, this in {"whole": cell, "state": OwnPast(cell)}.items():
            of = {
                inflation: np.median(
                    [error(this, truth, inflation, seed) for seed in range(seeds)]
                )
                for inflation in INFLATIONS
            }
            best = min(of, key=lambda i: of[i])
            all_of_them = ", ".join(f"{i}: {v:.2f}" for i, v in of.items())
            print(f"{kind}, {what}: {of[best]:.2f} at {best} ({all_of_them})")


if __name__ == "__main__":
    given = [int(a) for a in sys.argv[1:]]
    main(*given, *(1000, 3)[len(given) :])
