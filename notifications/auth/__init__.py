"""Decide which clients get the notifications of a user id: by a token, by a login, or all."""
