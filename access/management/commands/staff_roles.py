"""`manage.py staff_roles`: make the groups `support` and `finance`."""

from typing import Any

from django.contrib.auth.models import Group, Permission
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, transaction

_SUPPORT = ("payments.view_payment", "notifications.view_feed")
_FINANCE = (
    *_SUPPORT,
    "payments.view_customer",
    "payments.view_webhookevent",
    "payments.change_webhookevent",
    "payments.refund_payment",
    "payments.approve_refund",
    "payments.cancel_payment",
    "payments.fetch_payment",
)
ROLES = {"support": _SUPPORT, "finance": _FINANCE}


class Command(BaseCommand):
    """The command."""

    help = (
        "Make the groups `support`, which looks, and `finance`, which refunds and replays too; or give them these "
        "permissions again. Exit code: 0 done, 1 the database failed, 2 wrong usage."
    )

    def handle(self, *_: Any, **__: Any) -> None:
        """Make the groups."""
        try:
            with transaction.atomic():
                for name, permissions in ROLES.items():
                    group, _created = Group.objects.get_or_create(name=name)
                    group.permissions.set([_permission(each) for each in permissions])
        except DatabaseError as error:
            raise CommandError(
                f"The database failed ({type(error).__name__}). Nothing was changed."
            ) from error
        self.stdout.write(f"The groups {' and '.join(ROLES)} have their permissions.")


def _permission(name: str) -> Permission:
    app, _, codename = name.partition(".")
    return Permission.objects.get(content_type__app_label=app, codename=codename)
