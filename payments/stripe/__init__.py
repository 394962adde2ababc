"""The one way to Stripe: requests to it, and how its objects are read."""
