# pyright: reportMissingImports=false
"""The same sparse regression by pysindy."""

import numpy as np
import pysindy


def prepare(problem):
    states = np.array(problem["states"])

    def fit():
        differences = pysindy.FiniteDifference(order=2, drop_endpoints=True)
        model = pysindy.SINDy(
            optimizer=pysindy.STLSQ(threshold=0.3, alpha=0.0),
            feature_library=pysindy.PolynomialLibrary(degree=2),
            differentiation_method=differences,
        )
        return model.fit(states, t=problem["dt"]).coefficients()

    def run(times):
        for _ in range(times):
            fit()

    return {"agreed": {"coefficients": np.asarray(fit()).tolist()}}, run
