"""`python -m benchmarks [NAME ...]`: a table of those named, or of all."""

import argparse
import importlib
import json


from benchmarks.measure import HERE, Case, measure

RATIOS = ("training", "rollout", "recurrent", "analogs", "sparse")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("names", nargs="*", choices=[*RATIOS, "startup"], metavar="NAME")
    names = parser.parse_args().names
    rows = []
    for name in names or RATIOS:
        module = f"benchmarks.{name}"
        cases: tuple[Case, ...] = importlib.import_module(module).CASES
        for case in cases:
            print(case.name, flush=True)
            rows += measure(module, case)
            for r in rows[-len(case.peers) * 2 :]:
                print("  ", json.dumps({k: v for k, v in r.items() if k not in ("case", "unit")}))


if __name__ == "__main__":
    main()
