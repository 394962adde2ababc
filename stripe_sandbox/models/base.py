"""What all objects of the sandbox share."""

from django.db import models
from django.utils import timezone


class Kept(models.Model):
    """An object of Stripe's. Lists order objects by `id`, which counts up as they are created."""

    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        abstract = True
        ordering = ["-id"]
