"""Sparse regression: the equations of Lorenz-63 from a series of 10,000 states."""

from benchmarks.measure import Case, Peer

CASES = (
    Case(
        "SINDy, 10,000 states, degree 2, STLSQ",
        "fit",
        (Peer("pysindy", "sparse_pysindy"),),
        tolerance=1e-8,
    ),
)


def prepare():
    import jax

    jax.config.update("jax_enable_x64", True)

    from benchmarks.lorenz import DT, series
    from tendency.statistical import (
        STLSQ,
        FiniteDifferences,
        Polynomial,
        sparse_regression,
    )

    states = series(10_000)

    def fit():
        return sparse_regression(
            states,
            DT,
            Polynomial(2),
            formulation=FiniteDifferences(2),
            regression=STLSQ(threshold=0.3),
        )

    def run(times):
        for _ in range(times):
            jax.block_until_ready(fit().coefficients)

    agreed = {"coefficients": fit().coefficients.tolist()}
    return {"problem": {"states": states.tolist(), "dt": DT}, "agreed": agreed}, run
