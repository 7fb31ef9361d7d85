"""The API's endpoints, one file per resource. They are thin: rules are the domains' services."""
