# pyright: reportMissingImports=false
"""The same cycles by Cuthbert, which is in JAX as well."""

import jax
import jax.numpy as jnp
import numpy as np
from cuthbert import filter as filtered
from cuthbert.ensemble_kalman import ensemble_kalman_filter
from cuthbert.smc import particle_filter
from cuthbertlib.resampling import adaptive, systematic

CYCLES = 1_000
jax.config.update("jax_enable_x64", True)


def lorenz96(x):
    return (jnp.roll(x, -1) - jnp.roll(x, 2)) * jnp.roll(x, 1) - x + 8.0


def lorenz63(state):
    x, y, z = state
    return jnp.stack([10 * (y - x), 28 * x - y - x * z, x * y - 8 / 3 * z])


def prepare(problem, twin, members, method):
    values, truth = np.array(problem["values"]), np.array(problem["truth"])
    ensemble = jnp.array(problem["ensemble"])
    slope, dt, gap, variance = {
        "L96": (lorenz96, 0.05, 1, 1.0),
        "L63": (lorenz63, 0.01, 25, 2.0),
    }[twin]
    noise, n = problem.get("noise", 0.0), values.shape[1]

    def step(x, key):
        k1 = slope(x)
        k2 = slope(x + dt / 2 * k1)
        k3 = slope(x + dt / 2 * k2)
        x = x + dt / 6 * (k1 + 2 * k2 + 2 * k3 + slope(x + dt * k3))
        return x + noise * dt**0.5 * jax.random.normal(key, x.shape) if noise else x

    def steps(x, key):
        if gap == 1:
            return step(x, key)
        keys = jax.random.split(key, gap)
        return jax.lax.scan(lambda x, k: (step(x, k), None), x, keys)[0]

    # A member each, in place of draws: any of them, by the key.
    def one_of_the_ensemble(key):
        return ensemble[jax.random.randint(key, (), 0, members)]

    if method == "stochastic":
        made = ensemble_kalman_filter.build_filter(
            one_of_the_ensemble,
            lambda inputs: steps,
            lambda inputs: (lambda x: x, variance**0.5 * jnp.eye(n), inputs),
            members,
            inflation=0.06,
        )
    else:

        def log_potential(before, x, inputs):
            away = inputs - x
            constant = n * jnp.log(2 * jnp.pi * variance)
            return -0.5 * (away @ away / variance + constant)

        made = particle_filter.build_filter(
            one_of_the_ensemble,
            lambda key, x, inputs: steps(x, key),
            log_potential,
            members,
            adaptive.ess_decorator(systematic.resampling, 0.5),
        )

    @jax.jit
    def cycles(values, key):
        start = made.init_prepare(key=key)
        found = filtered(made, values, start, key=key)
        if method == "stochastic":
            return found.mean
        weights = jax.nn.softmax(found.log_weights, axis=1)
        mean = jnp.einsum("tm,tmn->tn", weights, found.particles)
        return mean, found.log_normalizing_constant

    def run(times):
        for _ in range(times):
            jax.block_until_ready(cycles(values, jax.random.key(0)))

    found = cycles(values, jax.random.key(0))
    if method == "stochastic":
        wrong = np.sqrt(((np.asarray(found)[1:] - truth) ** 2).mean(1))
        agreed = float(wrong[CYCLES // 10 :].mean())
    else:
        agreed = float(found[1][-1])
    return {"agreed": [agreed], "work": CYCLES}, run
