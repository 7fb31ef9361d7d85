"""The installation: the secret and the storage that belong to its database."""
