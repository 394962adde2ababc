"""The API keys that were made here. Those of the setting API_KEYS are in no table."""

from datetime import datetime

from django.db import models

from access.api_keys import key_text

NAME_MAX_LENGTH = 64


class ApiKey(models.Model):
    """An API key: what it may do and until when. Keys that replaced each other share their name.

    No key is deleted: its name stands on payments.
    """

    name = models.CharField(max_length=NAME_MAX_LENGTH, help_text="Stands on all that the key causes.")
    key_id = models.CharField("id", max_length=16, help_text="The part of the key that is public.")
    digest = models.CharField(max_length=64, help_text="SHA-256 of the secret.")
    scopes = models.CharField(max_length=200, help_text="What it may do, separated by spaces.")
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(
        null=True, blank=True, help_text="From then on it is refused (UTC). Empty: it does not expire."
    )
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(
        null=True, blank=True, help_text="Written at most once a minute (UTC)."
    )
    replaced_by = models.CharField(
        max_length=16, blank=True, db_default="", default="", help_text="The id of the key that replaces it."
    )

    class Meta:
        verbose_name = "API key"
        ordering = ["name", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["key_id"], name="key_by_id"),
            # Rotation makes another row with the name: only the one that is not replaced is found by it.
            models.UniqueConstraint(
                fields=["name"], name="one_current_key_a_name", condition=models.Q(replaced_by="")
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.label})"

    @property
    def label(self) -> str:
        """The beginning of the key, which is public."""
        return f"{key_text.PREFIX}{self.key_id}"

    def is_usable(self, *, at: datetime) -> bool:
        """Return whether it opens anything at a time: it is neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > at)

    def state(self, *, at: datetime) -> str:
        """Return its state in a word: active, replaced, expired or revoked."""
        if self.revoked_at is not None:
            return "revoked"
        if not self.is_usable(at=at):
            return "expired"
        return "replaced" if self.replaced_by else "active"
