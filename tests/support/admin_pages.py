"""Read admin pages in tests."""

from html import unescape

from django.urls import reverse


def page_of(row):
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])


def text_of(response):
    assert response.status_code == 200
    return unescape(response.content.decode())


def found(response):
    assert response.status_code == 200
    return list(response.context["cl"].result_list)
