"""The report: what it shows, that it holds all it needs, that a browser draws it."""

import html
import io
import itertools
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tendency.errors import InputError
from tendency.report import (
    Chart,
    Code,
    Column,
    Frames,
    Page,
    Panel,
    Picture,
    Provenance,
    Section,
    Table,
    attractor_chart,
    histogram_chart,
    map_frames,
    page_html,
    poster,
    score_chart,
    score_section,
    score_summary,
    score_table,
    series_chart,
    skill_chart,
    write_page,
)
from tendency.report.drawing import checked, load_theme
from tendency.report.numbers import duration, readable, readable_units, with_units
from tendency.report.tables import table_html
from tendency.report.text import heading, inline, paragraphs
from tendency.report.thinning import csv_of, thinned
from tendency.scores.records import Score

WHO = Provenance(
    command="tendency run lorenz63 --seed 0",
    versions={"tendency": "0.1.0", "jax": "0.10"},
    seed=0,
    hardware="a processor, 2 cores",
    device="1 × cpu (cpu), float64",
    wall_seconds=125.0,
    date="1 July 2026",
)


def scores(leads=(1.0, 4.0, 8.0)):
    leads = list(leads)
    models = {"Bi-NN": 1e-6, "MLP": 1e-2, "persistence": 1.0}
    found = [
        Score("clean", model, "RMSE", lead, error * lead, "m s-1", 0.5 * error)
        if (model, lead) == ("MLP", 4)
        else Score("clean", model, "RMSE", lead, error * lead, "m s-1")
        for model, error in models.items()
        for lead in leads
    ]
    exponent = Score("clean", "Bi-NN", "exponent", None, 0.9061, "1", 0.9056)
    return [*found, exponent, Score("clean", "MLP", "exponent", None, 0.91)]


def curve(size=400, phase=0.0):
    t = np.arange(size) * 0.05 + phase
    return np.stack([np.cos(t), np.sin(2 * t), np.sin(t)], axis=1)


def small_maps(times=3):
    latitude, longitude = np.linspace(50, 40, 6), np.linspace(-10, 5, 8)
    field = np.random.default_rng(0).normal(size=(times, 6, 8))
    field[:, 0, 0] = np.nan
    labels = [f"day {i}" for i in range(times)]
    fields = {"observed": field, "forecast": 0.5 * field}
    return map_frames(
        fields, latitude, longitude, labels, quantity="velocity", units="m s-1"
    )


def full_page():
    dates = np.datetime64("2001-01-01") + np.arange(50)
    free = {"truth": curve(), "Bi-NN": curve(phase=0.1)}
    xs = {name: states[:, 0] for name, states in free.items()}
    clean = score_section(
        "Clean data", scores(), lead_units="h", log=True, baselines=("persistence",)
    )
    shapes = Section(
        "Attractor",
        "Free runs.",
        (
            Chart(attractor_chart(free, reference="truth"), "Projections.", "Two runs"),
            Chart(
                series_chart(np.arange(400), xs, label="x", reference="truth"),
                "A component.",
                "Two series",
            ),
            Chart(
                series_chart(dates, {"a": curve(50)[:, 0]}, label="x", units="degC"),
                "Dated.",
                "One series",
            ),
            Chart(histogram_chart(xs, label="x", log=True), "Densities.", "Two"),
        ),
    )
    rest = Section("Fields", "", (small_maps(), Code("dx/dt = 10 (y − x)"), "The end."))
    return Page("Learning Lorenz-63", "How far ahead?", (clean, shapes, rest), WHO)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (float("nan"), "–"),
        (float("-inf"), "−∞"),
        (True, "yes"),
        (0.0, "0"),
        (12345, "12,345"),
        (-3, "−3"),
        (1.3e-5, "1.30×10⁻⁵"),
        (0.00123, "0.00123"),
        (0.9056, "0.906"),
        (-27.96, "−28.0"),
        (12345.6, "12,346"),
        (6.02e23, "6.02×10²³"),
        (np.float32(0.25), "0.250"),
        ("analog", "analog"),
    ],
)
def test_numbers_read_as_a_paper_prints_them(value, text):
    assert readable(value) == text


def test_units_and_durations_read_well():
    assert with_units("speed", "m s-1") == "speed [m s⁻¹]"
    assert with_units("ratio", "1") == "ratio"
    assert readable_units("degree_Celsius") == readable_units("degC") == "°C"
    assert readable_units("W m-2 K^-1") == "W m⁻² K⁻¹"
    assert [duration(s) for s in (2.34, 41.0, 125.0, 11400.0)] == [
        "2.3 s",
        "41 s",
        "2 min 05 s",
        "3 h 10 min",
    ]


