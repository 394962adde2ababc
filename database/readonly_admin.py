"""The base of all admin pages: they only show, and stay quick on tables of millions of rows."""

import json
from datetime import datetime
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.paginator import InfinitePaginator


class ReadOnlyAdmin(ModelAdmin):
    """Shows rows. No member of staff can add, change or delete one, superusers included."""

    list_per_page = 50
    # Counting would read the whole table: no totals, no page numbers, no counts beside the filters.
    paginator = InfinitePaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_filter_submit = True
    list_disable_select_all = True

    query_parameters: ClassVar[frozenset[str]] = frozenset()
    """The filters that a URL may carry. Django allows any field, which would scan the table, or let a member of staff
    find out a hidden link letter by letter."""

    def _refuse(self, request: HttpRequest, obj: Model | None = None) -> bool:  # noqa: ARG002 Django's signature
        return False

    has_add_permission = has_change_permission = has_delete_permission = _refuse

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:  # noqa: ARG002
        """Allow the filters in `query_parameters` alone."""
        return lookup in self.query_parameters

    def find(self, term: str) -> Q:
        """Return the condition of a search. An index has to serve it: a whole id, or the start of one."""
        raise NotImplementedError

    def get_search_results(
        self,
        request: HttpRequest,  # noqa: ARG002
        queryset: QuerySet[Any],
        search_term: str,
    ) -> tuple[QuerySet[Any], bool]:
        """Search for the whole term as one id. Django's own search would split a user id at a space."""
        term = search_term.strip()
        return (queryset.filter(self.find(term)) if term else queryset), False

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Redirect without the empty fields of the filters' form: they would count as active filters."""
        if request.method == "GET" and "" in request.GET.values():
            filled = request.GET.copy()
            for name in [name for name, value in request.GET.items() if not value]:
                del filled[name]
            return HttpResponseRedirect(f"{request.path}?{filled.urlencode()}")
        return super().changelist_view(request, extra_context)


def instant(value: datetime | None) -> str:
    """Return a time in UTC, to the second; empty for None."""
    return f"{value:%Y-%m-%d %H:%M:%S}" if value else ""


def pretty_json(value: Any) -> SafeString:
    """Return a value as JSON, indented and escaped."""
    return format_html(
        '<pre class="leading-relaxed text-xs" style="white-space: pre-wrap; overflow-wrap: anywhere">{}</pre>',
        json.dumps(value, indent=2, ensure_ascii=False),
    )
