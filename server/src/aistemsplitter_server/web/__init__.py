"""The pages for people. Like the API they use the domains' services."""
