"""Least squares by triangles: of many rows no more is kept than QR leaves of them.

The columns are those of the Jacobian J and the residual r. For each field and group of
rows the triangle R of [J r] = QR is kept, so that no normal equations are formed, whose
condition is the square of J's.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from tendency.errors import InputError

_RANK = 1e-8  # singular values, columns of length one: less is none


class Triangles:
    """By field and group: the triangle of the rows, and their number."""

    def __init__(self, unknowns: int):
        self.unknowns = unknowns
        self.of: dict[tuple[str, int], Float[np.ndarray, "row column"]] = {}
        self.rows: dict[tuple[str, int], int] = {}

    @classmethod
    def empty(cls, unknowns: int) -> "Triangles":
        """Of no rows."""
        return cls(unknowns)

    def add(
        self,
        field: str,
        groups: Int[np.ndarray, " time"],
        rows: Float[np.ndarray, "time point column"],
    ) -> None:
        """Rows [J r] of some times; those that are not finite are missing."""
        for group in np.unique(groups):
            own = rows[groups == group].reshape(-1, self.unknowns + 1)
            own = own[np.isfinite(own).all(axis=1)]
            key = field, int(group)
            old = self.of.get(key, np.zeros((0, self.unknowns + 1)))
            self.of[key] = _triangle([old, own])
            self.rows[key] = self.rows.get(key, 0) + len(own)

    @property
    def count(self) -> int:
        """Of all rows."""
        return sum(self.rows.values())

    def total(
        self,
        sigma: Mapping[str, float],
        groups: Bool[np.ndarray, " group"] | None = None,  # which ones
    ) -> Float[np.ndarray, "row column"]:
        """The triangle of all rows, or of some groups, fields divided by their σ."""
        parts = [
            r / sigma[field]
            for (field, group), r in self.of.items()
            if groups is None or groups[group]
        ]
        return _triangle(parts)

    def sigma(self) -> dict[str, float]:
        """The root mean square of the residuals of each field."""
        squares: dict[str, float] = {}
        rows: dict[str, int] = {}
        for (field, _), r in self.of.items():
            squares[field] = squares.get(field, 0.0) + float((r[:, -1] ** 2).sum())
        for (field, _), n in self.rows.items():
            rows[field] = rows.get(field, 0) + n
        return {k: (s / max(rows[k], 1)) ** 0.5 for k, s in squares.items()}

    def cost(self, sigma: Mapping[str, float]) -> float:
        """Σ |r / σ|²."""
        squares = [
            float(((r[:, -1] / sigma[field]) ** 2).sum())
            for (field, _), r in self.of.items()
        ]
        return sum(squares)

    def step(self, sigma: Mapping[str, float], damping: float) -> np.ndarray:
        """The step of Gauss and Newton, damped in Levenberg and Marquardt's way."""
        r = self.total(sigma)
        a, b = r[:, :-1], r[:, -1]
        norms = np.linalg.norm(a, axis=0)
        more = np.sqrt(damping) * np.diag(norms)
        left = np.concatenate([a, more])
        right = np.concatenate([-b, np.zeros(len(more))])
        return np.linalg.lstsq(left, right, rcond=None)[0]

    def length(self, sigma: Mapping[str, float], step: np.ndarray) -> float:
        """How far a step changes the residuals, in root mean square, by σ."""
        rows = max(sum(self.rows.values()), 1)
        return float(np.linalg.norm(self.total(sigma)[:, :-1] @ step)) / rows**0.5

    def covariance(
        self, sigma: Mapping[str, float], robust: bool
    ) -> Float[np.ndarray, "unknown unknown"]:
        """Of the unknowns at the minimum: (JᵀJ/σ²)⁻¹, or the sandwich of the groups."""
        rows = sum(self.rows.values())
        r = self.total(sigma)[:, :-1]
        inverse = np.linalg.pinv(r)
        bread = inverse @ inverse.T
        if not robust:
            return bread * rows / max(rows - self.unknowns, 1)
        groups = sorted({group for _, group in self.of})
        meat = np.zeros_like(bread)
        for one in groups:
            parts = [
                t[:, :-1].T @ t[:, -1] / sigma[field] ** 2
                for (field, group), t in self.of.items()
                if group == one
            ]
            score = np.sum(parts, axis=0)
            meat += np.outer(score, score)
        return bread @ meat @ bread * len(groups) / max(len(groups) - 1, 1)


def require_rank(
    triangle: Float[np.ndarray, "row column"], names: Sequence[str]
) -> None:
    """That the rows tell every unknown.

    Raises:
        InputError: some they do not, by name.
    """
    if not len(triangle):
        raise InputError("no residual is finite: give states that are not missing")
    a = triangle[:, :-1]
    norms = np.linalg.norm(a, axis=0)
    unseen = norms <= 1e-14 * norms.max(initial=1e-300)
    if unseen.any():
        which = [n for n, u in zip(names, unseen, strict=True) if u]
        raise InputError(
            f"{_listed(which)} cannot be identified from these data: the tendencies do "
            "not depend on it at these states and first guesses; give states that vary "
            "more, another first guess, or leave it out"
        )
    _, values, vectors = np.linalg.svd(a / norms)
    values = np.concatenate([values, np.zeros(len(names) - len(values))])
    lost = vectors[values <= _RANK * values[0]]
    if len(lost):
        share = np.abs(lost).max(axis=0)
        which = [n for n, s in zip(names, share, strict=True) if s > 1e-4]
        raise InputError(
            f"{_listed(which)} cannot be told from each other by these data: the "
            f"Jacobian has the rank {len(names) - len(lost)}, and {len(names)} are "
            "unknown; leave some out, or give states in which their terms differ"
        )


def _triangle(rows: Sequence[np.ndarray]) -> Float[np.ndarray, "row column"]:
    return np.asarray(np.linalg.qr(np.concatenate(rows), mode="r"))


def _listed(names: Sequence[str], most: int = 8) -> str:
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return " and ".join([", ".join(names[:-1]), names[-1]] if names[1:] else names)
