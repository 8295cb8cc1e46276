"""A training step: the bilinear model of Lorenz-63, a roll-out of five steps."""

from typing import Any

STEPS = 234  # batches of 32 in an epoch
EPOCHS = 10


def prepare():
    import jax
    import jax.numpy as jnp
    import optax

    import tendency
    from benchmarks.lorenz import series
    from tendency.networks import Bilinear

    states = series(STEPS * 32 + 5)
    std = tendency.Standardisation.of(states)
    model = Bilinear.of(states, 5, key=jax.random.key(0))
    cell = tendency.Integrated(model, 0.01)
    windows = tendency.Windows.of(states, 6)
    loss = tendency.RolloutLoss(scale=std.std)
    method = tendency.Descent(optax.adam(1e-2), epochs=EPOCHS, batch=32)

    def mean_loss(model):
        batch = jax.vmap(windows.take)(jnp.arange(32))
        cell = tendency.Integrated(model, 0.01)
        return jax.vmap(lambda window: loss(cell, window))(batch).mean()

    value, slope = jax.jit(jax.value_and_grad(mean_loss))(model)
    names = ("linear.weight", "linear.bias", "left.weight", "left.bias")
    names += ("right.weight", "right.bias", "mixing")
    problem = {
        "states": std.apply(states).tolist(),
        "weights": {name: _at(model, name).tolist() for name in names},
    }

    def run(times):
        for _ in range(times):
            tendency.fit(cell, windows, method, key=jax.random.key(1), loss=loss)

    agreed = {"loss": value.item(), "slope": slope.left.weight.tolist()}
    return {"problem": problem, "agreed": agreed}, run


def _at(model, name) -> Any:
    for part in name.split("."):
        model = getattr(model, part)
    return model
