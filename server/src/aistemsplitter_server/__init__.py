"""The service around stem splitting: API, accounts, API keys and credits."""
