"""The REST API. It does not import the engine, so that it starts fast."""
