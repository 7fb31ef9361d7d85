"""The process that runs jobs. Its child process, the engine's, does the separation."""
