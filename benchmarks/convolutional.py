"""A training step and a forecast of networks on maps, batches of 8 maps of 64 x 64.

The UNet reads two states of two variables and tells the next. The ConvLSTM reads six
and tells four, each from the one before, on maps of 32 x 32. One thread a side: on a
shared machine PyTorch's threads wait for a core at five times the CPU time.
"""

from typing import Any

from benchmarks.measure import Case, Peer

BATCH = 8
STEPS = 4  # batches in an epoch
EPOCHS = 2
TOLD = 10  # steps of a forecast
NETWORKS = {  # rows and columns, states read, states told in training
    "UNet": (64, 2, 1),
    "ConvLSTM": (32, 6, 4),
}
ASKED = {"training": 1.0, "forecast": 1.2}
UNITS = {"training": "step", "forecast": "step of 8 members"}
CASES = tuple(
    Case(
        f"{network}, {work}, float32",
        UNITS[work],
        tuple(
            Peer(
                f"PyTorch, {form}",
                "convolutional_torch",
                {"form": form},
                ASKED[work] if form == "eager" else None,
            )
            for form in ("eager", "channels last")
        ),
        {"network": network, "work": work},
        threads=(1,),
    )
    for network in NETWORKS
    for work in ASKED
)


def cell_of(network, dtype, key):
    """The untrained cell, its weights all drawn, and the frame of its maps."""
    import equinox as eqx
    import jax

    from tendency.networks.maps import (
        ConvLSTM,
        Convolution,
        Frame,
        MapRecurrent,
        MapStepper,
        UNet,
    )

    side, read, _ = NETWORKS[network]
    keys = jax.random.split(key, 3)
    frame = Frame((2, side, side), dtype=dtype)
    if network == "UNet":
        net = UNet(frame.reads(read), 2, (16, 32, 64), dtype=dtype, key=keys[0])
        head = jax.random.normal(keys[1], net.head.kernel.shape, dtype) / 8
        net = eqx.tree_at(lambda n: n.head.kernel, net, head)
        return MapStepper(net, frame, 1.0, lags=read)
    layer = ConvLSTM(frame.reads(), 32, dtype=dtype, key=keys[0])
    readout = Convolution(32, 2, dtype=dtype, key=keys[1])
    return MapRecurrent(layer, readout, frame, 1.0, spin_up_steps=read - 1)


def weights_of(cell):
    """The kernels and biases of its convolutions by the names of the peer."""
    from tendency.networks.maps import MapStepper

    layers: dict[str, Any]
    if isinstance(cell, MapStepper):
        net: Any = cell.network
        pairs = [*net.down, *net.up]
        layers = {f"pairs.{i}.first": pair.first for i, pair in enumerate(pairs)}
        layers |= {f"pairs.{i}.second": pair.second for i, pair in enumerate(pairs)}
        layers["head"] = net.head
    else:
        layers = {"gates": cell.layers.gates, "head": cell.readout}
    return {
        f"{name}.{kind}": array.tolist()
        for name, layer in layers.items()
        for kind, array in (("weight", layer.kernel), ("bias", layer.bias))
    }


def prepare(network, work, dtype="float32"):
    import jax

    jax.config.update("jax_enable_x64", dtype == "float64")
    import equinox as eqx
    import jax.numpy as jnp
    import optax

    import tendency

    side, read, told = NETWORKS[network]
    cell = cell_of(network, dtype, jax.random.key(0))
    length = read + told
    times = STEPS * BATCH + length - 1
    states = jax.random.normal(jax.random.key(1), (times, 2, side, side), dtype)
    windows = tendency.Windows.of(states, length)
    loss = tendency.RolloutLoss()
    batch = jax.vmap(windows.take)(jnp.arange(BATCH))

    @eqx.filter_jit
    @eqx.filter_value_and_grad
    def mean_loss(cell):
        return jax.vmap(lambda window: loss(cell, window))(batch).mean()

    @eqx.filter_jit
    def told_on(cell, states):
        def one(states):
            carry = tendency.spin_up(cell, states)
            return tendency.forecast(cell, carry, TOLD)[1]

        return jax.vmap(one)(states)

    problem = {
        "states": states.tolist(),
        "weights": weights_of(cell),
    }
    if work == "forecast":
        past = batch.states[:, :read]
        answer = told_on(cell, past)

        def run(times):
            for _ in range(times):
                told_on(cell, past).block_until_ready()

        agreed = {"first": answer[:, 0].tolist()}
        return {"problem": problem, "agreed": agreed, "work": TOLD}, run
    value, slope = mean_loss(cell)
    method = tendency.Descent(optax.adam(1e-3), epochs=EPOCHS, batch=BATCH)

    def run(times):
        for _ in range(times):
            tendency.fit(cell, windows, method, key=jax.random.key(1), loss=loss)

    agreed = {"loss": value.item(), "slope": weights_of(slope)["head.weight"]}
    return {"problem": problem, "agreed": agreed, "work": EPOCHS * STEPS}, run
