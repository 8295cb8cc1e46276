"""What the peers do in the benchmarks; runs in their environment, without `tendency`."""
