"""Diagnostic and elliptic fields in a file of equations, to its output and its page."""

import numpy as np
import pytest
import xarray as xr

from tendency.cli import main
from tendency.equations.build import build
from tendency.equations.config import dump_equations, parse_equations
from tendency.equations.integration import integrate
from tendency.errors import InputError

CHANNEL = {
    "system": {
        "name": "channel",
        "coordinates": ["x", "y"],
        "equations": [
            "d_t q = -J_xy(psi, q) + F*d_x psi",
            "d_xx psi + d_yy psi = q",
            "u = -d_y psi",
        ],
        "unknown": ["psi"],
    },
    "fields": {
        "q": {
            "initial": "sin(2*pi*x)*sin(pi*y)",
            "boundary": {"y": {"dirichlet": 0}},
            "units": "s-1",
        }
    },
    "diagnostics": {
        "psi": {"boundary": {"y": {"dirichlet": 0}}, "units": "m2 s-1"},
        "u": {"units": "m s-1"},
    },
    "forcings": {"F": {"values": "cos(t)"}},
    "axes": {
        "x": {"points": 16, "units": "m"},
        "y": {"points": 12, "periodic": False, "units": "m"},
    },
    "time": {"dt": 0.01, "steps": 6, "every": 2},
}


def changed(**tables):
    return {**CHANNEL, **tables}


def test_they_are_those_of_every_saved_state():
    built = build(parse_equations(CHANNEL))
    ran = integrate(built)
    assert list(ran.states) == ["q", "psi", "u"]
    psi = np.pad(ran.states["psi"], [(0, 0), (0, 0), (1, 1)], mode="symmetric")
    psi[:, :, [0, -1]] *= -1
    hx, hy = 1 / 16, 1 / 12
    inner = psi[:, :, 1:-1]
    along = np.roll(inner, 1, 1) + np.roll(inner, -1, 1) - 2 * inner
    across = psi[:, :, 2:] + psi[:, :, :-2] - 2 * inner
    np.testing.assert_allclose(
        along / hx**2 + across / hy**2, ran.states["q"], atol=1e-11
    )
    slope = (psi[:, :, 2:] - psi[:, :, :-2]) / (2 * hy)
    np.testing.assert_allclose(ran.states["u"], -slope, atol=1e-12)


def test_from_the_command_line(tmp_path, capsys, monkeypatch):
    path = tmp_path / "channel.toml"
    path.write_text(dump_equations(parse_equations(CHANNEL)))
    out = tmp_path / "out"
    for words in (["check", str(path)], ["run", str(path), "--set", f"out={out}"]):
        monkeypatch.setattr("sys.argv", ["tendency", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code in (0, None)
    assert "diagnostic, saved [m2 s-1]" in capsys.readouterr().out
    with xr.open_dataset(tmp_path / "out" / "channel.nc") as found:
        assert set(found) == {"q", "psi", "u"}
        assert found.psi.attrs["units"] == "m2 s-1"
        assert found.psi.shape == (4, 16, 12)
    assert "psi" in (tmp_path / "out" / "report.html").read_text()


@pytest.mark.parametrize("spectral", [False, True])
def test_only_what_is_to_be_saved_is(spectral):
    periodic = {name: {"points": 8} for name in "xy"}
    content = changed(
        axes=periodic,
        fields={"q": {"initial": "sin(2*pi*x)*sin(2*pi*y)"}},
        diagnostics={"u": {}, "psi": {"saved": False}},
        method={"spectral": True} if spectral else {},
    )
    ran = integrate(build(parse_equations(content)))
    assert list(ran.states) == ["q", "u"]


@pytest.mark.parametrize(
    ("diagnostics", "said"),
    [
        ({}, "psi has no boundary condition"),
        ({"chi": {}}, "diagnostics.chi is there and no equation gives"),
        ({"psi": {"velocity": "z"}}, "diagnostics.psi.velocity holds z"),
        (
            {"psi": {"boundary": {"y": {"dirichlet": 0}}, "units": "m"}},
            "the equation of psi",
        ),
    ],
)
def test_what_will_not_do_is_refused(diagnostics, said):
    with pytest.raises(InputError, match=said):
        build(parse_equations(changed(diagnostics=diagnostics)))


def test_a_diagnostic_among_the_fields_is_sent_to_its_table():
    fields = {**CHANNEL["fields"], "u": {"initial": "0"}}
    said = r"fields.u is there .* diagnostic and belongs in \[diagnostics.u\]"
    with pytest.raises(InputError, match=said):
        build(parse_equations(changed(fields=fields, diagnostics={})))


def test_land_is_missing_in_them():
    content = changed(
        system={
            "coordinates": ["x", "y"],
            "equations": ["d_t q = d_xx q + d_yy q", "w = 2*q"],
        },
        diagnostics={"w": {}},
        forcings={},
        coast={"water": "x - 0.3"},
        time={"dt": 1e-4, "steps": 2},
        fields={"q": {"initial": "y", "boundary": {"y": {"neumann": 0}}}},
    )
    ran = integrate(build(parse_equations(content)))
    np.testing.assert_array_equal(ran.states["w"], 2 * ran.states["q"])
    assert np.isnan(ran.states["w"][0, 0]).all()
