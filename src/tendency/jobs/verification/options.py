"""Floor 5: the options of `tendency score FORECAST TRUTH`; it imports nothing heavy."""

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter

from tendency.errors import InputError


@dataclass(frozen=True)
class Options:
    """How two files are to be compared.

    Parameters
    ----------
    reference
        Another file of forecasts, scored at the same points; with --block the
        difference of the two too.
    variables
        Names, or FORECAST=TRUTH where they differ, with commas between; by default all
        that both files have.
    metrics
        Names, with commas between, such as rmse,csi,crps_fair; by default what suits.
    thresholds
        Of events, such as 1,5 or rain=1,5; may be repeated.
    windows
        Sides of the squares of the fractions skill score in grid points, such as 5,11.
    rows
        The dimension along which spectra are taken; around circles by default.
    climatology
        A file of a mean, or of means of months or days, from outside the test period.
    block
        95 % intervals from a bootstrap of blocks of that many consecutive starts.
    seed
        Of the bootstrap, and of ties in rank histograms.
    lead_unit
        The unit of lead times, where the file has none.
    truth_offset
        Added to the times of the truth, such as "12 hours".
    missing_value
        A number that stands for missing and that the files do not declare.
    """

    reference: str | None = None
    variables: str | None = None
    metrics: str | None = None
    thresholds: Annotated[list[str] | None, Parameter(negative="")] = None
    windows: str | None = None
    rows: str | None = None
    climatology: str | None = None
    block: int | None = None
    seed: int = 0
    lead_unit: str | None = None
    truth_offset: str | None = None
    missing_value: float | None = None

    def sides(self) -> list[int]:
        """The windows as numbers.

        Raises:
            InputError: they are none.
        """
        found = words(self.windows)
        if not all(word.isdecimal() for word in found):
            raise InputError(
                f"--windows is {self.windows!r}, whole numbers such as 5,11 were "
                "expected: correct it"
            )
        return [int(word) for word in found]

    def levels(self, names: list[str]) -> dict[str, list[float]]:
        """The thresholds of each variable; those without a name are of all `names`.

        Raises:
            InputError: one is no number.
        """
        found: dict[str, list[float]] = {}
        for text in self.thresholds or []:
            name, _, numbers = text.rpartition("=")
            try:
                values = [float(word) for word in words(numbers)]
            except ValueError:
                raise InputError(
                    f"--thresholds is {text!r}, numbers such as 1,5 or rain=1,5 were "
                    "expected: correct it"
                ) from None
            for each in [name.strip()] if name else names:
                found.setdefault(each, []).extend(values)
        return found


def words(text: str | None) -> list[str]:
    """What commas separate."""
    return [word.strip() for word in (text or "").split(",") if word.strip()]
