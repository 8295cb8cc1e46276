"""An ensemble of analog forecasts: local linear, on the 50 nearest states."""

from benchmarks.measure import Case, Peer

MEMBERS, NEIGHBOURS, STEPS = 100, 50, 1_000
CASES = (
    Case(
        "analogs, 100 members, catalogue of 10,000, local linear",
        "step",
        (
            Peer("scikit-learn, members together", "analogs_sklearn", asked=20),
            Peer(
                "scikit-learn, one by one", "analogs_sklearn", {"one_by_one": True}, 20
            ),
        ),
        tolerance=1e-8,
    ),
)


def prepare():
    import jax

    jax.config.update("jax_enable_x64", True)
    import jax.numpy as jnp

    import tendency
    from benchmarks.lorenz import DT, series
    from tendency.statistical import analog
    from tendency.statistical.neighbours import nearest

    states = series(11_001)
    catalogue, others = states[:10_001], states[10_001:]
    cell = analog(
        tendency.Windows.of(catalogue, 2), k=NEIGHBOURS, dt=DT, method="linear"
    )
    carry = jax.vmap(cell.init)(others[:: len(others) // MEMBERS])

    @jax.jit
    @jax.vmap
    def ensemble(carry):
        return tendency.forecast(cell, carry, STEPS)

    def run(times):
        for _ in range(times):
            jax.block_until_ready(ensemble(carry))

    starts = carry.state / cell.scale.value
    _, found = jax.vmap(nearest, (None, 0))(cell.search, starts)
    first = jax.vmap(lambda c: tendency.forecast(cell, c, 20)[1])(carry)
    problem = {
        "catalogue": catalogue.tolist(),
        "scale": cell.scale.value.tolist(),
        "starts": carry.state.tolist(),
    }
    agreed = {"neighbours": jnp.sort(found, axis=1).tolist(), "states": first.tolist()}
    return {"problem": problem, "agreed": agreed, "work": STEPS}, run
