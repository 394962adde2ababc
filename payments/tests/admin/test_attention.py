"""What needs a person: how the admin counts it, finds it and says why."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from prometheus_client import REGISTRY

from payments.models import Intent, Payment, StatusChange, WebhookEvent
from payments.status import Attention
from payments.tests import stripe_events as stripe
from payments.tests.admin.test_admin import EVENTS, PAYMENTS
from payments.webhooks import apply
from tests.support.admin_pages import found, page_of, text_of
from tests.support.plans import on_postgresql, plan_of

State = WebhookEvent.State
Reason = WebhookEvent.Reason


@pytest.fixture
def first_page(client, admin_user, settings):
    """Return a function that returns what the first page shows a member of staff."""
    settings.UNFOLD = settings.UNFOLD | {"DASHBOARD_CALLBACK": "payments.admin.dashboard.dashboard"}

    def read(user=admin_user):
        client.force_login(user)
        response = client.get(reverse("admin:index"))
        assert response.status_code == 200
        return response

    return read


def store_event(reason, *, state=State.IGNORED, age=timedelta(0)):
    event = WebhookEvent.objects.create(
        event_id=f"evt_{WebhookEvent.objects.count()}",
        type="checkout.session.completed",
        body="{}",
        livemode=False,
        created_at=timezone.now(),
        state=state,
        reason=reason,
    )
    WebhookEvent.objects.filter(pk=event.pk).update(received_at=timezone.now() - age)
    return event


def test_no_reason_is_part_of_another():
    for reason in Attention:
        assert [other for other in Attention if reason in other] == [reason]


def test_payments_are_found_by_why_they_need_attention(admin_client, make_payment):
    make_payment()
    other_sum = make_payment(attention="other_sum")
    both = make_payment(attention="other_sum paid_twice")
    assert found(admin_client.get(reverse(PAYMENTS), {"attention": "any"})) == [both, other_sum]
    assert found(admin_client.get(reverse(PAYMENTS), {"attention": "paid_twice"})) == [both]
    assert found(admin_client.get(reverse(PAYMENTS), {"attention": "other_sum"})) == [both, other_sum]
    assert admin_client.get(reverse(PAYMENTS), {"attention": "none"}).status_code == 302


def test_a_list_and_a_page_say_why_a_payment_needs_attention(admin_client, make_payment):
    payment = make_payment(attention=" ".join(Attention))
    for url in (reverse(PAYMENTS), page_of(payment)):
        shown = text_of(admin_client.get(url))
        for reason in Attention:
            assert reason.label in shown


def test_a_page_speaks_of_attention_only_where_a_payment_needs_it(admin_client, make_payment):
    assert "needs attention" not in text_of(admin_client.get(page_of(make_payment()))).lower()


def test_the_first_page_counts_payments_by_reason_and_leads_to_them(first_page, make_payment):
    make_payment()
    make_payment(attention="other_sum")
    make_payment(attention="other_sum paid_twice")
    response = first_page()
    counts = [reason["count"] for reason in response.context["attention"]]
    assert counts == [2, 1, 0, 0, 0, 0, 0]
    for reason in Attention:
        assert f"{reverse(PAYMENTS)}?attention={reason}" in text_of(response)


def test_of_very_many_flagged_payments_the_first_page_counts_the_newest(
    first_page, make_payment, monkeypatch
):
    monkeypatch.setattr("payments.admin.dashboard.FLAGGED_AT_MOST", 2)
    for attention in ("other_sum", "paid_twice", "paid_twice"):
        make_payment(attention=attention)
    assert [reason["count"] for reason in first_page().context["attention"][:2]] == ["0+", "2+"]


@on_postgresql
def test_what_needs_attention_is_counted_without_reading_the_rest(first_page, many_rows):
    with CaptureQueriesContext(connection) as queries:
        first_page()
    [counting] = [query for query in queries.captured_queries if "COUNT(" in query["sql"]][:1]
    queries.final_queries = queries.captured_queries.index(counting) + 1 + queries.initial_queries
    assert "using payments_to_look_at" in plan_of(queries, without=("seqscan", "bitmapscan", "sort"))


def test_the_first_page_counts_what_was_lately_ignored_and_should_not_have_come(first_page):
    for reason in Reason:
        store_event(reason)
        store_event(reason, age=timedelta(days=8))
    response = first_page()
    assert [(card["title"], card["count"]) for card in response.context["ignored"]] == [
        ("of another mode", 1),
        ("of another account", 1),
        ("of a session that we did not make", 1),
        ("names another payment than it belongs to", 1),
        ("names an impossible sum", 1),
    ]
    assert f"{reverse(EVENTS)}?reason=livemode&since=" in text_of(response)


def test_of_what_is_ignored_every_day_the_first_page_says_nothing(first_page):
    store_event(Reason.TYPE)
    store_event(Reason.NOT_OURS)
    assert "Unexpected webhook events" not in text_of(first_page())


def test_the_first_page_counts_what_a_member_of_staff_may_see(first_page):
    staff = User.objects.create_user("staff", is_staff=True)
    staff.user_permissions.set(Permission.objects.filter(codename="view_webhookevent"))
    context = first_page(staff).context
    assert "waiting" in context
    assert "attention" not in context


def test_events_are_filtered_by_why_they_were_ignored(admin_client, db):
    wanted = store_event(Reason.FOREIGN_SESSION)
    store_event(Reason.TYPE)
    assert found(admin_client.get(reverse(EVENTS), {"reason": "foreign_session"})) == [wanted]
    for url in (reverse(EVENTS), page_of(wanted)):
        assert Reason.FOREIGN_SESSION.label in text_of(admin_client.get(url))


def test_a_payment_is_found_by_any_of_its_intents(admin_client, make_payment, deliver):
    payment = make_payment()
    again = stripe.event(payment, "payment_intent.succeeded", id="pi_second")
    for body in stripe.bodies([*stripe.paid(payment), again]):
        deliver(body)
    for term in (f"pi_{payment.pk.hex}", "pi_second", "pi_sec"):
        assert found(admin_client.get(reverse(PAYMENTS), {"q": term})) == [payment]
    assert len(found(admin_client.get(reverse(EVENTS), {"q": "pi_second"}))) == 3
    for name in (f"pi_{payment.pk.hex}", "pi_second"):
        assert name in text_of(admin_client.get(page_of(payment)))


@on_postgresql
@pytest.mark.parametrize("page", [PAYMENTS, EVENTS])
def test_a_search_by_intent_reads_no_whole_table(admin_client, make_payment, page):
    Intent.objects.create(intent_id="pi_1", payment=make_payment())
    with CaptureQueriesContext(connection) as queries:
        admin_client.get(reverse(page), {"q": "pi_1"})
    for last in range(3, len(queries.captured_queries) + 1):  # after the session and its user
        queries.final_queries = queries.initial_queries + last
        assert "Seq Scan" not in plan_of(queries, without=("seqscan", "sort"))


def test_a_new_value_that_nobody_knows_is_counted_once_for_a_payment(make_payment, deliver):
    def counted():
        return REGISTRY.get_sample_value("payments_unknown_values_total", {"field": "dispute.status"}) or 0

    before, payment = counted(), make_payment()
    for body in stripe.bodies(stripe.paid(payment)):
        deliver(body)
    strange = [
        stripe.event(payment, "charge.dispute.updated", of="du_1", status="a_state_of_tomorrow")
        for _ in range(2)
    ]
    for body in stripe.bodies(strange):
        deliver(body)
    assert counted() == before + 1
    apply.apply([event["id"] for event in strange], cause=StatusChange.Cause.REPLAY)
    apply.preview(WebhookEvent.objects.all())
    assert counted() == before + 1
    assert Payment.objects.get().attention == "dispute unknown_value"
