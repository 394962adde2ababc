from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from payments.admin import timeline
from payments.admin.filters import CreatedFilter, CurrencyFilter, StatusFilter
from payments.admin.readonly import ReadOnlyAdmin, as_uuid, instant, label, pretty_json
from payments.currencies import format_amount
from payments.facts import mismatches
from payments.models import Payment
from payments.scrubbing import scrub
from payments.status import Status, is_open

EVENTS_SHOWN = 200

TONES = {
    Status.PENDING: "",
    Status.PROCESSING: "info",
    Status.SUCCEEDED: "success",
    Status.FAILED: "danger",
    Status.EXPIRED: "",
    Status.CANCELED: "",
    Status.PARTIALLY_REFUNDED: "warning",
    Status.REFUNDED: "warning",
    Status.DISPUTED: "danger",
    Status.CHARGED_BACK: "danger",
}


@admin.register(Payment)
class PaymentAdmin(ReadOnlyAdmin):
    list_display = ("created", "ride_id", "user_id", "money", "state")
    list_display_links = ("created", "ride_id")
    list_filter = (StatusFilter, CreatedFilter, CurrencyFilter)
    query_parameters: ClassVar = frozenset({"status", "since", "until", "currency"})
    sortable_by = ("created",)
    search_fields = ("id", "ride_id", "user_id", "session_id", "payment_intent_id")
    search_help_text = "Id, or start of a ride, user, session or intent"
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("state", "money"),
                    ("ride_id", "user"),
                    ("id", "created"),
                    ("session_id", "payment_intent_id"),
                    ("checkout", "description"),
                )
            },
        ),
        ("Facts", {"classes": ("collapse",), "fields": ("known",)}),
        (
            "Request",
            {
                "classes": ("collapse",),
                "fields": ("idempotency_key", "request_digest", "ride_claim", "asked_of_stripe"),
            },
        ),
    )
    readonly_fields = ("state", "money", "user", "created", "checkout", "known", "asked_of_stripe")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Payment]:
        queryset: QuerySet[Payment] = super().get_queryset(request)
        return queryset.defer("payment_url", "stripe_params")

    def find(self, term: str) -> Q:
        """Case counts: the indexes serve `startswith`, not `istartswith`."""
        names = ("ride_id", "user_id", "session_id", "payment_intent_id")
        begins = Q(*((f"{name}__startswith", term) for name in names), _connector=Q.OR)
        return begins | Q(pk=number) if (number := as_uuid(term)) else begins

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        return super().render_change_form(request, context | _story(kwargs["obj"]), *args, **kwargs)

    @admin.display(description="created (UTC)", ordering="created_at")
    def created(self, payment: Payment) -> str:
        return instant(payment.created_at)

    @admin.display(description="amount")
    def money(self, payment: Payment) -> str:
        return format_amount(payment.amount, payment.currency)

    @admin.display(description="status")
    def state(self, payment: Payment) -> SafeString:
        """Return the status, and a flag where another sum was paid than was asked for."""
        status = label(payment.get_status_display(), tone=TONES[Status(payment.status)])
        wrong = [timeline.read_sum(paid) for sums in mismatches(payment.facts).values() for paid in sums]
        flag = label(f"paid {', '.join(wrong)}", tone="danger") if wrong else ""
        return format_html("{} {}", status, flag)

    @admin.display(description="user")
    def user(self, payment: Payment) -> SafeString:
        url = timeline.notifications_url(payment.user_id)
        return format_html('{} · <a class="text-link" href="{}">notifications</a>', payment.user_id, url)

    @admin.display(description="Checkout link")
    def checkout(self, payment: Payment) -> str:
        """Say how long the link is good for. The link itself is the user's alone."""
        if not payment.session_id:
            return payment.stripe_error or "not created yet"
        if payment.expires_at and payment.expires_at > timezone.now() and is_open(payment.facts):
            return f"open until {instant(payment.expires_at)} UTC"
        return "closed"

    @admin.display(description="what is known")
    def known(self, payment: Payment) -> SafeString:
        return pretty_json(payment.facts)

    @admin.display(description="asked of Stripe")
    def asked_of_stripe(self, payment: Payment) -> SafeString:
        """Hide where Stripe sends the customer afterwards: an app's address may carry a login."""
        return pretty_json(scrub(payment.stripe_params))


def _story(payment: Payment) -> dict[str, Any]:
    """Return what the page's template needs beyond the fields: the time line, of the newest events."""
    events = list(payment.events.defer("body").order_by("-received_at", "-pk")[:EVENTS_SHOWN])
    changes = payment.changes.select_related("event").defer("event__body")
    all_events = reverse("admin:payments_webhookevent_changelist") + f"?payment__id__exact={payment.pk}"
    return {
        "timeline": timeline.build(
            payment, events=events, changes=list(changes), refunds=list(payment.refund_requests.all())
        ),
        "all_events_url": all_events,
        "events_shown": len(events) if len(events) == EVENTS_SHOWN else None,
    }
