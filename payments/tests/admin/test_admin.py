import json
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from notifications.feed import Confirmation
from notifications.models import Notification
from payments.admin import timeline
from payments.admin.webhook_event import SELECTED_AT_MOST
from payments.facts import money
from payments.models import Intent, Payment, RefundRequest, StatusChange, WebhookEvent
from payments.status import Status
from payments.stripe.values import REMOVED
from payments.tests import recorded
from payments.tests import stripe_events as stripe
from tests.support.admin_pages import found, page_of, text_of
from tests.support.plans import on_postgresql, plan_of

PAYMENTS = "admin:payments_payment_changelist"
EVENTS = "admin:payments_webhookevent_changelist"
State = WebhookEvent.State


@pytest.fixture
def make_event(make_payment):
    """Return a function that stores an event without applying it."""

    def make(body=None, **fields):
        body = body or stripe.paid(make_payment())[0]
        values = {
            "event_id": body["id"],
            "type": body["type"],
            "body": json.dumps(body),
            "livemode": False,
            "object_id": body["data"]["object"]["id"],
            "created_at": timezone.now(),
        }
        return WebhookEvent.objects.create(**values | fields)

    return make


@pytest.fixture
def staff_client(client, db):
    """A client of a member of staff who may see everything here, and nothing more."""
    staff = User.objects.create_user("staff", is_staff=True)
    staff.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    client.force_login(staff)
    return client


def apply_again(client, *events, **fields):
    data = {"action": "apply_again", "_selected_action": [event.pk for event in events]} | fields
    return client.post(reverse(EVENTS), data, follow=True)


def test_every_page_is_shown_to_staff_who_may_only_see(staff_client, make_payment, make_event):
    event = make_event(payment=make_payment())
    for url in (reverse(PAYMENTS), page_of(event.payment), reverse(EVENTS), page_of(event)):
        assert staff_client.get(url).status_code == 200


def test_staff_without_permission_see_nothing(client, make_payment):
    client.force_login(User.objects.create_user("staff", is_staff=True))
    assert client.get(reverse(PAYMENTS)).status_code == 403
    assert client.get(page_of(make_payment())).status_code == 403


