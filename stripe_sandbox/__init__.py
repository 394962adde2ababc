"""Stripe, offline: API, payment page and signed webhooks. It knows the service by HTTP alone."""
