"""The joint fit beyond the easy case: cost against size, and where it stops working.

Lorenz-96 with 40 variables, every second of them observed, noise of standard deviation
1, a local quadratic tendency of 21 unknown coefficients shared by all; and a
multi-layer tendency, which does not contain the truth, on noisy Lorenz-63.

    python validation/joint_fit.py [lorenz96] [mlp] [cost]
"""

import sys
import time

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from tendency import Integrated, JointFit, Observations, fit, forecast
from tendency.fitting.first_guess import smoothed
from tendency.networks import MLP
from tendency.observing import Select
from tendency.physics import Lorenz96
from tendency.statistical import Polynomial
from tendency.studies.lorenz63.evaluate import evaluate
from tendency.studies.lorenz63.truth import FULL, simulate

DT = 0.05
TRUE = {(0,): 8.0, (3,): -1.0, (1, 2): -1.0, (2, 4): 1.0}  # of offsets -2 ... 2


class Local(eqx.Module):
    """dxᵢ/dt, the same quadratic function of five neighbours everywhere."""

    coefficients: jax.Array

    def __call__(self, state, forcing=None):
        around = jnp.stack([jnp.roll(state, k) for k in (2, 1, 0, -1, -2)], axis=1)
        return jax.vmap(Polynomial(2))(around) @ self.coefficients


def truth_coefficients():
    """F = 8, - xᵢ, - xᵢ₋₂ xᵢ₋₁ + xᵢ₋₁ xᵢ₊₁ in the order of the library."""
    found = np.zeros(21)
    for place, factors in enumerate(Polynomial(2).factors(5)):
        found[place] = {(): 8.0, (2,): -1.0, (0, 1): -1.0, (1, 3): 1.0}.get(factors, 0)
    return found


def lorenz96(steps, every=2, noise=1.0, known=True, seed=0):
    """States and coefficients from part of the variables; prints errors and cost."""
    cell = Integrated(Lorenz96(), DT)
    key, noise_key = jax.random.split(jax.random.key(seed))
    start = 8 + jax.random.normal(key, (40,))
    x = forecast(cell, cell.init(start), 1_000 + steps)[1]
    train, rest = x[400 : 400 + steps], x[400 + steps :]
    seen = np.arange(0, 40, every)
    y = train[:, seen] + noise * jax.random.normal(noise_key, (steps, len(seen)))
    observations = Observations.of(
        y, range(steps), Select(jnp.asarray(seen)), error=noise**2
    )
    smooth = np.stack([smoothed(np.asarray(c))[0] for c in y.T], axis=1)
    wrapped = np.concatenate([smooth, smooth[:, :1]], axis=1)
    places = np.append(seen, 40)
    guess = np.stack([np.interp(np.arange(40), places, row) for row in wrapped])
    first = truth_coefficients()
    if not known:  # all unknown: start from damping and forcing alone
        first = np.where(np.arange(21) == 0, 4.0, np.where(np.arange(21) == 3, -0.5, 0))
    else:  # wrong by a fifth of each
        first = 0.8 * first
    model = Integrated(Local(jnp.asarray(first)), DT)
    method = JointFit(
        (1.0, 0.3, 0.1, 3e-2, 1e-2, 1e-3, 1e-4, 1e-6),
        jnp.full(40, noise),
        warm_up=0,
        max_steps=40,
    )
    clock = time.process_time()
    fitted = fit(
        model,
        observations,
        method,
        key=jax.random.key(0),
        first_guess=jnp.asarray(guess),
    )
    seconds = time.process_time() - clock
    states = np.asarray(fitted.posterior.states)
    inner = slice(50, -50)
    hidden = np.setdiff1d(np.arange(40), seen)
    errors = [
        np.sqrt(np.mean((states - train)[inner][:, c] ** 2)) for c in (seen, hidden)
    ]
    wrong = np.asarray(fitted.cell.tendency.coefficients) - truth_coefficients()
    z = wrong / np.asarray(fitted.posterior.parameter_std.tendency.coefficients)
    starts = rest[:500:10]
    ahead = [
        jax.vmap(lambda s, c=c: forecast(c, c.init(s), 20)[1])(starts)
        for c in (cell, fitted.cell)
    ]
    error = jnp.sqrt(jnp.mean((ahead[0] - ahead[1]) ** 2, axis=(0, 2)))
    print(
        f"Lorenz-96, {steps} steps, 1 of {every} seen, noise {noise:g}, "
        f"{'0.8 of the truth' if known else 'all unknown'}: states "
        f"{errors[0]:.3f} seen / {errors[1]:.3f} hidden, largest coefficient error "
        f"{np.abs(wrong).max():.4f} (z {np.abs(z).max():.1f}), forecast error after "
        f"1/4/20 steps {error[0]:.4f}/{error[3]:.4f}/{error[19]:.4f}, misfit "
        f"{fitted.history['observation_misfit'][-1]:.3f}, {fitted.best} iterations, "
        f"{seconds:.0f} CPU s",
        flush=True,
    )


