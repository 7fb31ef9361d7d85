"""Object storage: audio files under keys, behind one interface."""
