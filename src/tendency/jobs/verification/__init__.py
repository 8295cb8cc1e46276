"""Floor 5: `tendency score FORECAST TRUTH`, any two files set beside each other.

`opened` reads a forecast and a record of the truth, `times` and `grids` find where they
meet, `units` converts, `parts` brings a few starts at a time into memory, `run` scores
them and `page` shows what was found.
"""
