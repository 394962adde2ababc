"""Staff look into what users were sent. Everything here only shows."""

import json
from typing import Any, ClassVar

from django.conf import settings
from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from notifications.models import Feed, Notification
from notifications.readonly_admin import ReadOnlyAdmin, instant, pretty_json

HIDDEN_LINK = "(hidden: it is for its user alone)"


@admin.register(Feed)
class FeedAdmin(ReadOnlyAdmin):
    actions = None
    list_display = ("user_id", "last_seq", "confirmed_seq", "notifications")
    sortable_by = ("user_id",)
    search_fields = ("user_id",)
    search_help_text = "Start of a user id"
    fields = ("user_id", "last_seq", "confirmed_seq", "confirmed", "notifications", "latest_connection")
    readonly_fields = ("confirmed", "notifications")

    def find(self, term: str) -> Q:
        return Q(user_id__startswith=term)

    @admin.display(description="confirmed (UTC)", empty_value="-")
    def confirmed(self, feed: Feed) -> str:
        return instant(feed.confirmed_at)

    @admin.display(description="notifications")
    def notifications(self, feed: Feed) -> SafeString:
        url = reverse("admin:notifications_notification_changelist")
        return format_html('<a class="text-link" href="{}?feed__id__exact={}">show</a>', url, feed.pk)


@admin.register(Notification)
class NotificationAdmin(ReadOnlyAdmin):
    actions = None
    list_display = ("created", "feed_link", "seq", "collapse_key", "says", "expires")
    list_select_related = ("feed",)
    sortable_by = ()
    query_parameters: ClassVar = frozenset({"feed__id__exact", "feed__user_id", "seq"})
    search_fields = ("feed__user_id",)
    search_help_text = "A whole user id"
    fields = ("feed_link", "seq", "subject", "created", "expires", "offers", "pretty_frame")
    readonly_fields = ("feed_link", "subject", "created", "expires", "pretty_frame")

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Take a number only of a feed that is named: no index has the numbers of all feeds."""
        is_of_feed = any(name.startswith("feed__") for name in request.GET)
        return super().lookup_allowed(lookup, value, request) and (lookup != "seq" or is_of_feed)

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        """Return the newest first. In a feed they are asked for by number.

        By id PostgreSQL may look for them from the end of the table, however long nothing came to this feed.
        """
        return ("-seq",) if "feed__id__exact" in request.GET else ("-pk",)

    def find(self, term: str) -> Q:
        return Q(feed__user_id=term)

    @admin.display(description="feed")
    def feed_link(self, notification: Notification) -> SafeString:
        url = reverse("admin:notifications_feed_change", args=[notification.feed_id])
        return format_html('<a class="text-link" href="{}">{}</a>', url, notification.feed.user_id)

    @admin.display(description="collapse key")
    def subject(self, notification: Notification) -> str:
        """Link the key `KIND:ID` to the page that settings.NOTIFICATIONS_SUBJECT_PAGES names for its kind, if any.

        The page is the name of a URL that takes the id as its one argument.
        """
        kind, _, subject_id = notification.collapse_key.partition(":")
        page = getattr(settings, "NOTIFICATIONS_SUBJECT_PAGES", {}).get(kind)
        if not page or not subject_id:
            return notification.collapse_key
        url = reverse(page, args=[subject_id])
        return format_html('<a class="text-link" href="{}">{}</a>', url, notification.collapse_key)

    @admin.display(description="created (UTC)")
    def created(self, notification: Notification) -> str:
        return instant(notification.created_at)

    @admin.display(description="expires (UTC)", empty_value="never")
    def expires(self, notification: Notification) -> str:
        return instant(notification.expires_at)

    @admin.display(description="type")
    def says(self, notification: Notification) -> str:
        return str(json.loads(notification.frame).get("type", ""))

    @admin.display(description="frame")
    def pretty_frame(self, notification: Notification) -> SafeString:
        return pretty_json(json.loads(notification.frame, object_hook=_hide_links))


def _hide_links(obj: dict[str, Any]) -> dict[str, Any]:
    """Hide links: who has one of a frame may act as its user."""
    return {
        key: HIDDEN_LINK if isinstance(value, str) and value.startswith(("http://", "https://")) else value
        for key, value in obj.items()
    }
