"""The admin of API keys: they are made, shown once, rotated and ended, and never edited or deleted.

Secrets of authenticator apps are kept out of the admin: a person who sees one has the codes.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp.models import TOTPDevice
from unfold.admin import ModelAdmin

from access.admin_forms import CreateForm, ExpireForm, RevokeForm, RotateForm
from access.api_keys import keys
from access.api_keys.key_text import KeyText
from access.api_keys.scopes import Scope
from access.models import ApiKey

Done = tuple[ApiKey, KeyText | None]

admin.site.unregister([StaticDevice, TOTPDevice])


@admin.register(ApiKey)
class ApiKeyAdmin(ModelAdmin):
    """API keys. Each action is on record, in the history of its key; the secret is in none."""

    list_display = ("name", "label", "state", "scopes", "created", "ends", "last_used")
    list_filter = ()
    search_fields = ("name", "key_id")
    search_help_text = "Part of a name or of an id"
    fields = ("name", "label", "state", "scopes", "created", "ends", "revoked", "last_used", "replaced_by")

    def has_change_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:  # noqa: ARG002
        """Refuse to edit."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:  # noqa: ARG002
        """Refuse to delete: the names stand on payments."""
        return False

    def has_manage_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may rotate, expire and revoke keys."""
        return request.user.has_perm("access.change_apikey")

    def get_urls(self) -> list[URLPattern]:
        """Add the pages that rotate, expire and revoke."""
        actions = (("rotate", self.rotate), ("expire", self.expire), ("revoke", self.revoke))
        ours = [
            path(f"<int:pk>/{name}/", self.admin_site.admin_view(view), name=f"access_apikey_{name}")
            for name, view in actions
        ]
        return [*ours, *super().get_urls()]

    def add_view(self, request: HttpRequest, *_: Any, **__: Any) -> HttpResponse:
        """Make a key and show it once."""
        if not self.has_add_permission(request):
            raise PermissionDenied

        def do(asked: dict[str, Any]) -> Done:
            scopes = [Scope(scope) for scope in asked.pop("scopes")]
            key, text = keys.create(**asked, scopes=scopes)
            self.log_addition(request, key, f"Created with {key.scopes}.")
            return key, text

        return self._act(request, title="Create an API key", form=CreateForm, do=do)

    def rotate(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Make a key that replaces one, and show it once."""
        old = self._managed(request, pk)

        def do(asked: dict[str, Any]) -> Done:
            new, text = keys.rotate(old, **asked)
            self.log_change(request, old, f"Replaced by {new.label}.")
            self.log_addition(request, new, f"Created in place of {old.label}.")
            return new, text

        return self._act(request, title=f"Rotate {old}", form=RotateForm, do=do)

    def expire(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Choose when a key ends."""
        old = self._managed(request, pk)

        def do(asked: dict[str, Any]) -> Done:
            key = keys.expire(old, at=asked["expires_at"])
            self.log_change(request, key, f"Ends: {_minute(key.expires_at) or 'never'}.")
            return key, None

        return self._act(request, title=f"When does {old} end?", form=ExpireForm, do=do)

    def revoke(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Refuse a key from now on."""
        old = self._managed(request, pk)

        def do(_: dict[str, Any]) -> Done:
            [key] = keys.revoke(old)
            self.log_change(request, key, "Revoked.")
            return key, None

        return self._act(request, title=f"Revoke {old}, for good?", form=RevokeForm, do=do)

    def _managed(self, request: HttpRequest, pk: int) -> ApiKey:
        if not self.has_manage_permission(request):
            raise PermissionDenied
        if (key := ApiKey.objects.filter(pk=pk).first()) is None:
            raise Http404
        return key

    def _act(
        self,
        request: HttpRequest,
        *,
        title: str,
        form: type[forms.Form],
        do: Callable[[dict[str, Any]], Done],
    ) -> HttpResponse:
        """Show a form, do what it asks, and show a new key in the answer itself: messages would be stored."""
        bound = form(request.POST if request.method == "POST" else None)
        if bound.is_valid():
            try:
                # The key and its entry in the log are stored together, or neither is.
                with transaction.atomic():
                    key, text = do(dict(bound.cleaned_data))
            except keys.RefusedError as error:
                bound.add_error(None, str(error))
            else:
                if text is not None:
                    return self._page(request, "key", title=f"Created {key}", key=key, text=str(text))
                messages.success(request, f"Done: {key}.")
                return HttpResponseRedirect(reverse("admin:access_apikey_change", args=[key.pk]))
        return self._page(request, "act", title=title, form=bound)

    def _page(self, request: HttpRequest, template: str, **context: Any) -> HttpResponse:
        context |= self.admin_site.each_context(request) | {"opts": self.opts} | {"title": context["title"]}
        return TemplateResponse(request, f"admin/access/apikey/{template}.html", context)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Add whether the user may rotate, expire and revoke."""
        context["may_manage"] = self.has_manage_permission(request)
        return super().render_change_form(request, context, *args, **kwargs)

    @admin.display(description="id")
    def label(self, key: ApiKey) -> str:
        """Return how the key begins."""
        return key.label

    @admin.display(description="state")
    def state(self, key: ApiKey) -> str:
        """Return its state in a word."""
        return key.state(at=timezone.now())

    @admin.display(description="created (UTC)", ordering="created_at")
    def created(self, key: ApiKey) -> str:
        """Return when it was made."""
        return _minute(key.created_at)

    @admin.display(description="ends (UTC)", ordering="expires_at", empty_value="never")
    def ends(self, key: ApiKey) -> str | None:
        """Return when it ends."""
        return _minute(key.expires_at) or None

    @admin.display(description="revoked (UTC)")
    def revoked(self, key: ApiKey) -> str:
        """Return when it was revoked."""
        return _minute(key.revoked_at)

    @admin.display(description="last used (UTC)", ordering="last_used_at")
    def last_used(self, key: ApiKey) -> str:
        """Return when it was last used."""
        return _minute(key.last_used_at)


def _minute(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M}" if at else ""
