"""Show staff the feeds and notifications of users. Nothing can be changed here."""

import json
from typing import Any, ClassVar

from django.conf import settings
from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from database.readonly_admin import ReadOnlyAdmin, instant, pretty_json
from notifications.models import Feed, Notification

HIDDEN_LINK = "(hidden: it is for its user alone)"


@admin.register(Feed)
class FeedAdmin(ReadOnlyAdmin):
    """Feeds, found by the start of a user id."""

    actions = None
    list_display = ("user_id", "last_seq", "confirmed_seq", "notifications")
    sortable_by = ("user_id",)
    search_fields = ("user_id",)
    search_help_text = "Start of a user id"
    fields = (
        "user_id",
        "last_seq",
        "confirmed_seq",
        "confirmed",
        "notifications",
        "latest_connection",
        "disconnects",
    )
    readonly_fields = ("confirmed", "notifications")

    def find(self, term: str) -> Q:
        """Match user ids by their start."""
        return Q(user_id__startswith=term)

    @admin.display(description="confirmed (UTC)", empty_value="-")
    def confirmed(self, feed: Feed) -> str:
        """Show when a plain client last confirmed."""
        return instant(feed.confirmed_at)

    @admin.display(description="notifications")
    def notifications(self, feed: Feed) -> SafeString:
        """Link to the feed's notifications."""
        url = reverse("admin:notifications_notification_changelist")
        return format_html('<a class="text-link" href="{}?feed__id__exact={}">show</a>', url, feed.pk)


@admin.register(Notification)
class NotificationAdmin(ReadOnlyAdmin):
    """Notifications, found by user id or by feed and number, with the links in their frames hidden."""

    actions = None
    list_display = ("created", "feed_link", "seq", "collapse_key", "frame_type", "expires")
    list_select_related = ("feed",)
    sortable_by = ()
    query_parameters: ClassVar = frozenset({"feed__id__exact", "feed__user_id", "seq"})
    search_fields = ("feed__user_id",)
    search_help_text = "A whole user id"
    fields = ("feed_link", "seq", "subject", "created", "expires", "redeliveries", "pretty_frame")
    readonly_fields = ("feed_link", "subject", "created", "expires", "pretty_frame")

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Allow a filter by number only within one feed: no index has the numbers of all feeds."""
        is_of_feed = any(name.startswith("feed__") for name in request.GET)
        return super().lookup_allowed(lookup, value, request) and (lookup != "seq" or is_of_feed)

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        """Sort the newest first: within one feed by number, which its index serves, else by id.

        By id, PostgreSQL may scan the table from its end, past all rows since the feed's newest one.
        """
        return ("-seq",) if "feed__id__exact" in request.GET else ("-pk",)

    def find(self, term: str) -> Q:
        """Match a whole user id."""
        return Q(feed__user_id=term)

    @admin.display(description="feed")
    def feed_link(self, notification: Notification) -> SafeString:
        """Link to the notification's feed."""
        url = reverse("admin:notifications_feed_change", args=[notification.feed_id])
        return format_html('<a class="text-link" href="{}">{}</a>', url, notification.feed.user_id)

    @admin.display(description="collapse key")
    def subject(self, notification: Notification) -> str:
        """Link the key `KIND:ID` to the page that settings.NOTIFICATIONS_SUBJECT_PAGES names for its kind, if any.

        The setting maps a kind to the name of a URL, which takes the id as its one argument.
        """
        kind, _, subject_id = notification.collapse_key.partition(":")
        page = getattr(settings, "NOTIFICATIONS_SUBJECT_PAGES", {}).get(kind)
        if not page or not subject_id:
            return notification.collapse_key
        url = reverse(page, args=[subject_id])
        return format_html('<a class="text-link" href="{}">{}</a>', url, notification.collapse_key)

    @admin.display(description="created (UTC)")
    def created(self, notification: Notification) -> str:
        """Show when the notification was written."""
        return instant(notification.created_at)

    @admin.display(description="expires (UTC)", empty_value="never")
    def expires(self, notification: Notification) -> str:
        """Show from when on the notification is not redelivered."""
        return instant(notification.expires_at)

    @admin.display(description="type")
    def frame_type(self, notification: Notification) -> str:
        """Show the frame's type."""
        return str(json.loads(notification.frame).get("type", ""))

    @admin.display(description="frame")
    def pretty_frame(self, notification: Notification) -> SafeString:
        """Show the frame, without links."""
        return pretty_json(json.loads(notification.frame, object_hook=_hide_links))


def _hide_links(obj: dict[str, Any]) -> dict[str, Any]:
    """Replace links: a person with a Checkout link may open the user's payment page."""
    return {
        key: HIDDEN_LINK if isinstance(value, str) and value.startswith(("http://", "https://")) else value
        for key, value in obj.items()
    }
