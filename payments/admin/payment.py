"""The admin of payments."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Q, QuerySet, prefetch_related_objects
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from database.readonly_admin import instant, pretty_json
from notifications.feed import confirmed_until
from payments.admin import tables, timeline
from payments.admin.actions import PaymentActions, buttons
from payments.admin.filters import AttentionFilter, CreatedFilter, CurrencyFilter, StatusFilter
from payments.admin.texts import label, read_sum
from payments.facts import mismatches
from payments.forgotten import without_person
from payments.models import Intent, Payment
from payments.status import Attention, Status, is_open
from payments.stripe.currencies import format_amount
from payments.stripe.values import uuid_of
from payments.webhooks.scrubbing import scrub

EVENTS_SHOWN = 200
INTENTS_FOUND = 100
"""How many payment intents a search follows to their payments."""

_TONES = {
    Status.PROCESSING: "info",
    Status.SUCCEEDED: "success",
    Status.FAILED: "danger",
    Status.PARTIALLY_REFUNDED: "warning",
    Status.REFUNDED: "warning",
    Status.DISPUTED: "danger",
    Status.CHARGED_BACK: "danger",
}
_WARNINGS = {Attention.FOREIGN_SESSION, Attention.REWRITTEN, Attention.UNKNOWN_VALUE}
"""Reasons for attention that are no danger to money."""


@admin.register(Payment)
class PaymentAdmin(PaymentActions):
    """Payments, each with its money, its time line, its facts and its request."""

    list_display = ("created", "ride_id", "user_id", "money", "state", "needs_attention")
    list_display_links = ("created", "ride_id")
    list_filter = (StatusFilter, AttentionFilter, CreatedFilter, CurrencyFilter)
    query_parameters: ClassVar = frozenset({"status", "attention", "since", "until", "currency"})
    sortable_by = ("created",)
    search_fields = ("id", "ride_id", "user_id", "session_id", "intents__intent_id")
    search_help_text = "Id, or start of a ride, user, session or intent"
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("state", "money"),
                    ("needs_attention",),
                    ("ride_id", "user"),
                    ("id", "created"),
                    ("api_key",),
                    ("session_id", "payment_intents"),
                    ("checkout", "description"),
                )
            },
        ),
        ("Facts", {"classes": ("collapse",), "fields": ("known",)}),
        (
            "Request",
            {
                "classes": ("collapse",),
                "fields": ("idempotency_key", "request_digest", "ride_claim", "stripe_request"),
            },
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Payment]:
        """Return payments without the fields that no list shows."""
        queryset: QuerySet[Payment] = super().get_queryset(request)
        return queryset.defer("payment_url", "stripe_params")

    def get_fieldsets(self, request: HttpRequest, obj: Payment | None = None) -> Any:
        """Leave out the row about attention unless the payment needs it."""
        (name, options), *others = super().get_fieldsets(request, obj)
        attention = ("needs_attention",)
        fields = [field for field in options["fields"] if field != attention or (obj and obj.attention)]
        if not _sees_customers(request):
            fields = ["checkout" if field == ("checkout", "description") else field for field in fields]
            others = []
        return [(name, options | {"fields": fields}), *others]

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Payment | None:
        """Return the payment, without the card's digits and the receipt for staff that may not see customers."""
        payment: Payment | None = super().get_object(request, object_id, from_field)
        if payment and not _sees_customers(request):
            payment.facts = dict(without_person(payment.facts))
        return payment

    def find(self, term: str) -> Q:
        """Return the condition. Case counts, because the indexes serve `startswith`, not `istartswith`."""
        names = ("ride_id", "user_id", "session_id")
        begins = Q(*((f"{name}__startswith", term) for name in names), _connector=Q.OR)
        # Looked up first: no index serves a condition on two tables.
        intents = Intent.objects.filter(intent_id__startswith=term, payment__isnull=False).order_by()
        begins |= Q(pk__in=list(intents.values_list("payment_id", flat=True)[:INTENTS_FOUND]))
        return begins | Q(pk=number) if (number := uuid_of(term)) else begins

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Add the tables and the time line."""
        # The tables and the fields read them several times.
        prefetch_related_objects([kwargs["obj"]], "intents")
        context |= _context(kwargs["obj"]) | {"buttons": buttons(request, kwargs["obj"])}
        return super().render_change_form(request, context, *args, **kwargs)

    @admin.display(description="created (UTC)", ordering="created_at")
    def created(self, payment: Payment) -> str:
        """Return when it was created."""
        return instant(payment.created_at)

    @admin.display(description="amount")
    def money(self, payment: Payment) -> str:
        """Return the amount with its currency."""
        return format_amount(payment.amount, payment.currency)

    @admin.display(description="status")
    def state(self, payment: Payment) -> SafeString:
        """Return the status as a label."""
        return label(payment.get_status_display(), tone=_TONES.get(Status(payment.status), ""))

    def needs_attention(self, payment: Payment) -> SafeString:
        """Return a label for each reason."""
        labels = (
            (label(_reason(payment, reason), tone="warning" if reason in _WARNINGS else "danger"),)
            for reason in map(Attention, payment.attention.split())
        )
        return format_html_join(" ", "{}", labels)

    def payment_intents(self, payment: Payment) -> str:
        """Return the ids of its payment intents."""
        return "\n".join(tables.intent_ids(payment))

    def user(self, payment: Payment) -> SafeString:
        """Return the user with a link to the notifications."""
        url = timeline.notifications_url(payment.user_id)
        return format_html('{} · <a class="text-link" href="{}">notifications</a>', payment.user_id, url)

    @admin.display(description="Checkout link")
    def checkout(self, payment: Payment) -> str:
        """Return the state of the link, never the link itself: only the user may have it."""
        if not payment.session_id:
            return payment.stripe_error or "not created yet"
        if payment.expires_at and payment.expires_at > timezone.now() and is_open(payment.facts):
            return f"open until {instant(payment.expires_at)} UTC"
        return "closed"

    @admin.display(description="facts")
    def known(self, payment: Payment) -> SafeString:
        """Return the facts as JSON."""
        return pretty_json(payment.facts)

    @admin.display(description="request to Stripe")
    def stripe_request(self, payment: Payment) -> SafeString:
        """Return the request as JSON, without the URLs that the customer returns to: they may carry a login."""
        return pretty_json(scrub(payment.stripe_params))


def _sees_customers(request: HttpRequest) -> bool:
    return request.user.has_perm("payments.view_customer")


def _reason(payment: Payment, reason: Attention) -> str:
    if reason is not Attention.OTHER_SUM:
        return reason.label
    sums = [read_sum(paid) for others in mismatches(payment.facts).values() for paid in others]
    return f"{reason.label}: {', '.join(sums)}"


def _context(payment: Payment) -> dict[str, Any]:
    """Return the template's context: the tables, and the time line with the newest events."""
    events = list(payment.events.defer("body").order_by("-received_at", "-pk")[:EVENTS_SHOWN])
    all_events = reverse("admin:payments_webhookevent_changelist")
    return {
        "tables": tables.build(payment),
        "timeline": timeline.build(
            payment,
            events=events,
            changes=payment.changes.select_related("event").defer("event__body"),
            refunds=payment.refund_requests.all(),
            confirmed=confirmed_until(user_id=payment.user_id),
        ),
        "all_events_url": f"{all_events}?payment__id__exact={payment.pk}",
        "events_shown": len(events) if len(events) == EVENTS_SHOWN else None,
    }
