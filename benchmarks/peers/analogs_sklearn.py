# pyright: reportMissingImports=false
"""The ensemble of analog forecasts over scikit-learn's k-d tree.

Together, the tree is asked for all members at once and the regressions are solved at
once: Python loops over times alone. One by one, it loops over the members too.
"""

import numpy as np
from sklearn.neighbors import KDTree

NEIGHBOURS = 50
STEPS = 10


def prepare(problem, one_by_one=False):
    series = np.array(problem["catalogue"])
    scale = np.array(problem["scale"])
    past, changes = series[:-1] / scale, np.diff(series, axis=0)
    tree = KDTree(past)
    starts = np.array(problem["starts"])

    def together(states):
        queries = states / scale
        distances, index = tree.query(queries, NEIGHBOURS)
        offsets = past[index] - queries[:, None]
        width = np.median(distances, axis=1, keepdims=True)
        weights = np.exp(-((distances / width) ** 2))
        features = np.concatenate([np.ones_like(distances)[..., None], offsets], axis=2)
        weighted = (features * weights[..., None]).transpose(0, 2, 1)
        solution = np.linalg.solve(weighted @ features, weighted @ changes[index])
        return states + solution[:, 0]

    def each(states):
        return np.concatenate([together(state[None]) for state in states])

    step = each if one_by_one else together

    def forecast(states, steps):
        saved = []
        for _ in range(steps):
            states = step(states)
            saved.append(states)
        return np.stack(saved, axis=1)

    def run(times):
        states = starts
        for _ in range(times):
            states = forecast(states, STEPS)[:, -1]

    found = tree.query(starts / scale, NEIGHBOURS, return_distance=False)
    agreed = {
        "neighbours": np.sort(found, axis=1).tolist(),
        "states": forecast(starts, 20).tolist(),
    }
    return {"agreed": agreed, "work": STEPS}, run
