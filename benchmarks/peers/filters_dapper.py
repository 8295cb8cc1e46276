# pyright: reportMissingImports=false
"""The same cycles by DAPPER: as it comes, or the bare loop of its EnKF."""

import importlib
import os

os.environ.setdefault("MPLBACKEND", "agg")

import dapper.da_methods as methods
import dapper.tools.progressbar as progress
import numpy as np
from dapper.da_methods.ensemble import EnKF_analysis, post_process

progress.disable_progbar = True

CYCLES = 100
MODS = {"L96": "Lorenz96.sakov2008", "L63": "Lorenz63.sakov2012"}


def prepare(problem, twin, members, method, statistics):
    assert method == "ETKF"
    model = importlib.import_module(f"dapper.mods.{MODS[twin]}").HMM
    model.tseq.Ko = CYCLES - 1
    model.tseq.BurnIn = 0
    values = np.array(problem["values"])[:CYCLES]
    ensemble = np.array(problem["ensemble"])
    gap = model.tseq.dko
    truth = np.repeat(np.array(problem["truth"])[:CYCLES], gap, axis=0)
    truth = np.concatenate([truth[:1], truth])
    observed = np.empty(CYCLES, object)
    observed[:] = list(values)
    model.X0.sample = lambda size: ensemble.copy()

    def loop(cycles, rotated):
        E, means = ensemble, []
        for _, ko, t, dt in model.tseq.ticker:
            E = model.Dyn(E, t - dt, dt)
            if ko is None:
                continue
            obs = model.Obs(ko)
            E = EnKF_analysis(E, obs(E), obs.noise, observed[ko], "Sqrt", None, ko)
            means.append(E.mean(0))
            E = post_process(E, 1.02, rotated)
            if ko + 1 == cycles:
                break
        return np.array(means)

    def whole():
        method = methods.EnKF("Sqrt", N=members, infl=1.02, rot=True)
        method.assimilate(model, truth, observed, liveplots=False)

    def run(times):
        for _ in range(times):
            if statistics:
                whole()
            else:
                loop(CYCLES, True)

    agreed = loop(10, False).tolist()
    return {"agreed": [agreed], "work": CYCLES}, run
