"""The rules that every test runs under: float64, strict promotion, checked shapes.

JAX runs on the CPU in float64; mixing dtypes or ranks by accident is an error, and so
is any warning (pyproject.toml). XLA leaves out most of its optimisations, since nearly
all of a test's time is compilation. The shapes and dtypes annotated in `tendency` are
checked at every call. Compiled programs are kept in `.cache/jax` at the top of the
repository, one folder a worker, so that a second run is quicker; delete it at will.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Self, get_args

# These two alone halve the time of compilation.
_quick = "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
_flags = f"{os.environ.get('XLA_FLAGS', '')} {_quick}"
if "PYTEST_XDIST_WORKER" in os.environ:  # workers share the cores: one thread each
    _flags += " --xla_cpu_multi_thread_eigen=false"
    os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["XLA_FLAGS"] = _flags.strip()
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
os.environ.setdefault("MPLBACKEND", "agg")

import hypothesis  # noqa: E402
import jax  # noqa: E402
import pytest  # noqa: E402
from beartype import BeartypeConf, beartype  # noqa: E402
from jaxtyping import install_import_hook  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

# JAX writes an entry of its cache in place, so that workers must not share a folder.
_worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
jax.config.update("jax_compilation_cache_dir", str(ROOT / ".cache" / "jax" / _worker))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)

AS_PYTHON_COUNTS = BeartypeConf(is_pep484_tower=True)  # an int is a float


def checked(function: Callable) -> Callable:
    """`beartype`, which cannot resolve `Self` outside the class and must not see it."""
    hints = getattr(function, "__annotations__", {})
    known = {k: v for k, v in hints.items() if Self not in (v, *get_args(v))}
    if len(known) < len(hints):
        function.__annotations__ = known
    return beartype(conf=AS_PYTHON_COUNTS)(function)


install_import_hook("tendency", "conftest.checked")

hypothesis.settings.register_profile(
    "tendency", max_examples=25, deadline=None, derandomize=True
)
hypothesis.settings.load_profile("tendency")


# A compiled program takes memory mappings, of which Linux lets a process have 65,530:
# beyond that XLA dies while it compiles.
_MAPPINGS = 40_000
_tests = 0


@pytest.fixture(autouse=True)
def _few_mappings():
    """Let compiled programs go before there are too many."""
    global _tests
    yield
    _tests += 1
    maps = Path("/proc/self/maps")
    if _tests % 5 == 0 and maps.exists():
        with maps.open("rb") as lines:
            many = sum(1 for _ in lines) > _MAPPINGS
        if many:
            jax.clear_caches()


@pytest.fixture
def key() -> jax.Array:
    """A random key, always the same."""
    return jax.random.key(0)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data files, which the repository does not ship.

    `TENDENCY_DATA` names it, else `../shared/data` beside the checkout is tried.
    """
    folder = Path(os.environ.get("TENDENCY_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data in {folder}: set TENDENCY_DATA to their folder")
    return folder
