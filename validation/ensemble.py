"""A real ensemble verified, and its spread calibrated on one half for the other.

    python validation/ensemble.py FOLDER

FOLDER holds the reforecasts of RMM1 by GEOS-S2S, geos_s2s_rmm1_reforecast_1999_2015.nc
(510 starts, 4 members, 45 days), and rmm_observed_daily_1974_2017.nc. The first table
is what `tendency score` gives, with 95 % intervals in blocks of 12 starts (60 days),
beside the numbers known beforehand. The second fits EMOS to the starts until 2003 and
split-conformal intervals of 90 % to those of 2004 to 2007, and judges both on those
after. The run ends with code
1 where a known number is missed by more than 0.01, or calibration does not help.
"""

import argparse
import sys
from pathlib import Path

from tendency.cli import configure, say

configure()

import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
import xarray as xr  # noqa: E402

from tendency.jobs.verification.opened import open_forecasts, open_truth  # noqa: E402
from tendency.jobs.verification.options import Options  # noqa: E402
from tendency.jobs.verification.run import scored  # noqa: E402
from tendency.jobs.verification.times import indices  # noqa: E402
from tendency.statistical import emos, gaussian_crps, split_conformal  # noqa: E402

FORECAST = "geos_s2s_rmm1_reforecast_1999_2015.nc"
TRUTH = "rmm_observed_daily_1974_2017.nc"
KNOWN = {"crps_fair": {9.5: 0.48, 19.5: 0.56}, "spread_skill": {9.5: 0.32, 19.5: 0.61}}
OFFSET = "12 hours"  # days of the record are named by their start, leads by the middle
LEVEL = 0.9


def verified(forecast: str, truth: str) -> bool:
    """Print the known scores beside ours; whether they agree."""
    options = Options(
        metrics=",".join(KNOWN), variables="RMM1=rmm1", block=12, truth_offset=OFFSET
    )
    agree = True
    say("score         lead [d]   ours   known   95 % interval")
    for score in scored(forecast, truth, options).scores:
        known = KNOWN[score.metric].get(score.lead or 0.0)
        if known is None or score.interval is None:
            continue
        low, high = score.interval
        say(
            f"{score.metric:13} {score.lead:8} {score.value:7.3f} {known:6.2f}"
            f"    {low:.3f} to {high:.3f}"
        )
        agree &= abs(score.value - known) < 0.01
    return agree


def calibrated(forecast: str, truth: str) -> bool:
    """Print what calibration gives on starts that it has not seen."""
    told, seen = open_forecasts(forecast), open_truth(truth)
    members = told.dataset["RMM1"].transpose("init_time", "lead_time", "member")
    index = indices(told, seen, OFFSET)
    y = seen.dataset["rmm1"].values[index]
    x = members.values.astype(np.float64)
    year = xr.DataArray(told.dataset["init_time"]).dt.year.values
    fit, held, late = year <= 2003, (year > 2003) & (year <= 2007), year > 2007
    model = emos(x[fit], y[fit])
    mean, std = (np.asarray(v) for v in model(jnp.asarray(x)))
    conformal = split_conformal(mean[held], y[held], std[held], level=LEVEL)
    low, high = (np.asarray(v) for v in conformal(jnp.asarray(mean), jnp.asarray(std)))
    raw = x.mean(-1), x.std(-1, ddof=1)
    half = 1.6449  # of a standard deviation: 90 % of a normal distribution
    leads = told.dataset["lead_time"].values
    say(f"\n{late.sum()} starts after 2007, Gaussian CRPS and coverage of {LEVEL:.0%}")
    say("lead [d]   raw CRPS   EMOS CRPS   raw cover   EMOS cover   conformal")
    better = True
    for i in (0, 9, 19, 29, 44):
        one = y[late, i]
        crps = [
            gaussian_crps(m[late, i], s[late, i], one).mean()
            for m, s in (raw, (mean, std))
        ]
        cover = [
            (np.abs(one - m[late, i]) <= half * s[late, i]).mean()
            for m, s in (raw, (mean, std))
        ]
        inside = ((low[late, i] <= one) & (one <= high[late, i])).mean()
        say(
            f"{leads[i]:8} {crps[0]:10.3f} {crps[1]:11.3f} {cover[0]:11.2f} "
            f"{cover[1]:12.2f} {inside:11.2f}"
        )
        better &= bool(crps[1] < crps[0])
    return better


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("data", type=Path)
    folder = parser.parse_args().data
    paths = str(folder / FORECAST), str(folder / TRUTH)
    results = [verified(*paths), calibrated(*paths)]
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()