def test_text_is_escaped_and_marked_up():
    assert inline("<b> & `x < y`") == "&lt;b&gt; &amp; <code>x &lt; y</code>"
    link = inline('see [a "b"](https://example.org/?a=1&b=2).')
    assert 'href="https://example.org/?a=1&amp;b=2"' in link
    assert "<a" not in inline("[x](javascript:alert)")
    assert 'href="https://doi.org/10.1000/xyz(1)2"' in inline("doi:10.1000/xyz(1)2.")
    assert "https://arxiv.org/abs/1712.07003" in inline("(arXiv:1712.07003)")
    assert paragraphs("a\nb\n\n- c\n- d") == (
        '<p>a b</p>\n<ul class="text"><li>c</li><li>d</li></ul>'
    )
    assert heading("Lorenz-63 & x") == '<span class="whole">Lorenz-63</span> &amp; x'


def test_a_table_sets_published_beside_ours_and_best_in_bold():
    table = score_table(scores(), "RMSE", case="clean", lead_units="h")
    titles = [column.title for column in table.columns if isinstance(column, Column)]
    assert titles == ["model", "1 h", "ours", "published", "8 h"]
    assert table.rows[1] == ("MLP", 0.01, 0.04, 0.005, 0.08)
    page = table_html(table)
    assert page.count('class="best"') == 3
    assert '<td class="published">0.00500</td>' in page
    assert '<th colspan="2" scope="colgroup"><span>4 h</span></th>' in page
    assert "m s⁻¹" in page


def test_a_table_chooses_leads_and_keeps_the_published():
    table = score_table(scores(map(float, range(1, 30))), "RMSE")
    columns = [column for column in table.columns[1:] if isinstance(column, Column)]
    groups = [column.group or column.title for column in columns]
    assert len(set(groups)) == 6
    assert {"1", "4", "29"} <= set(groups)
    assert table.caption.endswith("6 of 29 leads.")
    with pytest.raises(InputError, match="'skill'"):
        score_table(scores(), "skill")


def test_a_summary_holds_what_has_no_lead():
    table = score_summary(scores())
    assert [c.title for c in table.columns if isinstance(c, Column)][1:] == [
        "exponent",
        "published",
    ]
    assert table.rows == (("Bi-NN", 0.9061, 0.9056), ("MLP", 0.91, None))
    with pytest.raises(InputError, match="without a lead"):
        score_summary(scores()[:3])


def test_a_row_of_the_wrong_length_is_refused():
    with pytest.raises(InputError, match="3 cells and the table 2 columns"):
        table_html(Table(("a", "b"), ((1, 2, 3),)))


def test_text_columns_are_told_from_numbers():
    page = table_html(Table(("a", "note"), (("x", "<i>"), ("y", None))))
    assert '<td class="text">&lt;i&gt;</td>' in page
    assert '<th scope="col" class="text">note</th>' in page


def test_skill_charts_leave_out_what_cannot_be_drawn():
    bad = [
        Score("c", "m", "r", 1.0, float("nan")),
        Score("c", "m", "r", 2.0, 0.0, "1", 0.1),
        Score("c", "m", "r", None, 1.0),
    ]
    rows = skill_chart(bad, "r", log=True)["data"]["values"]
    assert [(row["kind"], row["value"]) for row in rows] == [("published", 0.1)]
    with pytest.raises(InputError, match="finite positive value"):
        skill_chart(bad[:1], "r", log=True)


@pytest.mark.parametrize(
    ("high", "ticks", "label"),
    [(1e2, [1e-8, 1e-6, 1e-4, 1e-2, 1e0, 1e2], "10⁻⁸"), (3e-8, [1e-9, 2e-9], "2×10⁻⁹")],
)
def test_log_axes_are_labelled_by_powers(high, ticks, label):
    found = [Score("c", "m", "r", x, v) for x, v in ((1.0, 1e-9), (2.0, high))]
    axis = skill_chart(found, "r", log=True)["encoding"]["y"]["axis"]
    np.testing.assert_allclose(axis["values"][: len(ticks)], ticks, rtol=1e-9)
    assert label in axis["labelExpr"]


