"""API keys: made, rotated, ended, and looked up for each request."""
