"""Timings beside the peers: `python -m benchmarks`, or `make bench`.

A benchmark is a module with `CASES` and `prepare`, which is our side of it; the sides
of the peers are in `peers/` and run in an environment of their own. `worker` is the
process that every side runs in, `measure` lets them take turns and compares their CPU
times.
"""