def test_every_kind_of_chart_is_accepted_by_vega_lite():
    nan = np.where(np.arange(400) % 50 < 5, np.nan, curve()[:, 0])
    many = {f"model {i}": curve(phase=i / 9) for i in range(9)}
    samples = {name: states[:, 0] for name, states in many.items()}
    for spec in (
        skill_chart(scores(), "RMSE", log=True, baselines=("persistence",)),
        skill_chart(scores(map(float, range(40))), "RMSE"),
        attractor_chart(many, reference="model 3"),
        attractor_chart({"one": curve()}),
        series_chart(np.arange(400), {"gaps": nan}, label="x"),
        histogram_chart({"gaps": nan, **samples}, label="x", bins=10),
    ):
        assert checked(spec)["$schema"].endswith("vega-lite/v6.json")


def test_charts_refuse_what_they_cannot_draw():
    with pytest.raises(InputError, match="nothing to draw"):
        attractor_chart({})
    with pytest.raises(InputError, match="'truth' is not among"):
        series_chart(np.arange(3), {"a": np.arange(3.0)}, label="x", reference="truth")
    with pytest.raises(InputError, match=r"shape \(4,\), the times \(3,\)"):
        series_chart(np.arange(3), {"a": np.arange(4.0)}, label="x")
    with pytest.raises(InputError, match="no finite sample"):
        histogram_chart({"a": np.full(3, np.nan)}, label="x")


def test_a_histogram_holds_densities_of_the_finite():
    values = np.concatenate([np.random.default_rng(1).normal(size=500), [np.nan]])
    rows = histogram_chart({"a": values}, label="x", bins=20)["data"]["values"]
    width = rows[1]["low"] - rows[0]["low"]
    total = sum(row["value"] for row in rows[:-1]) * width
    np.testing.assert_allclose(total, 1.0, rtol=1e-12)


def test_thinning_keeps_extremes_ends_and_gaps():
    values = np.sin(np.arange(100_000) / 700.0)
    values[54_321], values[12_345] = 9.0, -9.0
    values[70_000:75_000] = np.nan
    kept = thinned(values, 1000)
    assert len(kept) < 1100
    assert {0, 99_999, 54_321, 12_345} <= set(kept.tolist())
    assert np.isnan(values[kept]).any()
    np.testing.assert_array_equal(thinned(values[:10], 1000), np.arange(10))


def test_csv_holds_dates_gaps_and_commas():
    dates = np.array(["2000-02-29", "2000-03-01"], "datetime64[D]")
    found = csv_of(
        {"t": dates, "v": np.array([1.5, np.nan]), "n": np.array(["a,b", "c"])},
        dates=("t",),
    )
    assert found["values"] == (
        't,v,n\n2000-02-29T00:00:00,1.5,"a,b"\n2000-03-01T00:00:00,,c\n'
    )
    cftime = pytest.importorskip("cftime", reason="cftime is not installed")
    odd = np.array([cftime.DatetimeNoLeap(2001, 2, 28)], dtype=object)
    assert "2001-02-28T00:00:00" in csv_of({"t": odd}, dates=("t",))["values"]


def relative_luminance(colour):
    return linear(colour) @ np.array([0.2126, 0.7152, 0.0722])


def linear(colour):
    c = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def oklab(rgb):
    to_lms = np.array(
        [
            [0.4122214708, 0.5363325363, 0.0514459929],
            [0.2119034982, 0.6806995451, 0.1073969566],
            [0.0883024619, 0.2817188376, 0.6299787005],
        ]
    )
    to_lab = np.array(
        [
            [0.2104542553, 0.7936177850, -0.0040720468],
            [1.9779984951, -2.4285922050, 0.4505937099],
            [0.0259040371, 0.7827717662, -0.8086757660],
        ]
    )
    return to_lab @ np.cbrt(np.clip(to_lms @ rgb, 0, None))


# Machado, Oliveira & Fernandes (2009), severity 1.
DEUTERANOPIA = np.array(
    [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ]
)
PROTANOPIA = np.array(
    [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ]
)


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_colours_are_legible_and_told_apart_by_everybody(mode):
    colours = load_theme()[mode]
    paper = relative_luminance(colours["paper"])

    def contrast(name):
        other = relative_luminance(colours[name])
        return (max(paper, other) + 0.05) / (min(paper, other) + 0.05)

    assert all(contrast(n) >= 4.5 for n in ("ink", "muted", "accent", "published"))
    lines = [name for name in colours if name.isdigit()]
    assert min(map(contrast, lines)) >= 3.0
    for vision in (np.eye(3), DEUTERANOPIA, PROTANOPIA):
        seen = [oklab(vision @ linear(colours[name])) for name in lines]
        pairs = itertools.combinations(seen, 2)
        assert min(np.linalg.norm(a - b) for a, b in pairs) >= 0.1


