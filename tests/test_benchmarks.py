"""The arithmetic of the benchmarks; nothing here is timed."""

import importlib
import math
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
measure = importlib.import_module("benchmarks.measure")
program = importlib.import_module("benchmarks.__main__")
tables = importlib.import_module("benchmarks.tables")
Turn = measure.Turn


def test_the_difference_is_in_units_of_the_largest_number():
    ours = {"loss": 2.0, "slope": [[4.0, 0.0], [1.0, 0.0]]}
    theirs = {"loss": 2.0, "slope": [[4.0, 0.0], [1.0, 1e-3]]}
    assert measure.apart(ours, theirs) == pytest.approx(1e-3 / 4)
    assert measure.apart(ours, ours) == 0


@pytest.mark.parametrize(
    "theirs",
    [{"other": [1.0, 2.0]}, {"found": [1.0]}, {"found": [1.0, math.nan]}],
)
def test_what_cannot_be_compared_differs_without_bound(theirs):
    assert measure.apart({"found": [1.0, 2.0]}, theirs) == math.inf


def test_integers_are_equal_or_not():
    assert measure.apart({"found": [1, 2000]}, {"found": [1, 2001]}) == math.inf
    assert measure.apart({"found": [1, 2000]}, {"found": [1, 2000]}) == 0


def test_zeros_that_agree():
    assert measure.apart([0.0, 0.0], [0.0, 0.0]) == 0
    assert measure.apart([0.0, 0.0], [0.0, 1.0]) == math.inf


def test_each_side_is_compared_at_its_cheapest_number_of_threads():
    """Ours costs least with its own choice, theirs with one thread."""
    ours = [[Turn(2.0, 2.0)] * 3, [Turn(1.0, 1.0), Turn(1.0, 1.0), Turn(3.0, 3.0)]]
    theirs = [[Turn(4.0, 4.0), Turn(6.0, 6.0), Turn(9.0, 9.0)], [Turn(12.0, 6.0)] * 3]
    row = measure.compared(ours, theirs)
    assert row["threads"] == [None, 1]
    best = row["best"]
    assert (best["ours"], best["theirs"]) == (1, 6)
    assert (best["least"], best["ratio"], best["most"]) == (3, 4, 6)
    assert (row["default"]["ratio"], row["default"]["wall"]) == (12, 6)


def test_tables():
    assert [tables.seconds(x) for x in (2.0, 0.0123, 4.5e-5, 2.6e-7)] == [
        "2 s",
        "12.3 ms",
        "45 µs",
        "260 ns",
    ]
    ratio = {"ours": 1e-4, "theirs": 2e-3, "ratio": 19.6, "least": 18, "most": 25}
    row = {"case": "a", "unit": "step", "peer": "b", "asked": 20}
    row |= {"best": ratio, "default": {"ratio": 3.14, "wall": 2}}
    assert tables.ratios([row]).splitlines()[2].split(" | ")[2:] == [
        "100 µs a step",
        "2 ms  ",
        "20 (18 to 25)            ",
        "3.1            ",
        "2   ",
        "≥ 20 ",
        "no      |",
    ]


def test_a_peer_without_its_environment_is_left_out_with_the_reason(tmp_path):
    peer = measure.Peer("other", "module", environment=str(tmp_path))
    assert peer.missing() == f"other left out: benchmarks/{tmp_path} is not built"
    peer.python.parent.mkdir()
    peer.python.touch()
    assert peer.missing() is None


def test_one_case_is_chosen_by_a_part_of_its_name():
    cases = [measure.Case(name, "step", ()) for name in ("flow", "flow, 64", "heat")]
    assert [c.name for c in program.holding(cases, "flow")] == ["flow", "flow, 64"]
    assert program.holding(cases, "") == cases


def test_the_program_knows_every_result_that_is_kept():
    kept = program.results(program.RESULTS)
    assert kept.keys() <= {*program.RATIOS, *program.OTHERS}
    assert all({"machine", "rows"} == result.keys() for result in kept.values())
    assert program.results(Path("nowhere.json")) == {}


def test_the_largest_program_is_judged_by_its_time_to_compile():
    row = {"system": "a", "operations": 9, "generate": 0.5, "wall": 30.0, "cpu": 9.0}
    lines = tables.compilations([{**row, "asked": 10.0}, {**row, "asked": None}])
    first, second = (line.split(" | ") for line in lines.splitlines()[2:])
    assert [cell.strip(" |") for cell in first[3:]] == ["30 s", "9 s", "< 10 s", "yes"]
    assert [cell.strip(" |") for cell in second[5:]] == ["", ""]


def test_sizes_of_memory():
    rows = [{"what": "a", "estimate": 84_400_000, "compiled": 3_400_000_000}]
    assert tables.estimates(rows).splitlines()[2] == "| a    | 84.4 MB  | 3.4 GB   |"


def test_the_power_with_which_cost_grows():
    def row(side):
        points = side**2
        rates = {"moved": 5e9, "near": 4e10, "memory": 2e10}
        return {"side": side, "points": points, "step": 1e-9 * points**1.5, **rates}

    table = tables.scaling([row(side) for side in (64, 128, 256)])
    assert "power 1.50" in table
    assert "25 %" in table.splitlines()[2]
