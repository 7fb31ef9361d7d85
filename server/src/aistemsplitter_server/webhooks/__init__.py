"""Webhooks: events, and their deliveries as durable jobs with a log."""
