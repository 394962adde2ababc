"""Stripe's API over HTTP."""
