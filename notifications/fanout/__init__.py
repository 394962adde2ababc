"""Carry wakes between processes, over a channel layer that may lose any of them."""
