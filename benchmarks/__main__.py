"""`python -m benchmarks [NAME ...]`: the tables of those named, or of all.

After all of them `results.json` is written, with hardware and versions.
"""

import argparse
import importlib
import json
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks import startup, tables
from benchmarks.measure import HERE, Peer, measure

RATIOS = ("training", "rollout", "recurrent", "analogs", "sparse", "generated")
_OURS = ("tendency", "jax", "jaxlib", "equinox", "numpy")
_PEERS = {
    ".peers": (
        *("torch", "torchdiffeq", "scikit-learn", "pysindy", "numpy"),
        *("py-pde", "numba", "pyqg-jax"),
    ),
    ".keras": ("pdenetgen", "tensorflow-cpu"),
    ".pyqg": ("pyqg",),
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    names = (*RATIOS, "startup")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(names))
    chosen = parser.parse_args().names or list(names)
    if unknown := sorted(set(chosen) - set(names)):
        parser.error(f"{', '.join(unknown)} asked for, expected {', '.join(names)}")
    ratios, starts = [], []
    for name in chosen:
        if name == "startup":
            _say("start-up")
            starts = startup.measure()
            continue
        module = f"benchmarks.{name}"
        for case in importlib.import_module(module).CASES:
            _say(case.name)
            for reason in filter(None, (peer.missing() for peer in case.peers)):
                _say(reason)
            ratios += measure(module, case)
    machine = about()
    print(tables.heading(machine))
    print(tables.ratios(ratios) if ratios else "")
    print(tables.starts(starts) if starts else "")
    if set(chosen) == set(names):
        results = {"machine": machine, "ratios": ratios, "starts": starts}
        text = json.dumps(results, indent=2) + "\n"
        (HERE / "results.json").write_text(text, encoding="utf-8")


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
