"""What the settings are made of: the environment, its files and addresses, and the databases, layers and logs they name."""
