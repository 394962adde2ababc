"""Render Stripe's objects as JSON. Required fields are always there, null if unknown; optional ones only if set.

Source: the types of stripe-python and of stripe-node, which are generated from Stripe's API description.
"""
