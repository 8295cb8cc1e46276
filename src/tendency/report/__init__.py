"""Floor 5, report: one self-contained HTML page of what was asked and found.

`Page` of `Section`s of blocks (`Table`, `Chart`, `Frames`, `Picture`, `Code`, text),
written by `write_page`; charts from `charts`, maps from `maps`, tables and charts of
scores from `from_scores`; `Provenance.here` tells how to make it again; `poster` writes
a chart to a file.
"""

from tendency.report.blocks import (
    Block,
    Chart,
    Code,
    ColourBar,
    Column,
    Frames,
    Panel,
    Picture,
    Section,
    Table,
)
from tendency.report.charts import (
    attractor_chart,
    histogram_chart,
    series_chart,
    skill_chart,
)
from tendency.report.from_scores import (
    rank_chart,
    score_chart,
    score_section,
    score_summary,
    score_table,
)
from tendency.report.maps import map_frames, plane_frames
from tendency.report.page import Page, page_html, write_page
from tendency.report.posters import poster
from tendency.report.provenance import Provenance

__all__ = [
    "Block",
    "Chart",
    "Code",
    "ColourBar",
    "Column",
    "Frames",
    "Page",
    "Panel",
    "Picture",
    "Provenance",
    "Section",
    "Table",
    "attractor_chart",
    "histogram_chart",
    "map_frames",
    "page_html",
    "plane_frames",
    "poster",
    "rank_chart",
    "score_chart",
    "score_section",
    "score_summary",
    "score_table",
    "series_chart",
    "skill_chart",
    "write_page",
]
