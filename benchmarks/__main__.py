"""`python -m benchmarks [NAME ...]`: the tables of those named, or of all.

`results.json` holds the last whole run of each, with its hardware and versions;
`--only TEXT` runs the cases with that in their names alone, and writes nothing.
"""

import argparse
import importlib
import json
import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import costs, equality, estimates, limits, loading, startup, tables
from benchmarks.measure import HERE, Case, Peer, measure

RATIOS = ("training", "rollout", "recurrent", "analogs", "sparse", "generated")
RATIOS += ("assimilation", "convolutional", "attention")
OTHERS = {
    "startup": (startup.measure, tables.starts),
    "compilation": (costs.compilations, tables.compilations),
    "scaling": (costs.scaling, tables.scaling),
    "limits": (limits.measure, tables.limits),
    "equality": (equality.measure, tables.equalities),
    "loading": (loading.measure, tables.loading),
    "estimates": (estimates.measure, tables.estimates),
}
RESULTS = HERE / "results.json"
_OURS = ("tendency", "jax", "jaxlib", "equinox", "numpy")
_PEERS = {
    ".peers": (
        *("torch", "torchdiffeq", "scikit-learn", "pysindy", "numpy"),
        *("py-pde", "numba", "pyqg-jax"),
    ),
    ".keras": ("pdenetgen", "tensorflow-cpu"),
    ".pyqg": ("pyqg",),
    ".dapper": ("dapper",),
    ".cuthbert": ("cuthbert",),
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    names = (*RATIOS, *OTHERS)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(names))
    parser.add_argument("--only", metavar="TEXT", default="", help="part of a case")
    given = parser.parse_args()
    chosen = given.names or list(names)
    if unknown := sorted(set(chosen) - set(names)):
        parser.error(f"{', '.join(unknown)} asked for, expected {', '.join(names)}")
    machine = about()
    print(tables.heading(machine))
    for name in chosen:
        if name in OTHERS:
            _say(name)
            work, table = OTHERS[name]
            rows = work()
        else:
            rows, table = _compared(f"benchmarks.{name}", given.only), tables.ratios
        if rows:
            print(table(rows), flush=True)
        if not given.only:
            kept = {**results(RESULTS), name: {"machine": machine, "rows": rows}}
            RESULTS.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")


def results(path: Path) -> dict[str, Any]:
    """By name: the machine and the rows of its last whole run."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def holding(cases: Sequence[Case], text: str) -> list[Case]:
    """Those with the text in their names."""
    return [case for case in cases if text in case.name]


def _compared(module: str, only: str) -> list[dict[str, Any]]:
    rows = []
    for case in holding(importlib.import_module(module).CASES, only):
        _say(case.name)
        for reason in filter(None, (peer.missing() for peer in case.peers)):
            _say(reason)
        rows += measure(module, case)
    return rows


def about() -> dict[str, Any]:
    """The processor and the versions."""
    processor = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    cores = None
    if information.exists():
        lines = information.read_text().splitlines()
        models = [x.split(":")[1].strip() for x in lines if x.startswith("model name")]
        processor, cores = models[0] if models else processor, len(models) or None
    return {
        "processor": processor,
        "cores": cores,
        "python": platform.python_version(),
        "ours": _versions(sys.executable, _OURS),
        "peers": {
            name: number
            for environment, packages in _PEERS.items()
            if (python := Peer("", "", environment=environment).python).exists()
            for name, number in _versions(python, packages).items()
        },
    }


def _versions(python: str | Path, packages: tuple[str, ...]) -> dict[str, str]:
    code = "import json, sys; from importlib.metadata import version"
    code += "; print(json.dumps({name: version(name) for name in sys.argv[1:]}))"
    command = [python, "-c", code, *packages]
    return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)


def _say(what: str) -> None:
    print(f"{what} ...", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
