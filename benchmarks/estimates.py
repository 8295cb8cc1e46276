"""What a training step is told to need before it starts, beside what its program takes.

The estimate is counted from shapes (`tendency.fitting.memory`), the other number is the
temporary memory of the compiled gradient, as XLA gives it; nothing is run.
"""

from typing import Any

UNET = "UNet (8, 16), 4 maps of 32 x 32, 20 steps"
RECURRENT = "ConvLSTM, 32 units, a map of 256 x 256, 30 steps"
# What, points along an edge, batch, steps, and how the steps are kept.
CASES = (
    (UNET, 32, 4, 20, False),
    ("the same, each step computed again", 32, 4, 20, True),
    (RECURRENT, 256, 1, 30, False),
    ("the same, in parts of 5 steps", 256, 1, 30, 5),
    ("the same, each step computed again", 256, 1, 30, True),
)


def measure() -> list[dict[str, Any]]:
    """A row for each."""
    return [_row(*case) for case in CASES]


def _row(
    what: str, size: int, batch: int, steps: int, checkpoint: bool | int
) -> dict[str, Any]:
    import equinox as eqx
    import jax
    import jax.numpy as jnp
    import optax

    import tendency
    from tendency.cell import trainable
    from tendency.fitting.memory import activations
    from tendency.fitting.problem import Free, Problem
    from tendency.fitting.updates import Plan

    key = jax.random.key(0)
    cell = _cell(size)
    states = jnp.zeros((steps + batch, 1, size, size), jnp.float32)
    windows = tendency.Windows.of(states, steps + 1)
    loss = tendency.RolloutLoss(checkpoint=checkpoint)
    weights, fixed = eqx.partition(cell, trainable(cell))
    free = Free(weights)
    problem = Problem(fixed, windows, loss, None)
    plan = Plan(problem, optax.adam(1e-3), key, len(windows), batch, None, None)

    def value(free):
        return plan.loss(free, jnp.arange(batch), key, loss)

    compiled = jax.jit(jax.value_and_grad(value)).lower(free).compile()
    used: Any = compiled.memory_analysis()
    return {
        "what": what,
        "estimate": activations(plan, free, loss),
        "compiled": used.temp_size_in_bytes,
    }


def _cell(size: int) -> Any:
    import jax
    import jax.numpy as jnp

    from tendency.networks.maps import (
        ConvLSTM,
        Convolution,
        Frame,
        MapRecurrent,
        MapStepper,
        UNet,
    )

    one, two = jax.random.split(jax.random.key(0))
    frame = Frame((1, size, size), dtype=jnp.float32)
    if size < 100:
        network = UNet(frame.reads(), 1, (8, 16), dtype=jnp.float32, key=one)
        return MapStepper(network, frame, 1.0)
    layer = ConvLSTM(frame.reads(), 32, dtype=jnp.float32, key=one)
    readout = Convolution(32, 1, dtype=jnp.float32, key=two)
    return MapRecurrent(layer, readout, frame, 1.0, spin_up_steps=0)
