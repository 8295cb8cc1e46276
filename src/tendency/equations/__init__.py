"""Floor 5: a system of equations from its TOML file, to a run or to source."""
