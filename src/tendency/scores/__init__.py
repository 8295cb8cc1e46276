"""Floor 4: verification."""
