"""Prepare hot statements once, and describe database errors for the log. Both apps use it."""