def pixels(image):
    return np.asarray(Image.open(io.BytesIO(image)).convert("RGBA"))


def test_maps_are_north_up_with_missing_veiled():
    field = np.zeros((1, 4, 6))
    field[0, 3, 5] = 1.0  # the northernmost, easternmost cell
    field[0, 0, 0] = np.nan
    latitude, longitude = np.linspace(30, 60, 4), np.linspace(0, 50, 6)
    frames = map_frames({"a": field}, latitude, longitude, ["now"], quantity="t")
    image = pixels(frames.panels[0].images[0])
    assert image.shape == (4, 6, 4)
    assert tuple(image[3, 0]) == (128, 128, 128, 130)
    assert (image[..., 3] < 255).sum() == 1
    assert (image[0, 5] != image[0, 4]).any()
    assert frames.panels[0].extent == (0.0, 50.0, 30.0, 60.0)
    turned = map_frames(
        {"a": field[:, ::-1]}, latitude[::-1], longitude, ["now"], quantity="t"
    )
    np.testing.assert_array_equal(pixels(turned.panels[0].images[0]), image)


def test_map_scales_are_shared_and_symmetric_where_signed():
    frames = small_maps()
    bars = [panel.bar for panel in frames.panels]
    assert bars[0] is not None
    assert bars[0] == bars[1]
    assert bars[0].low == -bars[0].high
    assert bars[0].label == "velocity [m s⁻¹]"
    field = np.full((1, 2, 2), 5.0)
    axis = np.arange(2.0)
    plain = map_frames({"a": field}, axis, axis, ["x"], quantity="t").panels[0].bar
    assert plain is not None
    assert (plain.low, plain.high) == (5.0, 6.0)
    given = map_frames(
        {"a": field, "b": -field},
        axis,
        axis,
        ["x"],
        quantity="t",
        limits=(0.0, 10.0),
        own_scale=("b",),
    )
    assert [(p.bar.low, p.bar.high) for p in given.panels if p.bar] == [
        (0, 10),
        (-5.0, -4.0),
    ]


def test_an_irregular_axis_is_drawn_to_scale():
    latitude = np.array([0.0, 1.0, 4.0])
    field = np.arange(3.0)[None, :, None] * np.ones((1, 3, 2))
    frames = map_frames({"a": field}, latitude, np.arange(2.0), ["x"], quantity="t")
    column = pixels(frames.panels[0].images[0])[:, 0, :3]
    assert len(column) == 5
    assert len(np.unique(column, axis=0)) == 3
    np.testing.assert_array_equal(column[0], column[1])


def test_a_large_field_stays_a_small_picture():
    rng = np.random.default_rng(0)
    rough = np.cumsum(np.cumsum(rng.normal(size=(2, 720, 1440)), axis=1), axis=2)
    latitude, longitude = np.linspace(-90, 90, 720), np.arange(1440) / 4
    labels = ["a", "b"]
    frames = map_frames({"a": rough}, latitude, longitude, labels, quantity="t")
    assert max(map(len, frames.panels[0].images)) < 60_000


def test_maps_that_contradict_themselves_are_refused():
    axis = np.arange(2.0)
    with pytest.raises(InputError, match=r"shape \(1, 2, 3\)"):
        map_frames({"a": np.ones((1, 2, 3))}, axis, axis, ["x"], quantity="t")
    with pytest.raises(InputError, match="no finite value"):
        map_frames({"a": np.full((1, 2, 2), np.nan)}, axis, axis, ["x"], quantity="t")
    page = Page("t", "q", (Section("s", "", (Frames((), (), "", ""),)),), WHO)
    with pytest.raises(InputError, match="no frame"):
        page_html(page)
    bad = Frames((Panel("p", (b"\x89PNG",)),), ("a", "b"), "", "")
    with pytest.raises(InputError, match="1 images and there are 2 labels"):
        page_html(Page("t", "q", (Section("s", "", (bad,)),), WHO))