@pytest.mark.parametrize("model", [Payment, WebhookEvent])
def test_not_even_a_superuser_adds_changes_or_deletes(admin_client, make_event, make_payment, model):
    make_event(payment=make_payment())
    row = model.objects.first()
    prefix = f"admin:payments_{model._meta.model_name}"
    before = model.objects.values().get(pk=row.pk)
    assert admin_client.get(reverse(f"{prefix}_add")).status_code == 403
    assert admin_client.post(reverse(f"{prefix}_add"), {"amount": 1}).status_code == 403
    assert admin_client.post(page_of(row), {"amount": 1, "status": "succeeded"}).status_code == 403
    assert admin_client.post(reverse(f"{prefix}_delete", args=[row.pk]), {"post": "yes"}).status_code == 403
    data = {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"}
    admin_client.post(reverse(f"{prefix}_changelist"), data)
    assert model.objects.values().get(pk=row.pk) == before


@pytest.mark.parametrize(
    "term",
    ["Ride 7", "Ride 7 ", "Ann Lee", "cs_live_7", "pi_7", "pi_", "6b3a1f0e-5a57-4a08-9d8f-6d1f35f2f0aa"],
)
def test_a_payment_is_found_by_each_of_its_ids(admin_client, make_payment, term):
    wanted = make_payment(
        id=uuid.UUID("6b3a1f0e-5a57-4a08-9d8f-6d1f35f2f0aa"),
        ride_id="Ride 77",
        user_id="Ann Lee",
        session_id="cs_live_77",
    )
    Intent.objects.create(intent_id="pi_77", payment=wanted)
    Intent.objects.create(intent_id="pi_foreign")
    make_payment(user_id="Lee")
    assert found(admin_client.get(reverse(PAYMENTS), {"q": term})) == [wanted]


def test_a_search_looks_at_how_an_id_begins(admin_client, make_payment):
    make_payment(ride_id="ride_7")
    assert found(admin_client.get(reverse(PAYMENTS), {"q": "_7"})) == []
    assert found(admin_client.get(reverse(PAYMENTS), {"q": "%"})) == []


def test_payments_are_filtered_by_status_day_and_currency(admin_client, make_payment):
    wanted = make_payment(status=Status.FAILED, currency="jpy")
    for fields in (
        {"status": Status.FAILED},
        {"currency": "jpy"},
        {"status": Status.FAILED, "currency": "jpy"},
    ):
        make_payment(**fields)
    day = datetime(2026, 3, 1, 23, 59, 59, tzinfo=UTC)
    Payment.objects.filter(pk=wanted.pk).update(created_at=day)
    query = {"status": "failed", "currency": "JPY", "since": "2026-03-01", "until": "2026-03-01"}
    assert found(admin_client.get(reverse(PAYMENTS), query)) == [wanted]
    assert found(admin_client.get(reverse(PAYMENTS), query | {"until": "2026-02-28"})) == []


@on_postgresql
@pytest.mark.parametrize(
    ("page", "query", "index"),
    [
        (PAYMENTS, {"currency": "isk"}, "payment_by_currency"),
        (PAYMENTS, {"attention": "any"}, "payments_to_look_at"),
        (PAYMENTS, {"attention": "paid_twice"}, "payments_to_look_at"),
        (EVENTS, {"type": "charge.dispute"}, "event_by_type"),
        (EVENTS, {"reason": "livemode"}, "event_by_reason"),
    ],
)
def test_what_is_rare_is_found_without_reading_the_rest(admin_client, many_rows, page, query, index):
    with CaptureQueriesContext(connection) as queries:
        admin_client.get(reverse(page), query)
    assert f"using {index}" in plan_of(queries, without=("seqscan", "bitmapscan"))


def test_fields_of_the_filters_that_were_left_empty_leave_the_url(admin_client, db):
    response = admin_client.get(reverse(PAYMENTS), {"status": "failed", "currency": "", "since": ""})
    assert response.url == reverse(PAYMENTS) + "?status=failed"
    assert admin_client.get(reverse(PAYMENTS), {"status": ""}, follow=True).status_code == 200


@pytest.mark.parametrize("query", [{"since": "soon"}, {"currency": "dollar"}, {"status": "rich"}])
def test_a_filter_that_makes_no_sense_is_left_out(admin_client, db, query):
    assert admin_client.get(reverse(PAYMENTS), query).status_code == 302


@pytest.mark.parametrize("lookup", ["payment_url__startswith", "facts__contains", "description__icontains"])
def test_a_url_cannot_ask_for_fields_that_are_hidden_or_not_indexed(admin_client, db, lookup):
    assert admin_client.get(reverse(PAYMENTS), {lookup: "h"}).status_code == 400


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [(1250, "usd", "12.50 USD"), (500, "jpy", "500 JPY"), (12340, "kwd", "12.340 KWD")],
)
def test_amounts_are_shown_in_whole_units(admin_client, make_payment, amount, currency, shown):
    payment = make_payment(amount=amount, currency=currency)
    assert shown in text_of(admin_client.get(reverse(PAYMENTS)))
    assert shown in text_of(admin_client.get(page_of(payment)))


def test_money_that_does_not_match_is_flagged(admin_client, make_payment, deliver):
    payment = make_payment()
    sent = stripe.event(payment, "checkout.session.completed", payment_status="paid", amount_total=1)
    deliver(json.dumps(sent).encode())
    assert "paid with another sum: 0.01 USD" in text_of(admin_client.get(reverse(PAYMENTS)))
    shown = text_of(admin_client.get(page_of(payment)))
    assert "paid with another sum: 0.01 USD" in shown
    assert "0.01 USD was paid" in shown
    assert "12.50 USD was asked for: this pays nothing" in shown


