"""The sandbox's keys: every process of an installation derives the same ones."""

import hashlib
import hmac


def derived(prefix: str, *, secret_key: str) -> str:
    """Return a key that begins with `prefix`, such as `sk_test_` or `whsec_`, and that nobody without the secret guesses."""
    return prefix + hmac.new(secret_key.encode(), prefix.encode(), hashlib.sha256).hexdigest()[:32]
