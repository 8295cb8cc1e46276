"""Floor 5: the next three hours of rain from a weather radar, from its last half hour.

`setting` holds the data and the published numbers, `frame` what is seen in a frame that
moves with the rain, `merged` the model that is made of both, `networks` those without
advection, `extrapolation` persistence and optical flow, `verify` the scores, `page` the
report.
"""

from tendency.studies.rain.study import run as run
