# pyright: reportMissingImports=false
"""The same equations written by hand in JAX, as one would: RK4 in a scan.

A point's neighbours are rolled arrays or, `padded`, parts of an array with periodic
copies at its ends.
"""

import jax
import jax.numpy as jnp
import numpy as np

jax.config.update("jax_enable_x64", True)
KAPPA = 0.0025


def by_rolls(a, axis):
    return jnp.roll(a, -1, axis), jnp.roll(a, 1, axis)


def by_padding(a, axis):
    size = a.shape[axis]
    width = [(0, 0)] * a.ndim
    width[axis] = (1, 1)
    wide = jnp.pad(a, width, mode="wrap")
    parts = (jax.lax.slice_in_dim(wide, i, i + size, axis=axis) for i in (2, 0))
    return tuple(parts)


def burgers(state, beside):
    (u,) = state
    h = 1 / u.shape[-1]
    right, left = beside(u, -1)
    slope, bend = (right - left) / (2 * h), (right - 2 * u + left) / h**2
    return (KAPPA * bend - u * slope,)


def moments(state, beside):
    u, V, nu = state
    h = 1 / u.shape[-1]

    def slopes(a):
        right, left = beside(a, -1)
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


def diffusion(state, beside):
    (u,) = state
    h = 1 / u.shape[-1]
    (east, west), (north, south) = beside(u, -2), beside(u, -1)
    return (KAPPA * (east + west + north + south - 4 * u) / h**2,)


def shallow(state, beside):
    h, u, v = state
    step, gravity, coriolis, viscosity = 1e6 / u.shape[-1], 9.81, 1e-4, 50.0

    def slope(a, axis):
        after, before = beside(a, axis)
        return (after - before) / (2 * step)

    def bend(a):
        (east, west), (north, south) = beside(a, -2), beside(a, -1)
        return (east + west + north + south - 4 * a) / step**2

    spin = slope(v, -2) - slope(u, -1) + coriolis
    head = gravity * h + (u**2 + v**2) / 2
    return (
        -slope(h * u, -2) - slope(h * v, -1),
        spin * v - slope(head, -2) + viscosity * bend(u),
        -spin * u - slope(head, -1) + viscosity * bend(v),
    )


MODELS = {f.__name__: f for f in (burgers, moments, diffusion, shallow)}


def prepare(problem, model, points, members=1, padded=False):
    start, steps, dt = problem["start"], problem["steps"], problem["dt"]
    beside = by_padding if padded else by_rolls

    def f(state):
        return MODELS[model](state, beside)

    def step(state, _):
        def moved(h, slope):
            return tuple(x + h * k for x, k in zip(state, slope, strict=True))

        a = f(state)
        b = f(moved(dt / 2, a))
        c = f(moved(dt / 2, b))
        d = f(moved(dt, c))
        slope = (i + 2 * j + 2 * k + m for i, j, k, m in zip(a, b, c, d, strict=True))
        return moved(dt / 6, tuple(slope)), None

    def forward(state, count):
        return jax.lax.scan(step, state, None, length=count)[0]

    def several(states, count):
        each = (
            jax.vmap if problem["together"] else lambda f: lambda x: jax.lax.map(f, x)
        )
        return each(lambda state: forward(state, count))(states)

    initial = tuple(jnp.asarray(v) for v in start.values())
    if members > 1:
        initial = tuple(jnp.broadcast_to(v, (members, *v.shape)) for v in initial)
    forecast = jax.jit(several if members > 1 else forward, static_argnums=1)

    def run(times):
        for _ in range(times):
            jax.block_until_ready(forecast(initial, steps))

    found = dict(zip(start, forecast(initial, 10), strict=True))
    agreed = {k: np.ravel(v).tolist() for k, v in found.items()}
    return {"agreed": agreed, "work": steps}, run
