# pyright: reportMissingImports=false
"""Diffusion and shallow water by py-pde: the same stencils, RK4 compiled by Numba."""

import numpy as np
import pde


def diffusion():
    return 1.0, {"u": "0.0025 * laplace(u)"}, {}


def shallow():
    constants = {"g": 9.81, "f": 1e-4, "nu": 50.0}
    head, spin = "g * h + (u**2 + v**2) / 2", "(d_dx(v) - d_dy(u) + f)"
    return (
        1e6,
        {
            "h": "-d_dx(h * u) - d_dy(h * v)",
            "u": f"{spin} * v - d_dx({head}) + nu * laplace(u)",
            "v": f"-{spin} * u - d_dy({head}) + nu * laplace(v)",
        },
        constants,
    )


MODELS = {f.__name__: f for f in (diffusion, shallow)}


def prepare(problem, model, points):
    length, equations, constants = MODELS[model]()
    grid = pde.CartesianGrid([[0, length]] * 2, [points, points], periodic=True)
    equation = pde.PDE(equations, consts=constants, bc="auto_periodic_neumann")
    start = [pde.ScalarField(grid, np.asarray(problem["start"][k])) for k in equations]
    initial = pde.FieldCollection(start) if len(start) > 1 else start[0]
    solver = pde.solvers.RungeKuttaSolver(equation, backend="numba")
    steps, dt = problem["steps"], problem["dt"]
    stepper = solver.make_stepper(initial, dt)

    def run(times):
        for _ in range(times):
            stepper(initial.copy(), 0.0, steps * dt)

    found = initial.copy()
    stepper(found, 0.0, 10 * dt)
    fields = zip(equations, found if len(start) > 1 else [found], strict=True)
    agreed = {name: np.ravel(field.data).tolist() for name, field in fields}
    return {"agreed": agreed, "work": steps}, run
