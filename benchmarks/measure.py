"""Sides take turns, and their CPU times are compared.

A `Case` is one setting of a benchmark, a `Peer` what ours is compared with there. Each
side is a `worker`, prepared once and kept, so that nothing is compiled or imported
while the clock runs. Sides must agree on what they compute before any is timed; then
each has a turn in every round, of about `TURN` seconds, and each round gives a ratio.
Whatever else the machine does slows all sides of a round alike.
"""

import contextlib
import json
import math
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent
PYTHON = HERE / ".peers" / "bin" / "python"
TURN = 0.5  # [s]
ROUNDS = 9


@dataclass(frozen=True)
class Peer:
    """A module of `peers`, and how many times our CPU time it was asked to take."""

    name: str
    module: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    asked: float | None = None
    threads: tuple[int | None, ...] = (1, None)  # None: as many as it likes


@dataclass(frozen=True)
class Case:
    """What all sides do, `unit` by unit, in the setting of `arguments`."""

    name: str
    unit: str
    peers: tuple[Peer, ...]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    tolerance: float = 1e-5  # of what the sides agree on, in units of its largest


class Turn(NamedTuple):
    """What one unit of work took [s]."""

    cpu: float
    wall: float


class Side:
    """A worker, and how often it repeats its work to fill a turn."""

    def __init__(self, module: str, python: str | Path, threads: int | None):
        environment = dict(os.environ, JAX_PLATFORMS="cpu")
        if threads is not None:
            for library in ("OMP", "MKL", "OPENBLAS"):
                environment[f"{library}_NUM_THREADS"] = str(threads)
        self.module, self.times, self.work = module, 1, 1
        self._process = subprocess.Popen(
            [python, "-m", "benchmarks.worker", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            cwd=HERE.parent,
            env=environment,
        )

    def prepare(self, **arguments: Any) -> dict[str, Any]:
        """Ready to work; then warm, with the repetitions that fill a turn."""
        answer = self._ask({"prepare": arguments})
        self.work = answer.get("work", 1)
        return answer

    def warm_up(self) -> None:
        self._ask({"run": 1})
        while (took := self._ask({"run": self.times})["wall"]) < TURN / 2:
            self.times *= math.ceil(min(10, TURN / took))

    def turn(self) -> Turn:
        took = self._ask({"run": self.times})
        units = self.times * self.work
        return Turn(took["cpu"] / units, took["wall"] / units)

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        line = self._process.stdout.readline()
        answer = json.loads(line) if line else {"error": "the process ended"}
        if "error" in answer:
            raise RuntimeError(f"{self.module}: {answer['error']}")
        return answer


def measure(module: str, case: Case, rounds: int = ROUNDS) -> list[dict[str, Any]]:
    """A row for each peer and number of threads."""
    with contextlib.ExitStack() as stack:

        def started(*of: Any) -> Side:
            return stack.enter_context(contextlib.closing(Side(*of)))

        ours = started(module, sys.executable, None)
        answer = ours.prepare(**case.arguments)
        rivals = []
        for peer, threads in _variants(case.peers):
            side = started(f"benchmarks.peers.{peer.module}", PYTHON, threads)
            arguments = {**case.arguments, **peer.arguments}
            theirs = side.prepare(problem=answer.get("problem"), **arguments)
            difference = apart(answer["agreed"], theirs["agreed"])
            if not difference <= case.tolerance:
                raise RuntimeError(
                    f"{case.name}: {peer.name} differs from ours by {difference:.1e}, "
                    f"at most {case.tolerance:.0e} was expected"
                )
            rivals.append((peer, threads, side, difference))
        sides = [ours, *(side for _, _, side, _ in rivals)]
        for side in sides:
            side.warm_up()
        turns = list(zip(*([side.turn() for side in sides] for _ in range(rounds))))
    return [
        {
            "case": case.name,
            "unit": case.unit,
            "peer": peer.name,
            "threads": threads,
            "difference": difference,
            "asked": peer.asked,
            **compared(turns[0], theirs),
        }
        for (peer, threads, _, difference), theirs in zip(
            rivals, turns[1:], strict=True
        )
    ]


def _variants(peers: Sequence[Peer]) -> Iterator[tuple[Peer, int | None]]:
    for peer in peers:
        for threads in peer.threads:
            yield peer, threads


def compared(ours: Sequence[Turn], theirs: Sequence[Turn]) -> dict[str, Any]:
    """Medians over the rounds, and how many times ours theirs took."""
    pairs = list(zip(ours, theirs, strict=True))
    ratios = sorted(b.cpu / a.cpu for a, b in pairs)
    return {
        "ours": statistics.median(turn.cpu for turn in ours),
        "theirs": statistics.median(turn.cpu for turn in theirs),
        "ratio": statistics.median(ratios),
        "least": ratios[0],
        "most": ratios[-1],
        "wall": statistics.median(b.wall / a.wall for a, b in pairs),
    }


def apart(ours: Any, theirs: Any) -> float:
    """The largest difference over the largest of our numbers; infinite for integers."""
    if isinstance(ours, dict):
        if ours.keys() != theirs.keys():
            return math.inf
        return max(apart(ours[name], theirs[name]) for name in ours)
    a, b = list(_numbers(ours)), list(_numbers(theirs))
    if len(a) != len(b):
        return math.inf
    if all(isinstance(number, int) for number in a):
        return 0.0 if a == b else math.inf
    largest = max(abs(x) for x in a)
    differences = [abs(x - y) / largest for x, y in zip(a, b, strict=True)]
    return max(math.inf if math.isnan(d) else d for d in differences)


def _numbers(nested: Any) -> Iterator[float]:
    if isinstance(nested, list):
        for part in nested:
            yield from _numbers(part)
    else:
        yield nested


def best_variants(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of each peer the row with the number of threads that cost it least."""
    least: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        name = row["case"], row["peer"]
        if name not in least or row["theirs"] < least[name]["theirs"]:
            least[name] = row
    return list(least.values())
