"""Webhooks: events, their deliveries and their receivers."""
