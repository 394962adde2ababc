"""The pages that staff open in the admin, and the lists of the HTTP API, by Django's own client for tests."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from benchmarks.growth.sample import Sample
from benchmarks.growth.work import Work
from payments.api import cursors
from payments.models import Payment, WebhookEvent

TIMES = 15


class PageError(RuntimeError):
    """A page was not shown."""


def admin_pages(sample: Sample) -> Iterator[Work]:
    """The start page, the four lists as staff use them, and a page of each kind."""
    client = Client(SERVER_NAME=settings.ALLOWED_HOSTS[0], headers={"X-Forwarded-Proto": "https"})
    staff, _ = User.objects.get_or_create(username="staff", is_staff=True, is_superuser=True)
    client.force_login(staff)
    yield _page(client, "admin: start", "admin:index")
    for title, name, queries in (
        ("payments", "payments_payment", _payments(sample)),
        ("events", "payments_webhookevent", _events(sample)),
        ("feeds", "notifications_feed", _feeds(sample)),
        ("notifications", "notifications_notification", _notifications(sample)),
    ):
        for what, query in {"first page": {}, "page 100": {"p": 100}, **queries}.items():
            yield _page(client, f"admin {title}: {what}", f"admin:{name}_changelist", query=query)
    payment = sample.payment()
    event = WebhookEvent.objects.filter(state=WebhookEvent.State.APPLIED)[1000]
    yield _page(client, "admin payments: one", "admin:payments_payment_change", payment.pk)
    yield _page(client, "admin events: one", "admin:payments_webhookevent_change", event.pk)
    yield _page(client, "admin feeds: one", "admin:notifications_feed_change", sample.feed().pk)


def api_lists(sample: Sample) -> Iterator[Work]:
    """Lists of payments as the rides' backend reads them, and a payment that is refused."""
    headers = {"Authorization": f"Bearer {settings.API_KEYS[0]}", "X-Forwarded-Proto": "https"}
    client = Client(SERVER_NAME=settings.ALLOWED_HOSTS[0], headers=headers)
    payment = sample.payment()
    queries: dict[str, dict[str, Any]] = {
        "newest": {},
        "of a user": {"userId": sample.user()},
        "of a user with 1,667": {"userId": sample.long_feed().user_id},
        "of a ride": {"rideId": payment.ride_id},
        "of a rare status": {"status": "disputed"},
        "from the middle on": {"cursor": _cursor_of_the_middle()},
        "of a status, from the middle on": {"status": "succeeded", "cursor": _cursor_of_the_middle()},
    }
    for what, query in queries.items():
        yield _page(client, f"GET /api/payments: {what}", "/api/payments", query=query)
    body = {"rideId": payment.ride_id, "userId": payment.user_id, "amount": 1500, "currency": "usd"}
    yield Work(
        name="POST /api/payments: the ride is paid, 409",
        do=lambda _: _expect(client.post("/api/payments", body, content_type="application/json"), 409),
        times=TIMES,
    )


def _payments(sample: Sample) -> dict[str, dict[str, Any]]:
    payment, today = sample.payment(), timezone.now().date()
    return {
        "search a user": {"q": payment.user_id},
        "search the start of a ride": {"q": payment.ride_id[:-2]},
        "search a session": {"q": payment.session_id},
        "search an intent": {"q": payment.payment_intent_id},
        "search an id": {"q": payment.pk},
        "search in vain": {"q": "nobody"},
        "filter a status": {"status": "succeeded"},
        "filter a rare status": {"status": "disputed"},
        "filter what needs attention": {"attention": "any"},
        "filter a rare reason": {"attention": "other_sum"},
        "filter a rare currency": {"currency": "chf"},
        "filter a currency nobody pays in": {"currency": "isk"},
        "filter a status and a currency": {"status": "disputed", "currency": "chf"},
        "filter a day": {"since": today - timedelta(days=20), "until": today - timedelta(days=20)},
        "filter a status and days": {"status": "disputed", "until": today - timedelta(days=20)},
        "search a user, filter a status": {"q": payment.user_id, "status": "succeeded"},
    }


def _events(sample: Sample) -> dict[str, dict[str, Any]]:
    payment, today = sample.payment(), timezone.now().date()
    return {
        "search an event": {"q": WebhookEvent.objects.all()[1000].event_id},
        "search a session": {"q": payment.session_id},
        "search an intent": {"q": payment.payment_intent_id},
        "search in vain": {"q": "nobody"},
        "filter a state": {"state": "applied"},
        "filter a rare state": {"state": "failed"},
        "filter a rare reason": {"reason": "foreign_session"},
        "filter a reason that never came": {"reason": "livemode"},
        "filter a rare type": {"type": "charge.dispute"},
        "filter a type that never came": {"type": "refund.failed"},
        "filter a state and a type": {"state": "failed", "type": "charge.dispute"},
        "filter a day": {"since": today - timedelta(days=20), "until": today - timedelta(days=20)},
        "of a payment": {"payment__id__exact": payment.pk},
    }


def _feeds(sample: Sample) -> dict[str, dict[str, Any]]:
    return {"search a user": {"q": sample.user()}, "search in vain": {"q": "nobody"}}


def _notifications(sample: Sample) -> dict[str, dict[str, Any]]:
    return {
        "search a user": {"q": sample.user()},
        "search a user with 5,000": {"q": sample.long_feed().user_id},
        "search in vain": {"q": "nobody"},
        "of a feed": {"feed__id__exact": sample.feed().pk},
        "of a feed with 5,000": {"feed__id__exact": sample.long_feed().pk},
        "of a feed with 5,000, long quiet": {"feed__id__exact": sample.long_feed(quiet=True).pk},
        "of a feed with 5,000, page 100": {"feed__id__exact": sample.long_feed().pk, "p": 100},
        "of a feed with 100,000": {"feed__id__exact": sample.longest_feed().pk},
        "of a feed with 100,000, page 100": {"feed__id__exact": sample.longest_feed().pk, "p": 100},
        "of a user, a number": {"feed__user_id": sample.user(), "seq": 3},
    }


def _cursor_of_the_middle() -> str:
    """Return what a caller has got that has read half of all payments."""
    middle = Payment.objects.filter(created_at__lt=timezone.now() - timedelta(days=20))[0]
    return cursors.write(middle)


def _page(
    client: Client, title: str, page: str, *arguments: object, query: dict[str, Any] | None = None
) -> Work:
    path = page if page.startswith("/") else reverse(page, args=arguments)
    url = f"{path}?{urlencode(query)}" if query else path
    return Work(name=title, do=lambda _: _expect(client.get(url), 200), times=TIMES)


def _expect(response: Any, status: int) -> None:
    if response.status_code != status:
        raise PageError(f"{response.request['PATH_INFO']} answered {response.status_code}, not {status}.")
