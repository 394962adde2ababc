"""Filters of the lists. They are forms, because listing a column's values would scan the table."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, time
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from payments.models import WebhookEvent
from payments.status import Attention, Status

ANY = "any"


class FormFilter(admin.ListFilter):
    """A filter whose choices are the fields of a form; each field's name is a parameter of the URL."""

    template = "admin/filters/form.html"
    fields: ClassVar[dict[str, forms.Field]]

    def __init__(
        self, request: HttpRequest, params: dict[str, Any], model: type[Model], model_admin: Any
    ) -> None:
        """Take this filter's parameters out of `params`."""
        super().__init__(request, params, model, model_admin)
        self.used_parameters = {name: params.pop(name)[-1] for name in self.fields if name in params}
        self.form = forms.Form(self.used_parameters)
        self.form.fields.update(self.fields)

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
        return queryset.filter(**self.lookups(self.form.cleaned_data))

    def lookups(self, values: dict[str, Any]) -> dict[str, Any]:
        """Return the lookups of the fields that are filled in."""
        return {name: value for name, value in values.items() if value}


def _select(choices: Sequence[tuple[str, str]]) -> forms.ChoiceField:
    return forms.ChoiceField(
        label="", required=False, choices=[("", "All"), *choices], widget=UnfoldAdminSelectWidget
    )


def _text(*, max_length: int, placeholder: str) -> forms.CharField:
    widget = UnfoldAdminTextInputWidget(attrs={"placeholder": placeholder, "autocapitalize": "none"})
    return forms.CharField(label="", required=False, max_length=max_length, widget=widget)


def _day(label: str) -> forms.DateField:
    widget = UnfoldAdminTextInputWidget(attrs={"type": "date", "aria-label": label})
    return forms.DateField(label=label, required=False, widget=widget)


class StatusFilter(FormFilter):
    """Payments of a status."""

    title = "status"
    fields: ClassVar = {"status": _select(Status.choices)}


class AttentionFilter(FormFilter):
    """Payments that need attention, for any reason or for one."""

    title = "need for attention"
    fields: ClassVar = {"attention": _select([(ANY, "For any reason"), *Attention.choices])}

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Exclude payments without a reason too, so that PostgreSQL uses the index of those with one."""
        found = super().queryset(request, queryset)
        return found.exclude(attention="") if self.form.cleaned_data["attention"] else found

    def lookups(self, values: dict[str, Any]) -> dict[str, Any]:
        """Return no lookup for any reason: `queryset` excludes payments without one."""
        return (
            {}
            if values["attention"] == ANY
            else super().lookups({"attention__contains": values["attention"]})
        )


class CurrencyFilter(FormFilter):
    """Payments in a currency."""

    title = "currency"
    fields: ClassVar = {"currency": _text(max_length=3, placeholder="usd, eur, …")}

    def lookups(self, values: dict[str, Any]) -> dict[str, Any]:
        """Return the lookup in lower case, as currencies are stored."""
        return super().lookups({"currency": values["currency"].lower()})


class StateFilter(FormFilter):
    """Events in a state."""

    title = "state"
    fields: ClassVar = {"state": _select(WebhookEvent.State.choices)}


class ReasonFilter(FormFilter):
    """Events that were ignored for a reason."""

    title = "reason"
    fields: ClassVar = {"reason": _select(WebhookEvent.Reason.choices)}


class TypeFilter(FormFilter):
    """Events whose type begins with a text: `charge.dispute` finds all five types of disputes."""

    title = "type"
    fields: ClassVar = {"type": _text(max_length=100, placeholder="charge.dispute")}

    def lookups(self, values: dict[str, Any]) -> dict[str, Any]:
        """Return the lookup of a prefix, which the index serves."""
        return super().lookups({"type__startswith": values["type"]})


class DateFilter(FormFilter):
    """Rows of a range of days in UTC, both included."""

    fields: ClassVar = {"since": _day("From"), "until": _day("To")}
    column: ClassVar[str]

    def lookups(self, values: dict[str, Any]) -> dict[str, Any]:
        """Return the lookups from the start of the first day to the end of the last."""
        since, until = values["since"], values["until"]
        return super().lookups(
            {
                f"{self.column}__gte": since and datetime.combine(since, time.min, tzinfo=UTC),
                f"{self.column}__lte": until and datetime.combine(until, time.max, tzinfo=UTC),
            }
        )


class CreatedFilter(DateFilter):
    """Payments by the day they were created."""

    title = "created (UTC)"
    column = "created_at"


class ReceivedFilter(DateFilter):
    """Events by the day they were received."""

    title = "received (UTC)"
    column = "received_at"
