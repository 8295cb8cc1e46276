"""Floor 5: a job on the user's own file, step by step."""
