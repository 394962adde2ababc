"""The pages of a payment on which staff refund, cancel, ask Stripe, and approve. Each action is on record."""

import uuid
from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from unfold.widgets import UnfoldAdminIntegerFieldWidget

from database.readonly_admin import ReadOnlyAdmin
from payments.checkout import approval, cancel
from payments.checkout.create import IdempotencyKeyReused
from payments.checkout.refundable import NotRefundable
from payments.models import Payment, StatusChange, WaitingRefund
from payments.reconciliation import stale_payments
from payments.stripe import gateway
from payments.stripe.currencies import format_amount
from payments.stripe.deadline import within

SECONDS = 12
"""How long Stripe has for an action."""
_REFUSALS = (
    NotRefundable,
    IdempotencyKeyReused,
    approval.NotApprovable,
    cancel.NotCancelable,
    gateway.StripeError,
)

Do = Callable[[Payment, dict[str, Any]], str]


class MinorUnits(forms.IntegerField):
    """A sum in minor units. Django's field reads 5.00 as 5, which would be five cents."""

    def to_python(self, value: Any) -> int | None:
        """Return the sum, or None for an empty field. Raises ValidationError."""
        if value not in self.empty_values and not str(value).strip().isdecimal():
            raise forms.ValidationError("Write minor units, without a point: 500 is 5.00 USD, and 500 JPY.")
        return super().to_python(value)


class RefundForm(forms.Form):
    """How much to refund. The key makes a form that is sent twice one refund."""

    amount = MinorUnits(
        label="Amount in minor units",
        required=False,
        min_value=1,
        max_value=2**53,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text="Such as cents: 500 is 5.00 USD, and 500 JPY. Empty: all that is left.",
    )
    key = forms.UUIDField(widget=forms.HiddenInput)


class PaymentActions(ReadOnlyAdmin):
    """The actions on a payment."""

    def get_urls(self) -> list[URLPattern]:
        """Add a page for each action."""
        actions = {"refund": self.refund, "cancel": self.cancel, "fetch": self.fetch}
        pages = [
            path(f"<uuid:pk>/{name}/", self.admin_site.admin_view(view), name=f"payments_payment_{name}")
            for name, view in actions.items()
        ]
        decide = self.admin_site.admin_view(self.decide)
        pages.append(path("refunds/<int:waiting_id>/<str:word>/", decide, name="payments_payment_decide"))
        return [*pages, *super().get_urls()]

    def refund(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        """Refund a payment, or let the refund wait for a second person."""

        def do(payment: Payment, asked: dict[str, Any]) -> str:
            key, amount = f"staff-{asked['key']}", asked["amount"]
            text = "all that is left" if amount is None else format_amount(amount, payment.currency)
            # On record before it is tried: of a refund whose answer is lost there would be no record otherwise.
            self.log_change(request, payment, f"Asked for a refund of {text}.")
            made = approval.ask(payment_id=pk, amount=amount, key=key, by=request.user)
            if isinstance(made, WaitingRefund):
                return f"The refund of {made} waits for another person's approval."
            return f"Refunded {format_amount(made.amount, payment.currency)}: {made.refund_id}."

        form = RefundForm(request.POST if request.method == "POST" else None, initial={"key": uuid.uuid4()})
        return self._act(request, pk, permission="refund_payment", title="Refund", do=do, form=form)

    def cancel(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        """Cancel an open payment."""

        def do(payment: Payment, _: dict[str, Any]) -> str:
            self.log_change(request, payment, "Asked to cancel.")
            return f"The payment is {cancel.cancel(payment_id=pk, cause=StatusChange.Cause.STAFF).status}."

        return self._act(request, pk, permission="cancel_payment", title="Cancel", do=do)

    def fetch(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        """Ask Stripe how a payment's session is, and apply the answer."""

        def do(payment: Payment, _: dict[str, Any]) -> str:
            self.log_change(request, payment, "Asked Stripe.")
            if payment.session_id is None:
                return "There is no session to ask for."
            return stale_payments.compare(payment, dry_run=False).text or "Stripe says the same."

        return self._act(request, pk, permission="fetch_payment", title="Ask Stripe", do=do)

    def decide(self, request: HttpRequest, waiting_id: int, word: str) -> HttpResponse:
        """Approve or refuse a refund that waits."""
        waiting = WaitingRefund.objects.filter(pk=waiting_id).first()
        if waiting is None or word not in {"approve", "refuse"}:
            raise Http404

        def do(payment: Payment, _: dict[str, Any]) -> str:
            self.log_change(request, payment, f"Asked to {word} a refund of {waiting}.")
            approval.decide(waiting_id=waiting_id, is_approved=word == "approve", by=request.user)
            return f"The refund of {waiting} is {'approved and made' if word == 'approve' else 'refused'}."

        title = f"{word.capitalize()} a refund of {waiting}"
        return self._act(request, waiting.payment_id, permission="approve_refund", title=title, do=do)

    def _act(
        self,
        request: HttpRequest,
        pk: uuid.UUID,
        *,
        permission: str,
        title: str,
        do: Do,
        form: forms.Form | None = None,
    ) -> HttpResponse:
        """Ask before, do what is asked, and say what came of it. What is refused is on record too."""
        if not self.has_view_permission(request) or not request.user.has_perm(f"payments.{permission}"):
            raise PermissionDenied
        if (payment := Payment.objects.filter(pk=pk).first()) is None:
            raise Http404
        form = form or forms.Form(request.POST if request.method == "POST" else None)
        if not form.is_valid():
            context = self.admin_site.each_context(request) | {
                "opts": self.opts,
                "title": title,
                "form": form,
            }
            return TemplateResponse(
                request, "admin/payments/payment/act.html", context | {"payment": payment}
            )
        try:
            with within(SECONDS):
                messages.success(request, do(payment, form.cleaned_data))
        except _REFUSALS as error:
            self.log_change(request, payment, f"That failed: {type(error).__name__}.")
            # IdempotencyKeyReused alone says nothing by itself.
            messages.error(request, str(error) or "This form was used for another refund: open it again.")
        return HttpResponseRedirect(reverse("admin:payments_payment_change", args=[pk]))


def buttons(request: HttpRequest, payment: Payment) -> list[tuple[str, str]]:
    """Return the titles and addresses of the actions that the user may do, for the payment's page."""
    names = {"refund": "Refund", "cancel": "Cancel", "fetch": "Ask Stripe"}
    found = [
        (title, reverse(f"admin:payments_payment_{name}", args=[payment.pk]))
        for name, title in names.items()
        if request.user.has_perm(f"payments.{name}_payment")
    ]
    if request.user.has_perm("payments.approve_refund"):
        for waiting in payment.waiting_refunds.exclude(is_approved=False):
            if not waiting.is_made():
                # It is approved and Stripe has not made it: its answer was lost, and to approve again is the
                # same refund.
                words = ("approve",) if waiting.is_approved else ("approve", "refuse")
                found += [
                    (
                        f"{word.capitalize()} {waiting}",
                        reverse("admin:payments_payment_decide", args=[waiting.pk, word]),
                    )
                    for word in words
                ]
    return found
