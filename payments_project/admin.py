"""Show staff users and their groups in the style of the rest of the admin. Superusers alone change them."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

admin.site.unregister(User)
admin.site.unregister(Group)


class _OfSuperusers:
    """Refuses changes by others, whatever permissions they have.

    A member who may change logins can give them every permission, or take over a superuser's. A second login approves
    refunds of the first one.
    https://docs.djangoproject.com/en/5.2/topics/auth/default/#creating-users
    """

    def has_add_permission(self, request: HttpRequest) -> bool:
        return _is_superuser(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        return _is_superuser(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        return _is_superuser(request)


def _is_superuser(request: HttpRequest) -> bool:
    return request.user.is_active and request.user.is_superuser


@admin.register(User)
class StaffAdmin(_OfSuperusers, UserAdmin, ModelAdmin):  # type: ignore[type-arg]  # generic in its stubs only
    """Users, with the forms of django-unfold."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm


@admin.register(Group)
class StaffGroupAdmin(_OfSuperusers, GroupAdmin, ModelAdmin):
    """Groups of users."""