def test_the_checkout_link_is_never_shown(admin_client, make_payment, make_event):
    payment = make_payment(expires_at=datetime(2099, 1, 2, 3, 4, 5, tzinfo=UTC))
    body = stripe.event(payment, "checkout.session.completed", url=payment.payment_url)
    event = make_event(body, payment=payment)
    shown = text_of(admin_client.get(page_of(payment)))
    assert "open until 2099-01-02 03:04:05 UTC" in shown
    assert payment.payment_url not in shown
    assert payment.payment_url not in text_of(admin_client.get(reverse(PAYMENTS)))
    assert payment.payment_url not in text_of(admin_client.get(page_of(event)))


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"expires_at": datetime(2001, 1, 1, tzinfo=UTC)}, "closed"),
        ({"facts": {"asked": "1250 usd", "canceled": 1}}, "closed"),
        ({"session_id": None}, "not created yet"),
        ({"session_id": None, "stripe_error": "Stripe refused."}, "Stripe refused."),
    ],
)
def test_a_link_that_cannot_be_opened_says_why(admin_client, make_payment, fields, says):
    payment = make_payment(**fields)
    assert says in text_of(admin_client.get(page_of(payment)))


def test_a_payment_page_tells_the_story_with_its_links(admin_client, make_payment, deliver):
    payment = make_payment(user_id="a&b c")
    for body in stripe.bodies(stripe.paid(payment)):
        deliver(body)
    event, change = payment.events.get(type="payment_intent.succeeded"), payment.changes.get()
    shown = text_of(admin_client.get(page_of(payment)))
    notifications = reverse("admin:notifications_notification_changelist")
    for expected in (
        page_of(event),
        "pending → succeeded",
        "cause: event, payment_intent.succeeded",
        f"{notifications}?feed__user_id=a%26b+c&seq={payment.link_seq}",
        f"{notifications}?feed__user_id=a%26b+c&seq={change.seq}",
        f"{reverse(EVENTS)}?payment__id__exact={payment.pk}",
    ):
        assert expected in shown
    sent = Notification.objects.get(feed__user_id="a&b c", seq=change.seq)
    back = text_of(admin_client.get(reverse("admin:notifications_notification_change", args=[sent.pk])))
    assert f'href="{page_of(payment)}"' in back
    linked = admin_client.get(f"{notifications}?feed__user_id=a%26b+c&seq={change.seq}")
    assert [row.seq for row in found(linked)] == [change.seq]
    assert len(found(admin_client.get(reverse(EVENTS), {"payment__id__exact": payment.pk}))) == 2


def test_the_time_line_merges_all_there_is_newest_last():
    start = datetime(2026, 1, 1, tzinfo=UTC)

    def at(minutes):
        return start + timedelta(minutes=minutes)

    refund = {"amount": 500, "status": "succeeded", "intent": "pi_1"}
    payment = Payment(
        ride_id="ride",
        user_id="user",
        amount=1250,
        currency="usd",
        created_at=start,
        link_seq=4,
        facts={
            "asked": money(1250, "usd"),
            "paid": {"pi_1": {"1250 usd": int(at(1).timestamp())}},
            "refunds": {"re_1": refund},
        },
    )
    paid, refunded = (
        WebhookEvent(
            pk=number, type=type_, object_id=id_, state=State.APPLIED, created_at=at(1), received_at=received
        )
        for number, type_, id_, received in (
            (1, "payment_intent.succeeded", "pi_1", at(1.5)),
            (2, "refund.updated", "re_1", at(9)),
        )
    )
    change = StatusChange(
        before=Status.PENDING, after=Status.SUCCEEDED, cause="replay", event=paid, seq=5, created_at=at(2)
    )
    asked = RefundRequest(amount=500, refund_id="re_1", refund_status="pending", created_at=at(3))
    confirmed = Confirmation(4, at(1))
    story = timeline.build(
        payment, events=[refunded, paid], changes=[change], refunds=[asked], confirmed=confirmed
    )
    assert [(entry.kind, entry.title) for entry in story] == [
        ("payment", "Payment of 12.50 USD created"),
        ("notification", "Checkout link written to the user's feed"),
        ("fact", "12.50 USD was paid"),
        ("event", "payment_intent.succeeded"),
        ("change", "pending → succeeded"),
        ("notification", "Status written to the user's feed: succeeded"),
        ("payment", "Refund of 5.00 USD asked for"),
        ("event", "refund.updated"),
    ]
    details = {entry.title: entry.detail for entry in story}
    assert details["Refund of 5.00 USD asked for"] == "re_1, first pending, now succeeded"
    assert details["Checkout link written to the user's feed"] == (
        "notification 4 · an app confirmed up to number 4 by 2026-01-01 00:01:00"
    )
    assert details["Status written to the user's feed: succeeded"] == (
        "notification 5 · no app has confirmed it"
    )
    late = story[-1].detail
    assert late == "applied · refund of 5.00 USD, now succeeded · created at Stripe 2026-01-01 00:01:00"


