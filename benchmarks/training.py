"""A training step: the bilinear model of Lorenz-63, a roll-out of five steps."""

from benchmarks.measure import Case, Peer

STEPS = 234  # batches of 32 in an epoch
EPOCHS = 10
CASES = (
    Case(
        "training, bilinear RK4, batch 32, 5 steps",
        "step",
        (
            Peer("PyTorch, eager", "training_torch", {"compiled": False}, 15),
            Peer("PyTorch, compiled", "training_torch", {"compiled": True}, 7),
        ),
    ),
)


def prepare():
    import jax
    import jax.numpy as jnp
    import optax

    import tendency
    from benchmarks.lorenz import DT, bilinear, series, weights

    states = series(STEPS * 32 + 5)
    std = tendency.Standardisation.of(states)
    model = bilinear(states)
    windows = tendency.Windows.of(states, 6)
    loss = tendency.RolloutLoss(scale=std.std)
    method = tendency.Descent(optax.adam(1e-2), epochs=EPOCHS, batch=32)

    @jax.jit
    @jax.value_and_grad
    def mean_loss(model):
        batch = jax.vmap(windows.take)(jnp.arange(32))
        cell = tendency.Integrated(model, DT)
        return jax.vmap(lambda window: loss(cell, window))(batch).mean()

    def run(times):
        cell, key = tendency.Integrated(model, DT), jax.random.key(1)
        for _ in range(times):
            tendency.fit(cell, windows, method, key=key, loss=loss)

    value, slope = mean_loss(model)
    problem = {"states": std.apply(states).tolist(), "weights": weights(model)}
    agreed = {"loss": value.item(), "slope": slope.left.weight.tolist()}
    return {"problem": problem, "agreed": agreed, "work": EPOCHS * STEPS}, run
