"""What the peers do; runs in their own environment, without `tendency`."""
