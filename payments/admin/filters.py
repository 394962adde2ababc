"""Filters of the lists. They are forms, because listing a column's values would scan the table."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, time
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
        # Django refuses a parameter that no filter has taken out.
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


def _filter(title: str, **fields: Field) -> type[FormFilter]:
    return type("Filter", (FormFilter,), {"title": title, "fields": fields})


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


def _days(column: str) -> dict[str, Field]:
    """Return the fields of a range of days in UTC, both included."""
    return {
        "since": (_day("From"), lambda day: Q((f"{column}__gte", datetime.combine(day, time.min, UTC)))),
        "until": (_day("To"), lambda day: Q((f"{column}__lte", datetime.combine(day, time.max, UTC)))),
    }


def _needs_attention(reason: str) -> Q:
    """Exclude payments without a reason too, so that PostgreSQL uses the index of those with one."""
    flagged = ~Q(attention="")
    return flagged if reason == ANY else flagged & Q(attention__contains=reason)


_REASONS = [(ANY, "For any reason"), *Attention.choices]
_CODE = _text(max_length=3, placeholder="usd, eur, …")
_TYPE = _text(max_length=100, placeholder="charge.dispute")

StatusFilter = _filter("status", status=(_select(Status.choices), lambda value: Q(status=value)))
AttentionFilter = _filter("need for attention", attention=(_select(_REASONS), _needs_attention))
CreatedFilter = _filter("created (UTC)", **_days("created_at"))
CurrencyFilter = _filter("currency", currency=(_CODE, lambda value: Q(currency=value.lower())))

StateFilter = _filter("state", state=(_select(WebhookEvent.State.choices), lambda value: Q(state=value)))
ReasonFilter = _filter("reason", reason=(_select(WebhookEvent.Reason.choices), lambda value: Q(reason=value)))
TypeFilter = _filter("type", type=(_TYPE, lambda value: Q(type__startswith=value)))
"""Finds types by their beginning: `charge.dispute` finds all five of disputes."""
ReceivedFilter = _filter("received (UTC)", **_days("received_at"))
