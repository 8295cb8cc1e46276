"""What the shape of the project promises: small files, honest names, no hidden code."""

import ast
import importlib
import subprocess
import sys
import tomllib

from conftest import ROOT

SOURCES = sorted((ROOT / "src" / "tendency").rglob("*.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))[
    "project"
]

EXECUTES_WHAT_IT_READS = {
    "pickle",
    "marshal",
    "shelve",
    "dill",
    "cloudpickle",
    "joblib",
}
EXECUTES = {"eval", "exec", "compile", "__import__"}
MODULE_OF = {
    "cf-xarray": "cf_xarray",
    "netcdf4": "netCDF4",
    "vl-convert-python": "vl_convert",
}
USED_BY_XARRAY = {"netCDF4", "zarr", "cftime", "pint"}  # engines, and units


def name(path):
    return str(path.relative_to(ROOT / "src"))


def imported(tree: ast.AST) -> set[str]:
    """The top-level packages that a module imports, at its head or within."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.split(".")[0])
    return found


def tree_of(path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def test_a_file_is_one_room():
    sizes = {name(p): len(p.read_text("utf-8").splitlines()) for p in SOURCES}
    assert {path: size for path, size in sizes.items() if size > 400} == {}


def test_nothing_read_is_ever_executed():
    for path in SOURCES:
        tree = tree_of(path)
        assert imported(tree).isdisjoint(EXECUTES_WHAT_IT_READS), name(path)
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in EXECUTES, f"{name(path)}:{node.lineno}"
            if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
                assert getattr(node.value, "value", None) is False, name(path)


def test_what_is_imported_is_declared_and_what_is_declared_is_used():
    declared = {
        requirement.partition(">=")[0].partition("[")[0].strip()
        for requirement in PROJECT["dependencies"]
    }
    declared = {MODULE_OF.get(d, d) for d in declared}
    used = set().union(*(imported(tree_of(path)) for path in SOURCES))
    used -= set(sys.stdlib_module_names) | {"tendency"}
    assert used - declared == set(), "imported, and not a dependency"
    assert declared - used - USED_BY_XARRAY == set(), "a dependency, and not imported"


def test_the_package_imports_without_its_border():
    """Plots and datasets are loaded where they are used: `import tendency` is quick."""
    heavy = ["altair", "matplotlib", "netCDF4", "pandas", "scores", "xarray", "zarr"]
    program = f"import sys, tendency; print(*(set({heavy}) & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


def test_public_names_are_what_a_type_checker_sees():
    import tendency

    source = ROOT / "src" / "tendency" / "__init__.py"
    (checked,) = (node for node in tree_of(source).body if isinstance(node, ast.If))
    seen = {
        alias.name: node.module
        for node in checked.body
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    }
    assert set(tendency.__all__) == set(seen) | {"__version__"} == set(dir(tendency))
    for public, module in seen.items():
        here = getattr(importlib.import_module(module), public)
        assert getattr(tendency, public) is here


def test_every_room_has_a_page_in_the_api():
    pages = "".join(p.read_text("utf-8") for p in (ROOT / "docs" / "api").glob("*.md"))
    inner = {"studies", "jobs", "equations", "configuration", "report", "cli"}
    rooms = {p.relative_to(ROOT / "src" / "tendency").parts[0] for p in SOURCES}
    rooms = {room.removesuffix(".py") for room in rooms} - {"__init__", "__main__"}
    assert [
        r for r in sorted(rooms - inner) if f"::: tendency.{r}\n" not in pages
    ] == []


def test_one_version():
    import tendency

    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {tendency.__version__}\n" in citation
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "\n## Unreleased\n" in changelog
