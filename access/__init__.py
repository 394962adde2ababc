"""Admit callers: API keys and what each may do, logins of staff, and limits."""
