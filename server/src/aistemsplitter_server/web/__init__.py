"""The pages for people. They call the domains' rules; the API knows nothing of them."""