def test_a_story_says_what_was_fetched_and_what_was_given_up():
    payment = Payment(pk=uuid.uuid4(), amount=1250, currency="usd", created_at=timezone.now())
    fetched = WebhookEvent(
        pk=1, type="t", deliveries=0, state="applied", created_at=timezone.now(), received_at=timezone.now()
    )
    refund = RefundRequest(amount=500, created_at=timezone.now(), abandoned_at=timezone.now())
    story = timeline.build(payment, events=[fetched], changes=[], refunds=[refund], confirmed=None)
    details = {entry.title: entry.detail for entry in story}
    assert details["t"] == "applied · fetched"
    assert details["Refund of 5.00 USD asked for"] == "given up: Stripe made none"


def test_a_story_of_very_many_events_is_cut_to_the_newest(
    admin_client, make_payment, make_event, monkeypatch
):
    monkeypatch.setattr("payments.admin.payment.EVENTS_SHOWN", 2)
    payment = make_payment()
    for name in ("evt_old", "evt_new", "evt_newest"):
        make_event(event_id=name, type=f"type.{name}", payment=payment)
    shown = text_of(admin_client.get(page_of(payment)))
    assert "type.evt_newest" in shown
    assert "type.evt_old" not in shown
    assert "newest 2 are shown" in shown


def test_a_payload_is_shown_escaped(admin_client, make_payment, make_event):
    text = "<script>alert(1)</script> 🚕"
    body = stripe.event(make_payment(), "payment_intent.succeeded", last_payment_error={"message": text})
    response = admin_client.get(page_of(make_event(body, error="<b>bad</b>")))
    assert b"<script>alert" not in response.content
    assert b"<b>bad" not in response.content
    assert '"message": "<script>alert(1)</script> 🚕"' in text_of(response)


@pytest.mark.parametrize("name", recorded.NAMES)
def test_of_an_event_that_was_stored_whole_staff_see_what_would_be_kept_now(staff_client, make_event, name):
    shown = text_of(staff_client.get(page_of(make_event(recorded.event(name), object_id="x")))).casefold()
    assert REMOVED in shown
    for word in ("quimb", "hush19", "tok_login", "29033", "fprint", "203.0.113"):
        assert word not in shown


def test_where_an_app_wants_its_customer_back_is_not_shown(staff_client, make_payment):
    asked = {"success_url": "https://app.example/?login=tok_1", "cancel_url": "myapp://no", "mode": "payment"}
    shown = text_of(staff_client.get(page_of(make_payment(stripe_params=asked))))
    assert '"mode": "payment"' in shown
    assert "tok_1" not in shown
    assert "myapp" not in shown


@pytest.mark.parametrize(
    "term", ["evt_seven", "cs_seven", "cs_of_payment", "pi_seven", "6b3a1f0e-5a57-4a08-9d8f-6d1f35f2f0aa"]
)
def test_an_event_is_found_by_its_id_its_object_and_its_payment(admin_client, make_payment, make_event, term):
    payment = make_payment(id=uuid.UUID("6b3a1f0e-5a57-4a08-9d8f-6d1f35f2f0aa"), session_id="cs_of_payment")
    Intent.objects.create(intent_id="pi_seven", payment=payment)
    wanted = make_event(event_id="evt_seventy", object_id="cs_seventy", payment=payment, state=State.APPLIED)
    make_event()
    assert found(admin_client.get(reverse(EVENTS), {"q": term})) == [wanted]


