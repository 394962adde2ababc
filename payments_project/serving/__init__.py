"""Serve with uvicorn: sockets, limits, and an orderly stop."""