def test_provenance_tells_how_to_make_it_again():
    found = Provenance.here(
        seed=3, wall_seconds=1.0, command=["tendency", "run", "a b"]
    )
    assert found.command == "tendency run 'a b'"
    assert {"jax", "equinox", "numpy", "xarray", "Python"} <= set(found.versions)
    assert "core" in found.hardware
    assert "float64" in found.device
    assert Provenance.here(seed=None, wall_seconds=1.0).command
    text = page_html(Page("t", "q", (), WHO))
    for fact in ("tendency run lorenz63 --seed 0", "2 min 05 s", "jax 0.10", "2 cores"):
        assert fact in text


def test_whatever_the_text_it_cannot_break_the_page():
    evil = '</script><script>alert("x")</script>'
    score = [Score("c", evil, evil, lead, 1.0, evil) for lead in (1.0, 2.0)]
    image = Picture(b"<svg xmlns='http://www.w3.org/2000/svg'/>", evil, evil)
    blocks = (score_chart(score, evil), score_table(score, evil), image, Code(evil))
    page = Page(evil, evil, (Section(evil, evil, (*blocks, evil)),), WHO, kicker=evil)
    assert "<script>alert" not in page_html(page)


def test_a_picture_of_no_known_kind_is_refused():
    page = Page("t", "q", (Section("s", "", (Picture(b"GIF89a", "", ""),)),), WHO)
    with pytest.raises(InputError, match="GIF89a"):
        page_html(page)


def test_sections_of_one_name_have_their_own_anchors():
    text = page_html(Page("t", "q", (Section("A b"), Section("A b")), WHO))
    identifiers = re.findall(r'<section id="([^"]+)"', text)
    assert len(set(identifiers)) == 3
    assert re.findall(r'<a href="#([^"]+)"', text) == identifiers


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return write_page(full_page(), tmp_path_factory.mktemp("page") / "report.html")


def test_the_page_asks_nothing_of_the_network(written):
    text = written.read_text(encoding="utf-8")
    assert len(text) < 2_500_000
    assert "default-src 'none'" in text
    markup = re.sub(r"<script\b.*?</script>", "", text, flags=re.DOTALL)
    assert not re.search(r"<link|@import|url\(|srcset|\bsrc=\"(?!data:)", markup)
    assert not re.search(r"<script[^>]*\bsrc=", text)


def test_writing_leaves_a_whole_page_or_nothing(tmp_path, monkeypatch):
    plain = Page("t", "q", (), WHO)
    target = tmp_path / "report.html"
    assert write_page(plain, target) == target
    before = target.read_text(encoding="utf-8")

    def full_disk(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr("os.replace", full_disk)
    with pytest.raises(OSError, match="no space"):
        write_page(Page("other", "q", (), WHO), target)
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert target.read_text(encoding="utf-8") == before


def test_posters_are_drawn_in_either_theme(tmp_path):
    spec = skill_chart(scores(), "RMSE", log=True)
    light = pixels(poster(spec, tmp_path / "a.png", scale=1.0).read_bytes())
    dark = pixels(
        poster(spec, tmp_path / "b.png", scale=1.0, theme="dark").read_bytes()
    )
    assert light.shape == dark.shape
    assert light.shape[1] > 760
    assert light[0, 0, 0] > 240
    assert dark[0, 0, 0] < 40
    svg = poster(attractor_chart({"a": curve()}), tmp_path / "c.svg").read_text()
    assert svg.startswith("<svg")
    assert "theme:" not in svg
    with pytest.raises(InputError, match=r"\.png or a \.svg"):
        poster(spec, tmp_path / "a.pdf")


CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))),
    None,
)

