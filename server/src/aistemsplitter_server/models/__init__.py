"""Models: what may be asked for, and which of it the workers can run."""
