"""The HTTP API of the ride's backend."""
