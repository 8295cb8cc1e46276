# pyright: reportMissingImports=false
"""The two layers of pyqg-jax, with its own filter and Adams-Bashforth steps."""

import jax
import jax.numpy as jnp
import numpy as np
import pyqg_jax

jax.config.update("jax_enable_x64", True)


def prepare(problem, model, points):
    parameters = {
        "L": 1.28e6,
        "W": 1.28e6,
        "rd": 25e3,
        "delta": 0.25,
        "U1": 0.1,
        "U2": 0.0,
        "beta": 1.8e-11,
        "rek": 5.8e-7,
    }
    layers = pyqg_jax.qg_model.QGModel(
        nx=points,
        ny=points,
        precision=pyqg_jax.state.Precision.DOUBLE,
        **parameters,
    )
    stepper = pyqg_jax.steppers.AB3Stepper(dt=2400.0)
    stepped = pyqg_jax.steppers.SteppedModel(layers, stepper)
    steps = problem["steps"]
    q = jnp.stack([jnp.asarray(v) for v in problem["start"].values()])
    start = layers.create_initial_state(jax.random.key(0)).update(q=q)
    initial = stepped.initialize_stepper_state(start)

    def forward(state, count):
        def step(now, _):
            return stepped.step_model(now), None

        return jax.lax.scan(step, state, None, length=count)[0]

    forward = jax.jit(forward, static_argnums=1)

    def run(times):
        for _ in range(times):
            jax.block_until_ready(forward(initial, steps))

    found = np.asarray(forward(initial, 10).state.q)
    agreed = {f"q{i + 1}": np.ravel(v).tolist() for i, v in enumerate(found)}
    return {"agreed": agreed, "work": steps}, run
