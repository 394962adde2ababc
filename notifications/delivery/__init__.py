"""Bring each connection up to date with its user's feed."""
