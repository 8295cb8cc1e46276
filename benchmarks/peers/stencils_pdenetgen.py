# pyright: reportMissingImports=false
"""PDE-NetGen's Keras network of the tendency, in RK4 steps compiled by XLA.

A step is one call of a compiled function, as the package steps its networks, or, with
`looped`, all steps are in one, which it does not offer.
"""

import os
import runpy
import tempfile
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")

import numpy as np
import pdenetgen
import sympy
import tensorflow as tf

tf.keras.backend.set_floatx("float64")
KAPPA = 0.0025
d = sympy.Derivative


def burgers(kappa, t, x, y):
    u = sympy.Function("u")(t, x)
    return [(u, kappa * d(u, x, 2) - u * d(u, x))]


def moments(kappa, t, x, y):
    u, V, nu = (sympy.Function(name)(t, x) for name in ("u", "V", "nu"))
    k, (ux, Vx, nx) = kappa, (d(f, x) for f in (u, V, nu))
    uxx, Vxx, nxx = (d(f, x, 2) for f in (u, V, nu))
    closure = nxx / nu**2 + sympy.Rational(3, 4) / nu**2 - 2 * nx**2 / nu**3
    return [
        (u, k * uxx - u * ux - Vx / 2),
        (V, -k * V / nu + k * Vxx - k * Vx**2 / (2 * V) - u * Vx - 2 * V * ux),
        (
            nu,
            sympy.expand(4 * k * nu**2 * closure)
            - 3 * k * nxx
            - k
            + 6 * k * nx**2 / nu
            - 2 * k * nu * Vxx / V
            + k * Vx * nx / V
            + 2 * k * nu * Vx**2 / V**2
            - u * nx
            + 2 * nu * ux,
        ),
    ]


def diffusion(kappa, t, x, y):
    u = sympy.Function("u")(t, x, y)
    return [(u, kappa * d(u, x, 2) + kappa * d(u, y, 2))]


MODELS = {f.__name__: f for f in (burgers, moments, diffusion)}


def prepare(problem, model, points, members=1, looped=False):
    threads = int(os.environ.get("NPROC", 0))
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    start, dt = problem["start"], problem["dt"]
    steps = min(problem["steps"], 100 if members == 1 else 10)  # tens of ms each
    shape = np.shape(next(iter(start.values())))
    kappa, t, x, y = sympy.symbols("kappa t x y")
    equations = [
        pdenetgen.Eq(sympy.Derivative(field, t), tendency)
        for field, tendency in MODELS[model](kappa, t, x, y)
    ]
    built = pdenetgen.NNModelBuilder(equations, "Emitted")
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "emitted.py"
        written.write_text(built.code)
        emitted = runpy.run_path(str(written))["Emitted"](shape=shape, kappa=KAPPA)
    emitted._make_trend_model()
    network = emitted._trend_model
    order = [str(f) for f in emitted.prognostic_functions]

    def slopes(state):
        found = network(list(state) if len(state) > 1 else state[0])
        return list(found) if isinstance(found, list | tuple) else [found]

    def moved(state, h, slope):
        return [a + h * b for a, b in zip(state, slope, strict=True)]

    def step(state):
        a = slopes(state)
        b = slopes(moved(state, dt / 2, a))
        c = slopes(moved(state, dt / 2, b))
        d = slopes(moved(state, dt, c))
        slope = [i + 2 * (j + k) + m for i, j, k, m in zip(a, b, c, d, strict=True)]
        return tuple(moved(state, dt / 6, slope))

    @tf.function(jit_compile=True)
    def loop(state, count):
        return tf.while_loop(
            lambda i, *now: i < count,
            lambda i, *now: (i + 1, *step(now)),
            (tf.constant(0), *state),
        )[1:]

    compiled = tf.function(step, jit_compile=True)

    def forward(state, count):
        if looped:
            return loop(state, tf.constant(count))
        for _ in range(count):
            state = compiled(state)
        return state

    initial = tuple(
        tf.constant(np.broadcast_to(start[name], (members, *shape))[..., None])
        for name in order
    )

    def run(times):
        for _ in range(times):
            forward(initial, steps)[0].numpy()

    found = forward(initial, 10)
    values = {name: np.ravel(a).tolist() for name, a in zip(order, found, strict=True)}
    return {"agreed": {name: values[name] for name in start}, "work": steps}, run
