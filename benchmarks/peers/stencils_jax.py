# pyright: reportMissingImports=false
"""The same equations written by hand in JAX, as one would: rolls, RK4, a scan."""

import jax
import jax.numpy as jnp
import numpy as np

jax.config.update("jax_enable_x64", True)
KAPPA = 0.0025
DT = 1e-4


def burgers(state):
    (u,) = state
    h = 1 / u.shape[-1]
    right, left = jnp.roll(u, -1, -1), jnp.roll(u, 1, -1)
    slope, bend = (right - left) / (2 * h), (right - 2 * u + left) / h**2
    return (KAPPA * bend - u * slope,)


def moments(state):
    u, V, nu = state
    h = 1 / u.shape[-1]

    def slopes(a):
        right, left = jnp.roll(a, -1, -1), jnp.roll(a, 1, -1)
        return (right - left) / (2 * h), (right - 2 * a + left) / h**2

    (ux, uxx), (Vx, Vxx), (nx, nxx) = slopes(u), slopes(V), slopes(nu)
    k = KAPPA
    closure = nxx / nu**2 + 3 / (4 * nu**2) - 2 * nx**2 / nu**3
    return (
        k * uxx - u * ux - Vx / 2,
        -k * V / nu + k * Vxx - k * Vx**2 / (2 * V) - u * Vx - 2 * V * ux,
        4 * k * nu**2 * closure
        - 3 * k * nxx
        - k
        + 6 * k * nx**2 / nu
        - 2 * k * nu * Vxx / V
        + k * Vx * nx / V
        + 2 * k * nu * Vx**2 / V**2
        - u * nx
        + 2 * nu * ux,
    )


def diffusion(state):
    (u,) = state
    h = 1 / u.shape[-1]
    around = jnp.roll(u, 1, -1) + jnp.roll(u, -1, -1)
    around += jnp.roll(u, 1, -2) + jnp.roll(u, -1, -2)
    return (KAPPA * (around - 4 * u) / h**2,)


MODELS = {"burgers": burgers, "moments": moments, "diffusion": diffusion}


def prepare(problem, model, members=1, points=None):
    start, steps = problem["start"], problem["steps"]
    f = MODELS[model]

    def step(state, _):
        def moved(h, slope):
            return tuple(x + h * k for x, k in zip(state, slope, strict=True))

        a = f(state)
        b = f(moved(DT / 2, a))
        c = f(moved(DT / 2, b))
        d = f(moved(DT, c))
        slope = (i + 2 * j + 2 * k + m for i, j, k, m in zip(a, b, c, d, strict=True))
        return moved(DT / 6, tuple(slope)), None

    def forward(state, count):
        return jax.lax.scan(step, state, None, length=count)[0]

    initial = tuple(jnp.asarray(v) for v in start.values())
    if members > 1:
        initial = tuple(jnp.broadcast_to(v, (members, *v.shape)) for v in initial)
        forward = jax.vmap(forward, in_axes=(0, None))
    forward = jax.jit(forward, static_argnums=1)

    def run(times):
        for _ in range(times):
            jax.block_until_ready(forward(initial, steps))

    found = dict(zip(start, forward(initial, 10), strict=True))
    agreed = {k: np.ravel(v).tolist() for k, v in found.items()}
    return {"agreed": agreed, "work": steps}, run
