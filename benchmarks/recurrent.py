"""A training step of an LSTM of 64 units that reads and forecasts Lorenz-63.

"Aligned" is PyTorch's best case: 20 states are read, each answered with the next, in
one call. The roll-out, by which forecasts are trained here, reads 20 and tells 8.
"""

from typing import Any

from benchmarks.measure import Case, Peer

READ = 20
TOLD = {"aligned": 0, "roll-out": 8}
STEPS = 100  # batches of 32 in an epoch
EPOCHS = 3
ASKED = {"aligned": 2, "roll-out": None}
CASES = tuple(
    Case(
        f"LSTM(64), batch 32, {form}, {dtype}",
        "step",
        (Peer("PyTorch, eager", "recurrent_torch", asked=ASKED[form]),),
        {"form": form, "dtype": dtype},
        tolerance=1e-4 if dtype == "float32" else 1e-10,
    )
    for form in TOLD
    for dtype in ("float32", "float64")
)


def prepare(form, dtype):
    import jax

    jax.config.update("jax_enable_x64", dtype == "float64")
    import equinox as eqx
    import jax.numpy as jnp
    import optax

    import tendency
    from benchmarks.lorenz import DT, series
    from tendency.networks import LSTM, Recurrent, RecurrentCell

    told = TOLD[form]
    length = READ + max(told, 1)
    states = series(STEPS * 32 + length - 1)
    std = tendency.Standardisation.of(states)
    change = jnp.diff(states, axis=0).std(0)
    keys = jax.random.split(jax.random.key(0))
    layer = LSTM(3, 64, key=keys[0])
    network = Recurrent(layer, 3, key=keys[1])
    cell = RecurrentCell(
        network,
        DT,
        spin_up_steps=READ - 1 if told else 0,
        standardisation=std,
        increment_std=change,
    )
    windows = tendency.Windows.of(states, length)
    loss = tendency.RolloutLoss(teacher_forcing=not told, scale=std.std)
    method = tendency.Descent(optax.adam(1e-3), epochs=EPOCHS, batch=32)

    @jax.jit
    @jax.value_and_grad
    def mean_loss(network):
        batch = jax.vmap(windows.take)(jnp.arange(32))
        model = eqx.tree_at(lambda c: c.network, cell, network)
        return jax.vmap(lambda window: loss(model, window))(batch).mean()

    value, slope = mean_loss(network)
    slope_of_layer: Any = slope.stack.layers[0]

    def run(times):
        for _ in range(times):
            tendency.fit(cell, windows, method, key=jax.random.key(1), loss=loss)

    problem = {
        "states": std.apply(states).tolist(),
        "change": (change / std.std.value).tolist(),
        "weights": {
            "lstm.weight_ih_l0": layer.weight[:3].T.tolist(),
            "lstm.weight_hh_l0": layer.weight[3:].T.tolist(),
            "lstm.bias_ih_l0": layer.bias.tolist(),
            "lstm.bias_hh_l0": jnp.zeros_like(layer.bias).tolist(),
            "readout.weight": network.readout.weight.T.tolist(),
            "readout.bias": network.readout.bias.tolist(),
        },
    }
    agreed = {"loss": value.item(), "slope": slope_of_layer.weight[3:].T.tolist()}
    return {"problem": problem, "agreed": agreed, "work": EPOCHS * STEPS}, run