# Runs in the page once its charts are drawn; what it returns comes back as JSON.
PROBE = """
const pause = () => new Promise((done) => setTimeout(done, 300));
const drawn = async (mode) => {
  for (let i = 0; i < 100 && root.dataset.theme !== mode; i++) await pause();
};
const root = document.documentElement;
const found = {};
await drawn("light");
found.charts = root.dataset.charts;
found.canvases = document.querySelectorAll(".canvas").length;
found.drawings = document.querySelectorAll(".canvas svg .mark-line path").length;
found.overflow = root.scrollWidth - innerWidth;
found.text = document.querySelector(".canvas svg").textContent;
const paper = () => getComputedStyle(document.querySelector(".canvas svg"))
  .backgroundColor;
found.light = paper();

const point = [...document.querySelector(".canvas svg")
  .querySelectorAll(".mark-symbol.role-mark path")].at(-1);
point.scrollIntoView({ block: "center", behavior: "instant" });
await pause();
const box = point.getBoundingClientRect();
const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
for (const name of ["pointerover", "pointermove"])
  document.elementFromPoint(x, y).dispatchEvent(new PointerEvent(name,
    { bubbles: true, clientX: x, clientY: y }));
await pause();
found.tip = document.getElementById("tip").innerText;

const lines = () => [...document.querySelectorAll(".canvas svg .mark-line path")]
  .slice(0, 3).map((path) => path.getAttribute("opacity") ?? "1");
found.before = lines();
const label = document.querySelector(".canvas svg .role-legend-label text");
label.dispatchEvent(new MouseEvent("click", { bubbles: true }));
await pause();
found.after = lines();

const figure = document.querySelector(".frames");
const slider = figure.querySelector("input");
slider.value = 2;
slider.dispatchEvent(new Event("input"));
found.label = figure.querySelector("output").textContent;
found.shown = [...figure.querySelectorAll(".map")].map((map) =>
  [...map.children].map((image) => getComputedStyle(image).visibility));
figure.querySelector("button").click();
found.playing = figure.querySelector("button").textContent;
await pause(); await pause(); await pause();
figure.querySelector("button").click();
found.moved = figure.querySelector("output").textContent;

theming.dark();
await drawn("dark");
found.dark = paper();
found.again = root.dataset.charts;
return found;
"""

# A stand-in for the reader's choice of theme, which the probe can change.
THEMING = """
const listeners = [];
let isDark = false;
const real = window.matchMedia.bind(window);
window.matchMedia = (query) => query.includes("color-scheme")
  ? { get matches() { return isDark; }, addEventListener: (_, f) => listeners.push(f) }
  : real(query);
window.theming = { dark() { isDark = true; listeners.forEach((f) => f()); } };
"""


def browse(page, folder, width):
    """What the probe found in a frame of `width` pixels, and what the console said."""
    probe = f"(async () => {{ {PROBE} }})()"
    report = (
        f"{probe}.catch((error) => ({{ error: String(error) }}))"
        ".then((found) => parent.postMessage(found, '*'));"
    )
    text = page.read_text(encoding="utf-8")
    text = text.replace("<title>", f"<script>{THEMING}</script><title>", 1)
    text += f"<script type='module'>{report}</script>"
    outer = folder / "outer.html"
    outer.write_text(
        "<!doctype html><meta charset=utf-8>"
        "<script>addEventListener('message', (m) => {"
        "document.getElementById('found').textContent = JSON.stringify(m.data); });"
        f"</script><pre id=found></pre><iframe width={width} height=900 "
        f'srcdoc="{html.escape(text)}"></iframe>',
        encoding="utf-8",
    )
    command = (
        f"{CHROMIUM} --headless --no-sandbox --disable-gpu --disable-quic "
        "--no-first-run --disable-background-networking --disable-component-update "
        "--disable-sync --enable-logging=stderr --v=0 --virtual-time-budget=60000 "
        f"--window-size=1400,1000 --user-data-dir={folder / 'profile'} "
        f"--dump-dom {outer.as_uri()}"
    )
    done = subprocess.run(
        command.split(), capture_output=True, text=True, timeout=180, check=False
    )
    said = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    match = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.DOTALL)
    assert match, done.stderr[-2000:]
    return json.loads(html.unescape(match[1])), said


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
@pytest.mark.parametrize("width", [1280, 390])
def test_a_browser_draws_the_page_and_follows_the_reader(written, tmp_path, width):
    found, said = browse(Path(written), tmp_path, width)
    assert said == []
    assert "error" not in found
    assert found["charts"] == found["again"] == f"drawn:{found['canvases']}"
    assert found["canvases"] == 5
    assert found["drawings"] >= 12
    assert found["overflow"] <= 0
    assert "10⁻⁶" in found["text"]
    assert "Bi-NN" in found["text"]
    assert found["light"] != found["dark"]
    assert found["tip"].split("\n") == [
        *("model", "persistence", "whose", "ours"),
        *("lead time [h]", "8", "RMSE [m s⁻¹]", "8.00"),
    ]
    assert found["before"] == ["1", "1", "1"]
    assert found["after"] == ["1", "0.12", "0.12"]
    assert found["label"] == "day 2"
    assert found["shown"] == [["hidden", "hidden", "visible"]] * 2
    assert found["playing"] == "Pause"
    assert found["moved"] == "day 0"
