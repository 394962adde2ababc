"""Run the service in production, and as a cluster on one machine."""
