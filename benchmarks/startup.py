"""How long commands take to start, and what the kept programs spare a second run."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

REPEATED = 7
BIN = Path(sys.executable).parent
NAMES = "from tendency import *; import tendency.networks, tendency.statistical"
STARTS = (
    ("tendency --help", [BIN / "tendency", "--help"], 0.5),
    ("import tendency", [sys.executable, "-c", "import tendency"], 1.5),
    ("import tendency, and all its names", [sys.executable, "-c", NAMES], 1.5),
)


def measure() -> list[dict[str, Any]]:
    """A row for each command; a study's first run and its second."""
    rows = []
    for name, command, asked in STARTS:
        _took(command, os.environ)  # the files are read into memory
        times = [_took(command, os.environ) for _ in range(REPEATED)]
        rows.append(_row(name, times, asked))
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        command = [BIN / "tendency", "run", "lorenz63", "--small", "--overwrite"]
        command += ["--out", out]
        environment = {**os.environ, "XDG_CACHE_HOME": str(Path(folder) / "cache")}
        environment.pop("JAX_COMPILATION_CACHE_DIR", None)
        first = _took(command, environment)
        later = [_took(command, environment) for _ in range(3)]
    rows.append(_row("tendency run lorenz63 --small, first run", [first], 40))
    rows.append(_row("the same, later runs", later, None))
    return rows


def _row(name: str, times: list[tuple[float, float]], asked: float | None) -> Any:
    cpu, wall = zip(*times, strict=True)
    return {
        "command": name,
        "wall": statistics.median(wall),
        "least": min(wall),
        "most": max(wall),
        "cpu": statistics.median(cpu),
        "asked": asked,
    }


def _took(command: Any, environment: Any) -> tuple[float, float]:
    """CPU and wall time [s] of a command and what it starts."""
    began, before = time.perf_counter(), os.times()
    subprocess.run(command, check=True, capture_output=True, env=environment)
    after = os.times()
    cpu = after.children_user - before.children_user
    cpu += after.children_system - before.children_system
    return cpu, time.perf_counter() - began
