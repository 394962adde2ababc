"""Settings of a production that is complete, with keys as good as drawn ones."""

SECRET_KEY = "pV3zq8Rk1Ynw7TuhMd0XsC5jAeLgB2fo-HJ9ivQKr6tZxEaWNmUy4P"
API_KEY = "Gx7mQ2vTz9LkRb4nWs8YcJ1d"
TOKEN_SECRET = "Hn5wZ8kTq3Xr7VbYc1MjL9sPd2GfR6aE"

PRODUCTION = {
    "DEBUG": "0",
    "SECRET_KEY": SECRET_KEY,
    "API_KEYS": API_KEY,
    "NOTIFICATIONS_TOKEN_SECRET": TOKEN_SECRET,
    "STRIPE_SECRET_KEY": "sk_test_12345678",
    "STRIPE_WEBHOOK_SECRETS": "whsec_Vt6qLz3NcX8wRb5KpY1mJd9H",
}
"""As environment variables, with a test key of Stripe's, on addresses of this machine."""
