"""One side of a benchmark in its own process: `python -m benchmarks.worker MODULE`.

It reads JSON lines and answers each with one. `{"prepare": {...}}` calls
`MODULE.prepare(**...)`, which returns what the sides must agree on and a function that
does the work so many times; `{"run": n}` calls that and answers with the CPU time
(user and system, all threads) and the wall time. Standard library only: it runs in the
environment of the peers too.
"""

import importlib
import json
import os
import sys
import time
import traceback
from typing import Any


def main(module: str) -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print is no answer
    run = None
    for line in sys.stdin:
        request = json.loads(line)
        cpu, wall = time.process_time(), time.perf_counter()
        try:
            if "prepare" in request:
                side = importlib.import_module(module)
                answer, run = side.prepare(**request["prepare"])
            else:
                assert run is not None
                run(request["run"])
                answer = {}
        except Exception as error:
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}"}
        timed: dict[str, Any] = dict(answer)
        timed["cpu"] = time.process_time() - cpu
        timed["wall"] = time.perf_counter() - wall
        answers.write(json.dumps(timed) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