def test_a_parked_event_is_found_by_its_payment_intent(admin_client, make_event):
    wanted = make_event(payment_intent_id="pi_7", state=State.PARKED)
    assert found(admin_client.get(reverse(EVENTS), {"q": "pi_7"})) == [wanted]


def test_events_are_filtered_by_state_type_and_day(admin_client, make_event):
    wanted = make_event(type="charge.dispute.closed", state=State.FAILED)
    make_event(type="charge.refunded", state=State.FAILED)
    make_event(type="charge.dispute.closed", state=State.APPLIED)
    today = timezone.now().date().isoformat()
    query = {"state": "failed", "type": "charge.dispute", "since": today}
    assert found(admin_client.get(reverse(EVENTS), query)) == [wanted]


def test_applying_again_changes_the_payment_and_says_who_did_it(
    admin_client, admin_user, make_payment, make_event
):
    payment = make_payment(ride_id="<ride>")
    event = make_event(stripe.paid(payment)[0], state=State.FAILED, error="It broke.")
    response = apply_again(admin_client, event)
    assert response.redirect_chain[-1][0] == page_of(event)
    assert "1 applied. Changed:" in text_of(response)
    assert "<ride></a>: pending → succeeded" in text_of(response)
    assert b"<ride>" not in response.content
    payment.refresh_from_db()
    assert payment.status == Status.SUCCEEDED
    assert payment.changes.get().cause == StatusChange.Cause.STAFF
    assert LogEntry.objects.get().user == admin_user
    assert "No status changed." in text_of(apply_again(admin_client, event))


def test_a_status_reads_the_same_everywhere(admin_client, make_payment, make_event, deliver):
    payment = make_payment()
    for body in stripe.bodies(stripe.paid(payment)):
        deliver(body)
    event = make_event(stripe.refunded(payment, "re_1", amount=500, total=500)[0])
    said = text_of(apply_again(admin_client, event))
    for shown in (
        said,
        text_of(admin_client.get(page_of(event))),
        text_of(admin_client.get(page_of(payment))),
    ):
        assert "succeeded → partially refunded" in shown
        assert "→ partially_refunded" not in shown


@pytest.mark.parametrize(
    ("deliveries", "attempts", "says"),
    [
        (1, 0, "delivered once, not tried yet"),
        (0, 1, "fetched, tried once"),
        (1, 1, "delivered once, tried once"),
        (3, 2, "delivered 3 times, tried 2 times"),
    ],
)
def test_an_event_page_says_how_often_in_words(admin_client, make_event, deliveries, attempts, says):
    event = make_event(deliveries=deliveries, attempts=attempts)
    assert says in text_of(admin_client.get(page_of(event)))


@pytest.mark.parametrize("error", ["", "It broke."])
def test_an_event_page_speaks_of_an_error_only_where_there_is_one(admin_client, make_event, error):
    shown = text_of(admin_client.get(page_of(make_event(state=State.FAILED, error=error))))
    assert ("Why it failed, or was ignored." in shown) is bool(error)
    assert error in shown


def test_of_several_events_a_bad_one_fails_alone_and_is_named(admin_client, make_payment, make_event):
    good, payment = make_event(), make_payment()
    body = stripe.event(payment, "checkout.session.completed", payment_status="paid", currency=None)
    bad = make_event(body)
    shown = text_of(apply_again(admin_client, good, bad))
    assert "1 applied, 1 failed. Changed:" in shown
    assert f"{bad.event_id}: " in shown
    good.refresh_from_db()
    bad.refresh_from_db()
    assert (good.state, bad.state) == (State.APPLIED, State.FAILED)


def test_too_many_events_at_once_are_refused(admin_client, make_event):
    event = make_event()
    event_ids = [f"evt_copy_{number}" for number in range(SELECTED_AT_MOST)]
    WebhookEvent.objects.bulk_create(
        WebhookEvent(event_id=id_, type="x", body="{}", livemode=False, created_at=timezone.now())
        for id_ in event_ids
    )
    shown = text_of(apply_again(admin_client, event, select_across=1))
    assert "Nothing was applied" in shown
    assert WebhookEvent.objects.filter(state=State.RECEIVED).count() == SELECTED_AT_MOST + 1


