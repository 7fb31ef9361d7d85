"""Models: which can be asked for, and which of them the workers can run."""
