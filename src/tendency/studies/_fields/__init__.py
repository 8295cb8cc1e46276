"""Floor 5: what the studies of fields share.

`fields` reads a file, or a simulated stand-in of it, onto one grid; `simulated` makes
the stand-ins; `split` says what is learned from and where held-out forecasts start;
`baselines` are the forecasts to beat; `evaluate` runs and scores forecasts; `page`
shows them.
"""
