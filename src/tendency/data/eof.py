"""Floor 4: empirical orthogonal functions, the patterns that hold most of the variance.

Lorenz (1956), Empirical orthogonal functions and statistical weather prediction, MIT.
"""

import numpy as np
from jaxtyping import Float

from tendency.errors import InputError

_NARROW = 2  # a matrix so many times longer than wide goes through its Gram matrix


def eofs(
    anomalies: Float[np.ndarray, "time state"], modes: int | float
) -> tuple[Float[np.ndarray, "state mode"], Float[np.ndarray, " mode"]]:
    """The leading EOFs, orthonormal columns, and the variance that each holds.

    X = U S Vᵀ; the patterns are columns of V and the variances S² / time, in float64.
    Where X is much longer one way than the other the smaller of X Xᵀ and Xᵀ X is
    diagonalised instead; modes below 10⁻⁷ of the first would drown in its rounding, and
    are not given. The largest loading of a pattern is positive.

    Arguments:
        anomalies: without a mean, weighted, NaN nowhere.
        modes: how many, or, below 1, the share of the variance that they must hold.

    Raises:
        InputError: more modes than there are, or no variance at all.
    """
    X = np.asarray(anomalies, np.float64)
    times, size = X.shape
    if times > _NARROW * size:
        variance, patterns = _descending(X.T @ X)
    elif size > _NARROW * times:
        variance, left = _descending(X @ X.T)
        patterns = X.T @ (left / np.sqrt(np.maximum(variance, 1e-300)))
    else:
        _, singular, right = np.linalg.svd(X, full_matrices=False)
        variance, patterns = singular**2, right.T
    variance = variance / times
    held = variance > 1e-14 * variance.max(initial=0)
    rank = int(held.sum())
    if rank == 0:
        raise InputError(
            "the training data do not vary, at least one mode was expected: check the "
            "variable and its mask, or leave prepare.eofs out"
        )
    if modes >= 1:
        count = int(modes)
    else:
        total = np.sum(X**2) / times
        count = int(np.searchsorted(np.cumsum(variance[:rank]), modes * total)) + 1
        count = min(count, rank)
    if count > rank:
        raise InputError(
            f"{count} EOFs were asked for and {times} times of {size} points hold "
            f"{rank}: lower prepare.eofs"
        )
    patterns = patterns[:, :count]
    largest = np.abs(patterns).argmax(0)
    sign = np.sign(patterns[largest, np.arange(count)])
    return patterns * sign, variance[:count]


def _descending(gram: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    values, vectors = np.linalg.eigh(gram)
    return values[::-1], vectors[:, ::-1]
