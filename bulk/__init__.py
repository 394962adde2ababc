"""Many rows in one statement and one round trip, for where it counts. Everything else uses Django's own."""
