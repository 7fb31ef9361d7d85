"""A self-hosted service for stem splitting: API, accounts, credits, queue, workers and pages."""
