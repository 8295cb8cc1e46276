# pyright: reportMissingImports=false
"""The two layers of pyqg, transformed by FFTW, with its filter and AB3 steps."""

import os

import numpy as np
import pyqg


def prepare(problem, model, points):
    start = np.asarray(list(problem["start"].values()))
    threads = {"ntd": int(os.environ["NPROC"])} if "NPROC" in os.environ else {}
    steps = problem["steps"]

    def fresh():
        layers = pyqg.QGModel(
            nx=points,
            L=1.28e6,
            rd=25e3,
            delta=0.25,
            U1=0.1,
            U2=0.0,
            beta=1.8e-11,
            rek=5.8e-7,
            dt=2400.0,
            tmax=np.inf,
            tavestart=np.inf,  # no diagnostics
            twrite=10**9,
            log_level=0,
            **threads,
        )
        layers.q = start
        return layers

    def moved(layers, count):
        for _ in range(count):
            layers._step_forward()
        return layers

    ready = fresh()

    def run(times):
        ready.q = start
        moved(ready, times * steps)

    found = np.asarray(moved(fresh(), 10).q)
    agreed = {f"q{i + 1}": np.ravel(v).tolist() for i, v in enumerate(found)}
    return {"agreed": agreed, "work": steps}, run
