import json

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from notifications.models import Feed, Notification
from tests.support.admin_pages import found, page_of, text_of
from tests.support.plans import on_postgresql, plan_of

FEEDS = "admin:notifications_feed_changelist"
NOTIFICATIONS = "admin:notifications_notification_changelist"
LINK = "https://checkout.stripe.example/pay/cs_1#secret"


@pytest.fixture
def admin_user(db):
    """A superuser without a password: hashing one takes a second."""
    return User.objects.create(username="admin", is_staff=True, is_superuser=True)


@pytest.fixture
def make_feed(db):
    """Return a function that makes a user's feed with so many notifications."""

    def make(user_id, *, length=1, frame=None, about="payment:1"):
        feed = Feed.objects.create(user_id=user_id, last_seq=length)
        frame = json.dumps(frame or {"type": "payment_url", "paymentUrl": LINK, "status": "pending"})
        Notification.objects.bulk_create(
            Notification(feed=feed, seq=seq, frame=frame, collapse_key=about) for seq in range(1, length + 1)
        )
        return feed

    return make


def test_every_page_is_shown_to_staff_who_may_only_see(client, make_feed):
    feed = make_feed("user")
    staff = User.objects.create_user("staff", is_staff=True)
    client.force_login(staff)
    pages = (reverse(FEEDS), page_of(feed), reverse(NOTIFICATIONS), page_of(feed.notifications.get()))
    assert {client.get(page).status_code for page in pages} == {403}
    staff.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    assert {client.get(page).status_code for page in pages} == {200}


@pytest.mark.parametrize("model", [Feed, Notification])
def test_not_even_a_superuser_adds_changes_or_deletes(admin_client, make_feed, model):
    make_feed("user")
    row = model.objects.get()
    before = model.objects.values().get()
    prefix = f"admin:notifications_{model._meta.model_name}"
    assert admin_client.get(reverse(f"{prefix}_add")).status_code == 403
    assert admin_client.post(page_of(row), {"last_seq": 9, "seq": 9}).status_code == 403
    assert admin_client.post(reverse(f"{prefix}_delete", args=[row.pk]), {"post": "yes"}).status_code == 403
    data = {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"}
    admin_client.post(reverse(f"{prefix}_changelist"), data)
    assert model.objects.values().get() == before


@pytest.mark.parametrize("term", ["Ann Lee", "Ann", "Ann L"])
def test_a_feed_is_found_by_how_its_user_id_begins(admin_client, make_feed, term):
    wanted = make_feed("Ann Lee")
    make_feed("Lee Ann")
    assert found(admin_client.get(reverse(FEEDS), {"q": term})) == [wanted]


def test_a_feed_shows_its_newest_number_and_leads_to_its_notifications(admin_client, make_feed):
    feed = make_feed("a&b", length=3)
    make_feed("other")
    link = f"{reverse(NOTIFICATIONS)}?feed__id__exact={feed.pk}"
    for page in (reverse(FEEDS), page_of(feed)):
        assert link in text_of(admin_client.get(page))
    assert [row.seq for row in found(admin_client.get(link))] == [3, 2, 1]
    newest = feed.notifications.get(seq=3)
    assert page_of(feed) in text_of(admin_client.get(page_of(newest)))


def test_notifications_are_found_by_user_and_number(admin_client, make_feed):
    feed = make_feed("a&b c", length=3)
    make_feed("a", length=3)
    assert len(found(admin_client.get(reverse(NOTIFICATIONS), {"q": "a&b c"}))) == 3
    query = {"feed__user_id": "a&b c", "seq": "2"}
    assert found(admin_client.get(reverse(NOTIFICATIONS), query)) == [feed.notifications.get(seq=2)]


def test_the_link_in_a_frame_is_hidden_and_the_rest_is_shown_escaped(admin_client, make_feed):
    frame = {"type": "<script>", "paymentUrl": LINK, "deep": [{"link": LINK}], "rideId": "🚕"}
    notification = make_feed("user", frame=frame).notifications.get()
    response = admin_client.get(page_of(notification))
    assert b'<script>"' not in response.content
    shown = text_of(response)
    assert '"type": "<script>"' in shown
    assert '"rideId": "🚕"' in shown
    assert shown.count("(hidden: it is for its user alone)") == 2
    assert LINK not in shown
    assert LINK not in text_of(admin_client.get(reverse(NOTIFICATIONS)))


def test_a_notification_leads_to_its_subject_where_that_has_a_page(admin_client, make_feed, settings):
    settings.NOTIFICATIONS_SUBJECT_PAGES = {"user": "admin:auth_user_change"}
    notification = make_feed("user", about="user:<7>").notifications.get()
    response = admin_client.get(page_of(notification))
    subject = reverse("admin:auth_user_change", args=["<7>"])
    assert f'href="{subject}">user:<7></a>' in text_of(response)
    assert b"<7>" not in response.content


@pytest.mark.parametrize("about", ["user:", "user", "trip:7", ":7"])
def test_a_subject_without_a_page_is_plain_text(admin_client, make_feed, settings, about):
    settings.NOTIFICATIONS_SUBJECT_PAGES = {"user": "admin:auth_user_change"}
    shown = text_of(admin_client.get(page_of(make_feed("someone", about=about).notifications.get())))
    assert f">{about}<" in "".join(shown.split())
    assert f"{about}</a>" not in shown


def test_without_the_setting_a_subject_is_plain_text(admin_client, make_feed, settings):
    del settings.NOTIFICATIONS_SUBJECT_PAGES
    shown = text_of(admin_client.get(page_of(make_feed("someone", about="payment:7").notifications.get())))
    assert ">payment:7<" in "".join(shown.split())
    assert "payment:7</a>" not in shown


@on_postgresql
def test_the_notifications_of_a_feed_are_found_without_reading_those_of_others(admin_client, make_feed):
    feed = make_feed("user", length=3)
    with CaptureQueriesContext(connection) as queries:
        admin_client.get(reverse(NOTIFICATIONS), {"feed__id__exact": feed.pk})
    plan = plan_of(queries, without=("seqscan", "bitmapscan"))
    assert "Index Scan Backward using one_notification_a_number" in plan


@on_postgresql
def test_the_feeds_are_read_a_page_at_a_time_by_an_index_the_newest_first(admin_client, make_feed):
    for name in ("the-older", "the-newer"):
        make_feed(name)
    with CaptureQueriesContext(connection) as queries:
        page = text_of(admin_client.get(reverse(FEEDS)))
    assert page.index("the-newer") < page.index("the-older")
    assert "Index Scan Backward using notifications_feed_pkey" in plan_of(queries)


@pytest.mark.parametrize("lookup", ["frame__contains", "collapse_key", "feed__latest_connection", "seq"])
def test_a_url_cannot_ask_for_fields_that_are_hidden_or_not_indexed(admin_client, db, lookup):
    assert admin_client.get(reverse(NOTIFICATIONS), {lookup: "h"}).status_code == 400


def test_lists_take_the_same_few_queries_whatever_they_show(
    admin_client, make_feed, django_assert_max_num_queries
):
    for number in range(60):
        make_feed(f"user_{number}")
    for url in (reverse(FEEDS), reverse(NOTIFICATIONS)):
        with django_assert_max_num_queries(3) as queries:  # the session, its user, the page
            assert len(found(admin_client.get(url))) == 50
        assert not any("COUNT(" in query["sql"] for query in queries)
