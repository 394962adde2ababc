"""The form that staff log in with: name, password, and the code of an authenticator app."""

from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.contrib.auth.signals import user_login_failed
from django.db import transaction
from django_otp.models import Device
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp.models import TOTPDevice
from unfold.forms import AuthenticationForm
from unfold.widgets import UnfoldAdminTextInputWidget

CODE_DIGITS = 6
"""An authenticator app's code has this length. Recovery codes are longer."""


class LoginForm(AuthenticationForm):
    """unfold's form, with a second factor. Whatever is wrong, the answer is the same."""

    code = forms.CharField(
        required=False,
        max_length=32,
        label="Code",
        help_text="Of your authenticator app, or a recovery code, if you have set one up.",
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "one-time-code"}),
    )
    error_messages = AuthenticationForm.error_messages | {
        "invalid_login": "Enter the name and password of a member of staff, and a new code of the authenticator app if it "
        "is set up. Capitals count.",
    }

    def confirm_login_allowed(self, user: AbstractBaseUser) -> None:
        """Raise ValidationError unless the user is a member of staff, with a right code where one is needed."""
        try:
            self._check(user)
        except forms.ValidationError:  # the backend, which reports others, took the password for right
            user_login_failed.send(
                __name__, credentials={"username": user.get_username()}, request=self.request
            )
            raise

    def _check(self, user: AbstractBaseUser) -> None:
        super().confirm_login_allowed(user)
        # Apps show a code in groups, and recovery codes are made in lower case.
        code = "".join(self.cleaned_data.get("code", "").split()).lower()
        has_one = TOTPDevice.objects.devices_for_user(user, confirmed=True).exists()
        if not has_one and settings.STAFF_SECOND_FACTOR != "required":
            return
        device = _verified(user, code) if has_one and code else None
        if device is None:
            # The same error as for a wrong password, so that nobody learns that the password is right.
            raise self.get_invalid_login_error()
        vars(user)["otp_device"] = device  # django-otp writes it into the session


def _verified(user: AbstractBaseUser, code: str) -> Device | None:
    """Return the device of the user that takes the code. Each code is taken once.

    An app's code is not tried on recovery codes: each failure makes a device pause for longer.
    """
    is_of_app = code.isdecimal() and len(code) == CODE_DIGITS
    devices: Any = TOTPDevice.objects if is_of_app else StaticDevice.objects
    with transaction.atomic():
        # Locked: of two requests with one code at the same time only one may take it.
        for device in devices.devices_for_user(user, confirmed=True).select_for_update():
            if device.verify_token(code):
                return device
    return None
