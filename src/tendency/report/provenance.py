"""Floor 5, report: what has to be known to make a result again."""

import os
import platform
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Self

_PACKAGES = ("tendency", "jax", "equinox", "optax", "numpy", "xarray")


@dataclass(frozen=True)
class Provenance:
    """Command, versions, seed, hardware, wall time and date of a run."""

    command: str
    versions: Mapping[str, str]
    seed: int | None
    hardware: str
    device: str
    wall_seconds: float  # [s]
    date: str
    more: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def here(
        cls,
        *,
        seed: int | None,
        wall_seconds: float,
        command: str | Sequence[str] | None = None,
        more: Mapping[str, str] | None = None,
    ) -> Self:
        """What is known of this process; `command` is this one's where not given.

        `more` are further facts by name (data files and their checksums, settings).
        """
        if command is None:
            command = [Path(sys.argv[0]).name, *sys.argv[1:]]
        if not isinstance(command, str):
            command = shlex.join(command)
        now = datetime.now().astimezone()
        return cls(
            command=command,
            versions=versions(),
            seed=seed,
            hardware=hardware(),
            device=device(),
            wall_seconds=float(wall_seconds),
            date=f"{now.day} {now:%B %Y, %H:%M %Z}",
            more=dict(more or {}),
        )


def versions() -> dict[str, str]:
    """The versions of Python and of the packages that decide the numbers."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found | {"Python": platform.python_version()}


def hardware() -> str:
    """Processor and cores that this process may use, memory, operating system."""
    cores = (
        len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count() or 1
    )
    parts = [_processor(), f"{cores} core{'s' if cores > 1 else ''}"]
    try:
        gibibytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
        parts.append(f"{gibibytes:.0f} GiB")
    except (AttributeError, ValueError, OSError):
        pass
    return ", ".join([*parts, f"{platform.system()} {platform.machine()}"])


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return " ".join(line.partition(":")[2].split())
    except OSError:
        pass
    return platform.processor() or "unknown processor"


def device() -> str:
    """The device that JAX computes on, and its default precision."""
    import jax

    devices = jax.devices()
    precision = jax.numpy.result_type(float).name
    kind = devices[0].device_kind
    return f"{len(devices)} × {kind} ({devices[0].platform}), {precision}"
