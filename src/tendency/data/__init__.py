"""Floor 4: files in, files out, and what lies between them and the models."""
