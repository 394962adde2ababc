"""The load generator: a process of its own that plays Stripe, the ride's backend and the riders at once.

`client.py` is what the rest of the benchmarks uses; all else here runs in that process.
"""
