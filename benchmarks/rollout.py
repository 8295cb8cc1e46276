"""A long roll-out of the bilinear model of Lorenz-63, every state kept."""

from benchmarks.measure import Case, Peer

STEPS = 100_000
CASES = (
    Case(
        "roll-out, bilinear RK4",
        "step",
        (
            Peer("PyTorch, eager", "rollout_torch", {"by": "hand"}, 100),
            Peer("torchdiffeq, rk4", "rollout_torch", {"by": "torchdiffeq"}, 20),
        ),
        tolerance=1e-4,  # after a time unit of chaos in float32
    ),
)


def prepare():
    import jax
    import optax

    import tendency
    from benchmarks.lorenz import DT, bilinear, series, weights

    states = series(8_000)
    windows = tendency.Windows.of(states, 6)
    unfitted = tendency.Integrated(bilinear(states), DT)
    method = tendency.Descent(optax.adam(3e-3), epochs=30)
    std = tendency.Standardisation.of(states)
    loss = tendency.RolloutLoss(scale=std.std)
    key = jax.random.key(1)
    cell = tendency.fit(unfitted, windows, method, key=key, loss=loss).cell
    carry = cell.init(states[0])

    def run(times):
        for _ in range(times):
            jax.block_until_ready(tendency.forecast(cell, carry, STEPS))

    first = tendency.forecast(cell, carry, 100)[1]
    start = std.apply(states[0]).tolist()
    problem = {"start": start, "weights": weights(cell.tendency)}
    agreed = {"state": std.apply(first).tolist()}
    return {"problem": problem, "agreed": agreed, "work": STEPS}, run
