"""List the rules for passwords of staff, for Django's AUTH_PASSWORD_VALIDATORS."""

from typing import Any

_DJANGOS = "django.contrib.auth.password_validation"
VALIDATORS: list[dict[str, Any]] = [
    {"NAME": f"{_DJANGOS}.UserAttributeSimilarityValidator"},
    {"NAME": f"{_DJANGOS}.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": f"{_DJANGOS}.CommonPasswordValidator"},
    {"NAME": f"{_DJANGOS}.NumericPasswordValidator"},
]
