"""Accounts, their people, their API keys and their limits."""
