"""Django with Channels as tutorials have it: Daphne, a sync view, the ORM, channels-redis."""
