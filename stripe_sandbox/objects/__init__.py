"""Stripe's objects as JSON: every field that Stripe says is always there, null where nothing is known.

What Stripe leaves out where there is nothing to say, such as `presentment_details`, is left out. Source: the types
of stripe-python and of stripe-node, which are generated from Stripe's API description.
"""
