"""Who may come in: API keys and what each may do, logins of staff, and limits."""
