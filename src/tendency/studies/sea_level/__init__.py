"""Floor 5: the sea level of the next five days at a point, and on its map.

`setting` holds the data and the published numbers, `points` the neighbourhoods whose
series are learned from, `models` the networks of the paper, `on_map` the forecasts of
whole maps, `page` the report.
"""

from tendency.studies.sea_level.study import run as run
