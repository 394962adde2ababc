"""Change or refuse requests before they reach a view: Django middleware, and ASGI middleware around Django."""
