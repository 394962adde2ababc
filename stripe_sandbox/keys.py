"""Derive the sandbox's keys, so that every process of an installation has the same ones."""

import hashlib
import hmac


def derived(prefix: str, *, secret_key: str) -> str:
    """Return a key that begins with `prefix`, such as `sk_test_`, and cannot be guessed without `secret_key`."""
    return prefix + hmac.new(secret_key.encode(), prefix.encode(), hashlib.sha256).hexdigest()[:32]
