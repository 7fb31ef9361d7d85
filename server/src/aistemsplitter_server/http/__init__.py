"""HTTP for the API and the pages: the server, middleware, rate limits, the context of requests."""
