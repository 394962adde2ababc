"""Stripe's objects as JSON: every field that Stripe says is always there, null where nothing is known.

Source: the classes of stripe-python, which are generated from Stripe's API description.
"""
