"""The process that runs jobs. It alone imports the engine, and that in a child of its own."""
