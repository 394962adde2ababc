"""Labels."""

from django.template.loader import render_to_string
from django.utils.safestring import SafeString


def label(text: str, *, tone: str = "") -> SafeString:
    """Return a coloured label; tones are `success`, `info`, `warning`, `danger` and none."""
    return render_to_string("unfold/helpers/label.html", {"text": text, "type": tone})
