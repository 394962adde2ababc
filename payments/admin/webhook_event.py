"""The admin of webhook events."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, ClassVar, cast

from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.db.models import Q, QuerySet, prefetch_related_objects
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from database.readonly_admin import ReadOnlyAdmin, instant, pretty_json
from payments.admin.filters import ReasonFilter, ReceivedFilter, StateFilter, TypeFilter
from payments.admin.texts import label, times
from payments.admin.timeline import TONES, describe_deliveries, read_change
from payments.models import Intent, Payment, StatusChange, WebhookEvent
from payments.stripe.values import uuid_of
from payments.webhooks import apply
from payments.webhooks.scrubbing import scrub

SELECTED_AT_MOST = 100
ERRORS_SHOWN = 5

State = WebhookEvent.State


@admin.register(WebhookEvent)
class WebhookEventAdmin(ReadOnlyAdmin):
    """Webhook events, each with its body and the statuses that it changed."""

    list_display = ("received", "type", "state_label", "reason", "attempts", "deliveries", "payment_link")
    list_display_links = ("received", "type")
    list_filter = (StateFilter, ReasonFilter, TypeFilter, ReceivedFilter)
    query_parameters: ClassVar = frozenset(
        {"state", "reason", "type", "since", "until", "payment__id__exact"}
    )
    list_select_related = ("payment",)
    sortable_by = ("received",)
    search_fields = ("event_id", "object_id", "payment_intent_id")
    search_help_text = "Start of an event or object, or an intent"
    actions = ("apply_again",)
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("type", "state_label"),
                    ("payment_link", "changed"),
                    "reason",
                    "error",
                    ("event_id", "object_id"),
                    ("payment_intent_id", "mode"),
                    ("created", "received"),
                    ("applied", "counts"),
                )
            },
        ),
        ("Payload", {"fields": ("payload",)}),
    )

    def has_apply_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may apply events, which can change payments' statuses."""
        return request.user.has_perm("payments.change_webhookevent")

    def get_queryset(self, request: HttpRequest) -> QuerySet[WebhookEvent]:
        """Return events without the fields that no list shows."""
        queryset: QuerySet[WebhookEvent] = super().get_queryset(request)
        return queryset.defer("body", "payment__facts", "payment__stripe_params")

    def get_fieldsets(self, request: HttpRequest, obj: WebhookEvent | None = None) -> Any:
        """Leave out an empty error and reason: their help texts would read like one."""
        (name, options), *others = super().get_fieldsets(request, obj)
        empty = {name for name in ("reason", "error") if not (obj and getattr(obj, name))}
        fields = [field for field in options["fields"] if field not in empty]
        return [(name, options | {"fields": fields}), *others]

    def find(self, term: str) -> Q:
        """Return the condition. Find applied events by their payment too, and parked ones by their intent."""
        known = Q(pk=number) if (number := uuid_of(term)) else Q(session_id=term)
        # Looked up before: no index serves a condition on two tables.
        payments = list(Payment.objects.filter(known).values_list("pk", flat=True))
        intents = Intent.objects.filter(intent_id=term, payment__isnull=False)
        payments += intents.values_list("payment_id", flat=True)
        begins = Q(event_id__startswith=term) | Q(object_id__startswith=term)
        return begins | Q(payment__in=payments) | Q(payment_intent_id=term, state=State.PARKED)

    @admin.action(description="Apply again", permissions=["apply"])
    def apply_again(self, request: HttpRequest, queryset: QuerySet[WebhookEvent]) -> HttpResponse | None:
        """Apply the selected events again, log who did it, and report the results."""
        events = list(queryset.order_by("received_at", "pk")[: SELECTED_AT_MOST + 1])
        if len(events) > SELECTED_AT_MOST:
            text = f"Nothing was applied: select at most {SELECTED_AT_MOST}. `replay_webhooks` takes more."
            self.message_user(request, text, messages.ERROR)
            return None
        # On record before it is tried.
        LogEntry.objects.log_actions(cast("int", request.user.pk), events, CHANGE, "Applied again.")
        outcomes = apply.apply([event.event_id for event in events], cause=StatusChange.Cause.STAFF)
        _report(request, outcomes)
        if len(events) == 1:
            return HttpResponseRedirect(reverse("admin:payments_webhookevent_change", args=[events[0].pk]))
        return None

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Add whether the user may apply the event."""
        # The templates read each field several times.
        prefetch_related_objects([kwargs["obj"]], "changes")
        context["may_apply"] = self.has_apply_permission(request)
        return super().render_change_form(request, context, *args, **kwargs)

    @admin.display(description="received (UTC)", ordering="received_at")
    def received(self, event: WebhookEvent) -> str:
        """Return when it was received."""
        return instant(event.received_at)

    @admin.display(description="created at Stripe (UTC)")
    def created(self, event: WebhookEvent) -> str:
        """Return when Stripe created it."""
        return instant(event.created_at)

    @admin.display(description="applied (UTC)")
    def applied(self, event: WebhookEvent) -> str:
        """Return when it was applied."""
        return instant(event.applied_at)

    @admin.display(description="state")
    def state_label(self, event: WebhookEvent) -> SafeString:
        """Return the state as a label."""
        return label(
            event.get_state_display(), tone=(TONES | {State.APPLIED: "success"}).get(event.state, "")
        )

    @admin.display(description="deliveries and attempts")
    def counts(self, event: WebhookEvent) -> str:
        """Return how often it was delivered, and how often the service tried to apply it."""
        tried = f"tried {times(event.attempts)}" if event.attempts else "not tried yet"
        return f"{describe_deliveries(event)}, {tried}"

    def mode(self, event: WebhookEvent) -> str:
        """Return mode and API version."""
        return f"{'live' if event.livemode else 'test'}, API version {event.api_version or 'unknown'}"

    @admin.display(description="payment", empty_value="-")
    def payment_link(self, event: WebhookEvent) -> SafeString | None:
        """Return a link to the payment."""
        return _link(event.payment) if event.payment else None

    @admin.display(description="status changes")
    def changed(self, event: WebhookEvent) -> str:
        """Return the statuses that it changed, one per line."""
        return "\n".join(
            f"{read_change(change)}, cause: {change.get_cause_display()}" for change in event.changes.all()
        )

    @admin.display(description="body")
    def payload(self, event: WebhookEvent) -> SafeString:
        """Return the body as JSON, scrubbed by the rules of today."""
        return pretty_json(scrub(event.content))


def _link(payment: Payment) -> SafeString:
    url = reverse("admin:payments_payment_change", args=[payment.pk])
    return format_html('<a class="text-link" href="{}">{}</a>', url, payment.ride_id)


def _report(request: HttpRequest, outcomes: Sequence[apply.EventResult]) -> None:
    """Show the user the events' states, the status changes, and the first errors."""
    states = Counter(outcome.state for outcome in outcomes)
    summary = ", ".join(f"{count} {State(state).label}" for state, count in states.items())
    changes = [change for outcome in outcomes for change in outcome.changes]
    changed = format_html_join(
        "", "<br>{}: {}", ((_link(change.payment), read_change(change)) for change in changes)
    )
    text = format_html("{}. {}{}", summary, "Changed:" if changes else "No status changed.", changed)
    failed = [outcome for outcome in outcomes if outcome.state == State.FAILED]
    messages.add_message(request, messages.WARNING if failed else messages.SUCCESS, text)
    for outcome in failed[:ERRORS_SHOWN]:
        messages.error(request, f"{outcome.event_id}: {outcome.error}")
