"""Filters of the lists. They are forms, because listing a column's values would scan the table."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from payments.models import WebhookEvent
from payments.status import Attention, Status

ANY = "any"

Field = tuple[forms.Field, Callable[[Any], Q]]
"""A field of a form, and what returns the condition for a value of it. An index has to serve the condition."""


class FormFilter(admin.ListFilter):
    """A filter whose choices are the fields of a form; each field's name is a parameter of the URL."""

    template = "admin/filters/form.html"
    fields: ClassVar[Mapping[str, Field]]

    def __init__(
        self, request: HttpRequest, params: dict[str, Any], model: type[Model], model_admin: Any
    ) -> None:
        """Take this filter's parameters out of `params`."""
        super().__init__(request, params, model, model_admin)
        self.used_parameters = {name: params.pop(name)[-1] for name in self.fields if name in params}
        self.form = forms.Form(self.used_parameters)
        self.form.fields.update({name: field for name, (field, _) in self.fields.items()})

    def has_output(self) -> bool:
        """Show the filter always."""
        return True

    def expected_parameters(self) -> list[str | None]:
        """Return the names of the URL's parameters."""
        return list(self.fields)

    def choices(self, changelist: ChangeList) -> Iterator[Any]:  # noqa: ARG002 Django's signature
        """Yield the form, for the template."""
        yield {"form": self.form}

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:  # noqa: ARG002
        """Return the filtered rows; ask Django to drop parameters that are not valid."""
        if not self.form.is_valid():
            raise IncorrectLookupParameters(self.form.errors)
        filled = {name: value for name, value in self.form.cleaned_data.items() if value}
        return queryset.filter(*(self.fields[name][1](value) for name, value in filled.items()))


def _select(choices: Sequence[tuple[str, str]]) -> forms.ChoiceField:
    return forms.ChoiceField(
        label="", required=False, choices=[("", "All"), *choices], widget=UnfoldAdminSelectWidget
    )


def _text(*, max_length: int, placeholder: str) -> forms.CharField:
    widget = UnfoldAdminTextInputWidget(attrs={"placeholder": placeholder, "autocapitalize": "none"})
    return forms.CharField(label="", required=False, max_length=max_length, widget=widget)


def _days(column: str) -> dict[str, Field]:
    """Return the fields of a range of days in UTC, both included."""

    def day(label: str) -> forms.DateField:
        widget = UnfoldAdminTextInputWidget(attrs={"type": "date", "aria-label": label})
        return forms.DateField(label=label, required=False, widget=widget)

    def since(first: date) -> Q:
        return Q((f"{column}__gte", datetime.combine(first, time.min, tzinfo=UTC)))

    def until(last: date) -> Q:
        return Q((f"{column}__lte", datetime.combine(last, time.max, tzinfo=UTC)))

    return {"since": (day("From"), since), "until": (day("To"), until)}


def _needs_attention(reason: str) -> Q:
    """Exclude payments without a reason too, so that PostgreSQL uses the index of those with one."""
    flagged = ~Q(attention="")
    return flagged if reason == ANY else flagged & Q(attention__contains=reason)


class StatusFilter(FormFilter):
    """Payments of a status."""

    title = "status"
    fields: ClassVar = {"status": (_select(Status.choices), lambda status: Q(status=status))}


class AttentionFilter(FormFilter):
    """Payments that need attention, for any reason or for one."""

    title = "need for attention"
    fields: ClassVar = {
        "attention": (_select([(ANY, "For any reason"), *Attention.choices]), _needs_attention)
    }


class CurrencyFilter(FormFilter):
    """Payments in a currency, which is stored in lower case."""

    title = "currency"
    fields: ClassVar = {
        "currency": (
            _text(max_length=3, placeholder="usd, eur, …"),
            lambda currency: Q(currency=currency.lower()),
        )
    }


class StateFilter(FormFilter):
    """Events in a state."""

    title = "state"
    fields: ClassVar = {"state": (_select(WebhookEvent.State.choices), lambda state: Q(state=state))}


class ReasonFilter(FormFilter):
    """Events that were ignored for a reason."""

    title = "reason"
    fields: ClassVar = {"reason": (_select(WebhookEvent.Reason.choices), lambda reason: Q(reason=reason))}


class TypeFilter(FormFilter):
    """Events whose type begins with a text: `charge.dispute` finds all five types of disputes."""

    title = "type"
    fields: ClassVar = {
        "type": (
            _text(max_length=100, placeholder="charge.dispute"),
            lambda beginning: Q(type__startswith=beginning),
        )
    }


class CreatedFilter(FormFilter):
    """Payments by the day they were created."""

    title = "created (UTC)"
    fields: ClassVar = _days("created_at")


class ReceivedFilter(FormFilter):
    """Events by the day they were received."""

    title = "received (UTC)"
    fields: ClassVar = _days("received_at")
