"""Logins of staff: their passwords, second factors and sessions."""
