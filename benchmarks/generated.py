"""Models generated from symbolic equations, step by step."""

from benchmarks.measure import Case, Peer

CACHE = 2**20  # of a core [bytes]
_HANDS = (
    Peer("JAX by hand, rolls", "stencils_jax", asked=0.9),
    Peer("JAX by hand, padded", "stencils_jax", {"padded": True}, 0.9),
)
_NET = "stencils_pdenetgen"
_NETS = (
    Peer("PDE-NetGen, XLA", _NET, asked=25.0, environment=".keras"),
    Peer("PDE-NetGen, XLA, looped", _NET, {"looped": True}, environment=".keras"),
)
_PYPDE = Peer("py-pde, numba", "stencils_pypde", asked=3.0)
_LAYERS = (
    Peer("pyqg-jax", "layers_pyqg_jax", asked=4.0),
    Peer("pyqg, FFTW", "layers_pyqg", asked=1.8, environment=".pyqg"),
)


def _both(name: str, model: str, points: int) -> tuple[Case, Case]:
    """Alone, and 64 members together."""
    setting = {"model": model, "points": points}
    more = {**setting, "members": 64}
    peers = (*_HANDS, *_NETS)
    return (
        Case(name, "step", peers, setting, tolerance=1e-10),
        Case(f"{name}, 64 members", "step", peers, more, tolerance=1e-10),
    )


def _square(name: str, model: str, points: int) -> Case:
    setting = {"model": model, "points": points}
    name = f"{name}, {points} x {points}"
    return Case(name, "step", (*_HANDS, _PYPDE), setting, tolerance=1e-10)


CASES = (
    *_both("Burgers, 241 points", "burgers", 241),
    *_both("mean, variance, aspect, 241 points", "moments", 241),
    *_both("diffusion, 100 x 100", "diffusion", 100),
    _square("diffusion", "diffusion", 256),
    _square("shallow water", "shallow", 256),
    Case(
        "two-layer QG, 128 x 128, AB3",
        "step",
        _LAYERS,
        {"model": "layers", "points": 128},
        tolerance=1e-6,
    ),
)


def prepare(model, points, members=1):
    """All members at once where they fit the cache together, else one by one."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    jax.config.update("jax_enable_x64", True)

    import tendency
    from benchmarks.models import MODELS

    cell, start, steps = MODELS[model](points)
    initial = {k: jnp.asarray(v) for k, v in start.items()}
    together = members * sum(v.nbytes for v in start.values()) < CACHE
    if members > 1:
        steps = max(steps // members, 10)
        initial = {
            k: jnp.broadcast_to(v, (members, *v.shape)) for k, v in initial.items()
        }

    def one(state, count):
        count //= cell.substeps
        return tendency.forecast(cell, cell.init(state), count, every=count)[0].state

    def several(states, count):
        if together:
            return jax.vmap(lambda state: one(state, count))(states)
        return jax.lax.map(lambda state: one(state, count), states)

    forward = jax.jit(several if members > 1 else one, static_argnums=1)

    def run(times):
        for _ in range(times):
            jax.block_until_ready(forward(initial, steps))

    found = forward(initial, 10)
    agreed = {k: np.ravel(v).tolist() for k, v in found.items()}
    problem = {
        "start": {k: v.tolist() for k, v in start.items()},
        "steps": steps,
        "dt": cell.dt,
        "together": together,
    }
    return {"problem": problem, "agreed": agreed, "work": steps}, run