def test_only_staff_who_may_change_events_apply_them_again(staff_client, make_event):
    event = make_event()
    assert "Apply again" not in text_of(staff_client.get(page_of(event)))
    assert "apply_again" not in text_of(staff_client.get(reverse(EVENTS)))
    apply_again(staff_client, event)
    event.refresh_from_db()
    assert event.state == State.RECEIVED
    User.objects.get().user_permissions.add(Permission.objects.get(codename="change_webhookevent"))
    assert "Apply again" in text_of(staff_client.get(page_of(event)))
    apply_again(staff_client, event)
    event.refresh_from_db()
    assert event.state == State.APPLIED


def test_lists_take_the_same_few_queries_whatever_they_show(
    admin_client, make_payment, make_event, django_assert_max_num_queries
):
    for _ in range(60):
        make_event(payment=make_payment(), state=State.APPLIED)
    for url in (reverse(PAYMENTS), reverse(EVENTS)):
        with django_assert_max_num_queries(3) as queries:  # the session, its user, the page
            assert len(found(admin_client.get(url))) == 50
        assert not any("COUNT(" in query["sql"] for query in queries)


def test_a_payment_page_takes_the_same_few_queries_whatever_happened(
    admin_client, make_payment, deliver, django_assert_max_num_queries
):
    payment = make_payment()
    sent = stripe.paid(payment) + stripe.disputed(payment, "du_1", ends="won")
    for body in stripe.bodies(sent):
        deliver(body)
    ContentType.objects.get_for_model(
        Payment
    )  # once in a process: tests in another order have asked for it or not
    # The session, its user; the payment, its frozen parameters, intents, events, changes, refunds, those that wait; what
    # its user's apps confirmed.
    with django_assert_max_num_queries(10):
        admin_client.get(page_of(payment))


def test_the_first_page_counts_what_waits_and_shows_what_changed(
    admin_client, make_payment, make_event, deliver, settings
):
    settings.UNFOLD = settings.UNFOLD | {"DASHBOARD_CALLBACK": "payments.admin.dashboard.dashboard"}
    payment = make_payment()
    deliver(stripe.bodies(stripe.paid(payment))[0])
    make_event(state=State.FAILED)
    response = admin_client.get(reverse("admin:index"))
    assert [state["count"] for state in response.context["waiting"]] == [1, 0, 0]
    assert f"{reverse(EVENTS)}?state=failed" in text_of(response)
    assert page_of(payment) in text_of(response)


def test_the_first_page_shows_no_more_than_staff_may_see(client, db, settings):
    settings.UNFOLD = settings.UNFOLD | {"DASHBOARD_CALLBACK": "payments.admin.dashboard.dashboard"}
    client.force_login(User.objects.create_user("staff", is_staff=True))
    response = client.get(reverse("admin:index"))
    assert response.status_code == 200
    assert "waiting" not in response.context
    assert "changes" not in response.context


def test_no_page_loads_anything_from_elsewhere(admin_client, make_payment):
    for url in (reverse("admin:index"), reverse(PAYMENTS), page_of(make_payment())):
        shown = text_of(admin_client.get(url))
        assert 'src="http' not in shown
        assert 'href="http' not in shown


def test_a_payment_names_the_api_keys_that_caused_what(admin_client, make_payment):
    payment = make_payment(api_key="ride backend")
    RefundRequest.objects.create(
        payment=payment, amount=500, is_full=False, payment_intent_id="pi_1", api_key="support desk"
    )
    StatusChange.objects.create(
        payment=payment, before="pending", after="canceled", cause="api", api_key="ride cleaner"
    )

    page = text_of(admin_client.get(page_of(payment)))
    assert page.count("ride backend") >= 2, "beside the payment, and in its time line"
    assert "not answered · API key support desk" in page
    assert "cause: API · API key ride cleaner" in page
