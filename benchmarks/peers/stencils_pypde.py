# pyright: reportMissingImports=false
"""Diffusion by py-pde: the same stencil, RK4 steps compiled by Numba."""

import numpy as np
import pde

DT = 1e-4


def prepare(problem, model, points):
    (start,) = problem["start"].values()
    grid = pde.CartesianGrid([[0, 1], [0, 1]], [points, points], periodic=True)
    equation = pde.DiffusionPDE(diffusivity=0.0025, bc="auto_periodic_neumann")
    initial = pde.ScalarField(grid, np.asarray(start))
    solver = pde.solvers.RungeKuttaSolver(equation, backend="numba")
    stepper = solver.make_stepper(initial, DT)
    steps = problem["steps"]

    def run(times):
        for _ in range(times):
            stepper(initial.copy(), 0.0, steps * DT)

    found = initial.copy()
    result = stepper(found, 0.0, 10 * DT)
    del result
    return {"agreed": {"u": np.ravel(found.data).tolist()}, "work": steps}, run
