"""Forms of the admin of API keys."""

from collections.abc import Callable
from typing import Any

from django import forms
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminTextInputWidget

from access import arguments
from access.api_keys.scopes import Scope
from access.models import NAME_MAX_LENGTH


class _TimeField(forms.CharField):
    """A time as the command reads it."""

    def __init__(self, *, read: Callable[[str], Any], **options: Any) -> None:
        super().__init__(widget=UnfoldAdminTextInputWidget, **options)
        self._read = read

    def clean(self, value: Any) -> Any:
        """Return the time. Raises ValidationError."""
        try:
            return self._read(super().clean(value))
        except ValueError as error:
            raise forms.ValidationError(str(error)) from None


def _end(**options: Any) -> _TimeField:
    text = "UTC: 2027-01-31, 2027-01-31T12:00:00Z, how far off it is (30m, 12h, 90d), or never."
    return _TimeField(read=arguments.end, label="Ends", help_text=text, **options)


class CreateForm(forms.Form):
    """A key to make."""

    name = forms.CharField(
        max_length=NAME_MAX_LENGTH,
        widget=UnfoldAdminTextInputWidget,
        help_text="Which program uses it. The name stands on all that the key causes.",
    )
    scopes = forms.MultipleChoiceField(
        choices=[(scope.value, f"{scope.value}: {scope.label}") for scope in Scope],
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
    )
    expires_at = _end(initial="never")


class RotateForm(forms.Form):
    """A key to make in place of another."""

    overlap = _TimeField(
        read=arguments.span,
        label="The old key works on for",
        initial="1d",
        help_text="0m, 12h or 7d: until the program has the new one.",
    )
    expires_at = _end(initial="never")


class ExpireForm(forms.Form):
    """When a key ends."""

    expires_at = _end()


class RevokeForm(forms.Form):
    """A key to revoke: nothing is asked."""
