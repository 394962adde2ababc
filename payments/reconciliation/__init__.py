"""Compare with Stripe: fetch missing events, finish incomplete requests, check stale payments."""
