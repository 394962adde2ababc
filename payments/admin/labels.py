"""Labels, and search terms."""

import uuid
from contextlib import suppress

from django.template.loader import render_to_string
from django.utils.safestring import SafeString


def label(text: str, *, tone: str = "") -> SafeString:
    """Return a coloured label; tones are `success`, `info`, `warning`, `danger` and none."""
    return render_to_string("unfold/helpers/label.html", {"text": text, "type": tone})


def as_uuid(term: str) -> uuid.UUID | None:
    """Return the UUID that a search term is, if it is one."""
    with suppress(ValueError):
        return uuid.UUID(term)
    return None
