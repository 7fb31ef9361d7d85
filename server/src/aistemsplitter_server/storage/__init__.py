"""Where audio lies: objects under keys, behind one interface."""
