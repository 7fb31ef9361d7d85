"""What the operator sees of the service, across all accounts. Nothing here is for anyone else."""
