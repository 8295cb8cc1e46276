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
TURN = 0.5  # [s]
ROUNDS = 9
THREADS = 1, None  # and as many as a side likes
_THREADS = ("NPROC", *(f"{s}_NUM_THREADS" for s in ("OMP", "MKL", "OPENBLAS", "NUMBA")))


@dataclass(frozen=True)
class Peer:
    """A module of `peers`, and how many times our CPU time it was asked to take.

    One whose packages do not go with the others has an environment of its own, and is
    left out where that could not be built.
    """

    name: str
    module: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    asked: float | None = None
    environment: str = ".peers"

    @property
    def python(self) -> Path:
        """The interpreter of its environment."""
        return HERE / self.environment / "bin" / "python"

    def missing(self) -> str | None:
        """Why it cannot be compared with, if so."""
        if self.python.exists():
            return None
        return f"{self.name} left out: benchmarks/{self.environment} is not built"


@dataclass(frozen=True)
class Case:
    """What all sides do, `unit` by unit, in the setting of `arguments`."""

    name: str
    unit: str
    peers: tuple[Peer, ...]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    tolerance: float = 1e-5  # of what the sides agree on, in units of its largest
    threads: tuple[int | None, ...] = THREADS


class Turn(NamedTuple):
    """What one unit of work took [s]."""

    cpu: float
    wall: float


Turns = Sequence[Turn]  # one a round


class Side:
    """A worker, and how often it repeats its work to fill a turn."""

    def __init__(self, module: str, python: str | Path, threads: int | None):
        environment = dict(os.environ, JAX_PLATFORMS="cpu")
        if threads is not None:
            for name in _THREADS:
                environment[name] = str(threads)
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
        """What the worker answers once it is ready to work."""
        answer = self._ask({"prepare": arguments})
        self.work = answer.get("work", 1)
        return answer

    def warm_up(self) -> None:
        """Find the repetitions that fill a turn."""
        self._ask({"run": 1})
        while (took := self._ask({"run": self.times})["wall"]) < TURN / 2:
            self.times *= math.ceil(min(10, TURN / took))

    def turn(self) -> Turn:
        """Work, by the clock."""
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


def measure(module: str, case: Case) -> list[dict[str, Any]]:
    """A row for each peer."""
    with contextlib.ExitStack() as stack:

        def prepared(*of: Any, **arguments: Any) -> tuple[Side, dict[str, Any]]:
            side = stack.enter_context(contextlib.closing(Side(*of)))
            return side, side.prepare(**case.arguments, **arguments)

        ours, answers = zip(
            *(prepared(module, sys.executable, threads) for threads in case.threads),
            strict=True,
        )
        theirs, differences = [], []
        peers = [peer for peer in case.peers if not peer.missing()]
        for peer in peers:
            arguments = {"problem": answers[0].get("problem"), **peer.arguments}
            for threads in case.threads:
                of = f"benchmarks.peers.{peer.module}", peer.python, threads
                side, answer = prepared(*of, **arguments)
                theirs.append(side)
                differences.append(apart(answers[0]["agreed"], answer["agreed"]))
                if not differences[-1] <= case.tolerance:
                    raise RuntimeError(
                        f"{case.name}: {peer.name} differs from ours by "
                        f"{differences[-1]:.1e}, at most {case.tolerance:.0e} expected"
                    )
        sides = [*ours, *theirs]
        for side in sides:
            side.warm_up()
        rounds = [[side.turn() for side in sides] for _ in range(ROUNDS)]
    turns = list(zip(*rounds, strict=True))
    n = len(case.threads)
    return [
        {
            "case": case.name,
            "unit": case.unit,
            "peer": peer.name,
            "difference": max(differences[n * i : n * (i + 1)]),
            "asked": peer.asked,
            **compared(turns[:n], turns[n * (i + 1) : n * (i + 2)], case.threads),
        }
        for i, peer in enumerate(peers)
    ]


def compared(
    ours: Sequence[Turns],
    theirs: Sequence[Turns],
    threads: Sequence[int | None] = THREADS,
) -> dict[str, Any]:
    """How many times our CPU time theirs is, by the `threads` of both.

    "best" compares each side with the number of threads that costs it least, which is
    what is asked about; "default" is what one gets without asking for a number.
    """
    best = min(ours, key=_cpu), min(theirs, key=_cpu)
    return {
        "best": _ratio(*best),
        "threads": [threads[ours.index(best[0])], threads[theirs.index(best[1])]],
        "default": _ratio(ours[-1], theirs[-1]),
    }


def _ratio(ours: Turns, theirs: Turns) -> dict[str, float]:
    pairs = list(zip(ours, theirs, strict=True))
    ratios = [b.cpu / a.cpu for a, b in pairs]
    return {
        "ours": _cpu(ours),
        "theirs": _cpu(theirs),
        "ratio": statistics.median(ratios),
        "least": min(ratios),
        "most": max(ratios),
        "wall": statistics.median(b.wall / a.wall for a, b in pairs),
    }


def _cpu(turns: Turns) -> float:
    return statistics.median(turn.cpu for turn in turns)


def apart(ours: Any, theirs: Any) -> float:
    """The largest difference over our largest number; infinite if integers differ."""
    if isinstance(ours, dict):
        if ours.keys() != theirs.keys():
            return math.inf
        return max(apart(ours[name], theirs[name]) for name in ours)
    a, b = list(_numbers(ours)), list(_numbers(theirs))
    if a == b:
        return 0.0
    largest = max(map(abs, a), default=0)
    if len(a) != len(b) or largest == 0 or all(isinstance(x, int) for x in a):
        return math.inf
    differences = [abs(x - y) / largest for x, y in zip(a, b, strict=True)]
    return max(math.inf if math.isnan(d) else d for d in differences)


def _numbers(nested: Any) -> Iterator[float]:
    if isinstance(nested, list):
        for part in nested:
            yield from _numbers(part)
    else:
        yield nested
