"""Floor 1: from equations to tendencies, through SymPy."""
