"""HTTP below the API and the pages: the server, what every request passes through, and context."""