def mlp(width, noise=0.5, seed=0, ratios=(4e-2, 4e-3, 4e-4, 4e-5, 4e-6)):
    """A tendency that does not contain the truth, on noisy Lorenz-63."""
    truth = simulate(FULL, seed)
    y = truth.train + noise * (truth.noisy - truth.train) / 0.5
    key = jax.random.key(0)
    cell = Integrated(MLP.of(y, width, 1, jax.nn.silu, dt=0.1, key=key), 0.01)
    observations = Observations.of(y, range(len(y)), error=noise**2)
    states = None
    for ratio in ratios:
        method = JointFit((ratio,), warm_up=40 if states is None else 0, max_steps=40)
        clock = time.process_time()
        fitted = fit(cell, observations, method, key=key, first_guess=states)
        seconds = time.process_time() - clock
        cell, states = fitted.cell, fitted.posterior.states
        found = evaluate(cell, truth, FULL, False)
        error = float(jnp.sqrt(jnp.mean((states - truth.train) ** 2)))
        rmse = " ".join(f"{found.rmse[lead - 1]:.4f}" for lead in (1, 4, 8))
        weights = sum(a.size for a in jax.tree.leaves(eqx.filter(cell, eqx.is_array)))
        print(
            f"MLP of {width} units, {weights} numbers, ratio {ratio:g}: states "
            f"{error:.3f}, forecasts {rmse}, VPT {found.vpt:.2f}, misfit "
            f"{fitted.history['observation_misfit'][-1]:.4f}, {seconds:.0f} CPU s",
            flush=True,
        )


def cost():
    """CPU seconds of one iteration against the length and the size of the state."""
    for size, steps in ((3, 2_500), (3, 10_000), (3, 40_000), (10, 2_500), (20, 2_500)):
        cell = Integrated(Lorenz96(), DT)
        x = forecast(
            cell, cell.init(8 + jnp.sin(jnp.arange(float(max(size, 4))))), steps
        )
        y = x[1][:, :size] if size >= 4 else x[1]
        n = y.shape[1]
        model = Integrated(Local(jnp.asarray(truth_coefficients())), DT)
        observations = Observations.of(
            y + 0.1 * jax.random.normal(jax.random.key(0), y.shape),
            range(steps),
            error=0.01,
        )
        method = JointFit((1e-3,), warm_up=0, max_steps=5, tolerance=0.0)
        times = []
        for _ in range(2):  # the second time it is compiled
            clock = time.process_time()
            fitted = fit(model, observations, method, key=jax.random.key(0))
            times.append(time.process_time() - clock)
        print(
            f"{n} components, {steps} steps: {times[1]:.2f} CPU s for {fitted.best} "
            f"iterations, {times[0] - times[1]:.0f} s to compile",
            flush=True,
        )


def main(asked):
    """Run what is asked for, or all."""
    jax.config.update("jax_enable_x64", True)
    if not asked or "lorenz96" in asked:
        lorenz96(500, every=1, known=False)
        lorenz96(500, every=2)
        lorenz96(500, every=2, known=False)
        lorenz96(500, every=4)
    if not asked or "mlp" in asked:
        mlp(12)
    if not asked or "cost" in asked:
        cost()


if __name__ == "__main__":
    main(sys.argv[1:])
