"""Decide who gets in: staff by their logins."""
