"""Workers: the processes that run jobs, as their rows and heartbeats show them."""
