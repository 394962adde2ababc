"""The pages of the site. What their scripts do is tested in tests/browser."""

import re
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.staticfiles import finders
from django.template.loader import render_to_string

from payments.stripe.currencies import SUPPORTED, decimals
from payments_project.demo import CURRENCIES

TEMPLATES = Path(settings.BASE_DIR, "templates")


@pytest.fixture
def production(settings):
    settings.DEBUG = False
    settings.API_KEYS = ["a-key-that-nobody-may-see"]


def test_the_demo_holds_the_development_key(client, settings):
    settings.DEBUG = True
    settings.API_KEYS = ["dev-key"]

    page = client.get("/").content.decode()

    assert 'data-key="dev-key"' in page
    assert 'src="/static/demo/demo.js"' in page


def test_the_demo_says_how_many_decimals_a_currency_has(client, settings):
    settings.DEBUG = True

    page = client.get("/").content.decode()

    offered = dict(re.findall(r'<option value="(\w+)" data-decimals="(\d)">', page))
    assert offered == {code.upper(): str(decimals(code)) for code in CURRENCIES}
    assert offered["JPY"] == "0"
    assert set(CURRENCIES) <= SUPPORTED


@pytest.mark.parametrize(("auth", "asked"), [("open", False), ("token", True)])
def test_the_demo_asks_for_a_token_where_the_socket_does(client, settings, auth, asked):
    settings.DEBUG = True
    settings.NOTIFICATIONS_AUTH = auth

    assert ('name="token"' in client.get("/").content.decode()) is asked


def test_in_production_the_front_page_holds_no_key_and_no_script(client, production):
    page = client.get("/").content.decode()

    assert "a-key-that-nobody-may-see" not in page
    assert "<script" not in page
    assert ">Demo<" not in page
    assert 'href="/api/docs"' in page
    assert 'href="/admin/"' in page


def test_after_giving_up_the_customer_reads_that_nothing_was_paid(client):
    assert "Nothing was paid" in client.get("/checkout/cancel").content.decode()


def test_a_browser_that_asks_for_an_icon_by_its_old_name_is_sent_to_it(client, production):
    response = client.get("/favicon.ico")

    assert (response.status_code, response["Location"]) == (302, "/static/icon.svg")


@pytest.mark.parametrize(
    "path", ["/", "/sandbox/", "/checkout/success", "/nothing", "/api/docs", "/admin/login/"]
)
def test_every_page_names_an_icon_that_is_there(client, settings, db, path):
    settings.DEBUG = path != "/nothing"
    page = client.get(path).content.decode()

    icons = re.findall(r'<link[^>]*\srel="icon"[^>]*>', page)
    addresses = [re.search(r'href="([^"]+)"', icon)[1] for icon in icons]
    assert addresses
    assert all(finders.find(address.removeprefix("/static/")) for address in addresses)


@pytest.mark.parametrize("path", ["/", "/checkout/success", "/checkout/cancel"])
def test_a_page_cannot_be_posted_to(client, path):
    assert client.post(path).status_code == 405


def test_an_unknown_address_answers_404_in_the_look_of_the_site(client, production):
    response = client.get("/no/such/page")

    assert response.status_code == 404
    assert "site.css" in response.content.decode()


@pytest.mark.parametrize("name", ["400.html", "403.html", "403_csrf.html", "404.html", "500.html"])
def test_an_error_page_needs_nothing_to_be_rendered(name):
    assert "<h1>" in render_to_string(name)


def test_no_page_has_inline_script_or_style_or_loads_from_elsewhere():
    for template in TEMPLATES.rglob("*.html"):
        if "admin" in template.relative_to(TEMPLATES).parts:
            continue
        text = template.read_text()
        assert not re.search(
            r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=|(src|href)=\"(https?:)?//", text
        ), template
