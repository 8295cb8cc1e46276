"""Floor 5: `tendency assimilate`, a saved model corrected by the user's observations.

`settings` and `config` are the TOML, `model` and `observed` read what it names,
`problem` brings them together, `parts` runs it so that it can be killed, `results` and
`scores` write what was found, `page` the report, `stages` is what the command line
calls.
"""
