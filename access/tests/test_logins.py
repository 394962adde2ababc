import uuid

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.urls import reverse
from django_otp.oath import totp
from django_otp.plugins.otp_totp.models import TOTPDevice

from access import refusals
from access.bounds import BOUNDS
from access.staff import logins

pytestmark = pytest.mark.django_db
PASSWORD = "a-password-of-enough-length"
WRONG = "Enter the name and password of a member of staff"


@pytest.fixture(scope="module")
def hashed():
    return make_password(PASSWORD)


@pytest.fixture
def clerk(hashed):
    return User.objects.create(username=f"clerk-{uuid.uuid4().hex}", password=hashed, is_staff=True)


@pytest.fixture
def log_in(client, clerk):
    """Log in from an address that no other test uses."""
    own = f"2001:db8:{uuid.uuid4().hex[:4]}:{uuid.uuid4().hex[:4]}::1"

    def post(password=PASSWORD, name=clerk.username, address=own, code=""):
        form = {"username": name, "password": password, "code": code}
        return client.post("/admin/login/?next=/admin/", form, REMOTE_ADDR=address)

    return post


def address():
    return f"2001:db8:{uuid.uuid4().hex[:4]}:{uuid.uuid4().hex[:4]}::1"


def exhaust(limit, attempt):
    """Do what may be done, and once more: Redis' count rounds down, and allows that when a minute ends meanwhile."""
    allowed = BOUNDS[limit].amount
    answers = [attempt().status_code for _ in range(allowed + 1)]
    assert set(answers[:allowed]) == {200}


def test_a_right_password_logs_in_and_a_wrong_one_does_not(log_in):
    refused = log_in("another")
    assert (refused.status_code, WRONG in refused.text) == (200, True)
    assert log_in().headers["Location"] == "/admin/"


@pytest.mark.parametrize(
    "page", ["//evil.example/", "https://evil.example/", "javascript:alert(1)", "/\\evil.example"]
)
def test_a_login_leads_nowhere_but_to_a_page_of_the_service(client, clerk, page):
    form = {"username": clerk.username, "password": PASSWORD, "next": page}
    answer = client.post("/admin/login/", form, REMOTE_ADDR=address())
    assert (answer.status_code, answer.headers["Location"]) == (302, "/admin/")


def test_beyond_the_limit_of_an_address_no_password_is_looked_at(log_in, clerk, django_assert_num_queries):
    exhaust("logins-per-address", lambda: log_in("another", name=uuid.uuid4().hex))

    with django_assert_num_queries(0):
        right, wrong, unknown = log_in(), log_in("another"), log_in(name="nobody")

    assert {answer.status_code for answer in (right, wrong, unknown)} == {429}
    assert 1 <= int(right.headers["Retry-After"]) <= 2 * 60
    assert "Too many logins" in right.text
    assert "sessionid" not in right.cookies
    assert log_in(address=address()).status_code == 302


def test_beyond_the_limit_of_a_name_no_password_is_looked_at_wherever_it_comes_from(log_in, clerk):
    exhaust("logins-per-name", lambda: log_in("another", address=address()))

    right, wrong = log_in(address=address()), log_in("another", address=address())
    assert (right.status_code, wrong.status_code) == (429, 429)
    assert log_in(name=clerk.username.upper(), address=address()).status_code == 429
    assert log_in(name="nobody", address=address()).status_code == 200


def test_a_login_starts_the_count_of_its_name_anew(log_in):
    for _ in range(2):
        for _ in range(BOUNDS["logins-per-name"].amount - 1):
            log_in("another", address=address())
        assert log_in(address=address()).status_code == 302


@pytest.mark.parametrize("name", ["x" * 254, "\ud83d", "a\x00b", "\N{ANGSTROM SIGN}ngström"])
def test_any_name_is_counted(name):
    assert len(logins._key(name)) == 64


def test_a_change_of_the_own_password_is_on_record(log_in, client, clerk):
    log_in()
    for new in ("short", f"{PASSWORD}-2"):
        form = {"old_password": PASSWORD, "new_password1": new, "new_password2": new}
        client.post("/admin/password_change/", form)
    [entry] = LogEntry.objects.all()
    assert (entry.user, entry.object_id) == (clerk, str(clerk.pk))
    assert entry.get_change_message() == "Changed the own password."


def test_the_own_old_password_is_guessed_no_more_often_than_at_the_login(log_in, client):
    def change(old):
        form = {"old_password": old, "new_password1": f"{PASSWORD}-2", "new_password2": f"{PASSWORD}-2"}
        return client.post("/admin/password_change/", form)

    log_in()
    for _ in range(BOUNDS["logins-per-name"].amount):
        assert change("another").status_code == 200

    right, wrong = change(PASSWORD), change("another")
    assert (right.status_code, wrong.status_code) == (429, 429)
    assert 1 <= int(right.headers["Retry-After"]) <= 2 * 600
    client.logout()
    assert change("another").status_code == 302
    assert log_in(address=address()).status_code == 429


def code_of(user, *, steps=0):
    device = TOTPDevice.objects.get(user=user)
    return f"{totp(device.bin_key, t0=-steps * device.step):06}"


@pytest.fixture
def codes(clerk, capsys):
    """Set up an app; return the recovery codes."""
    call_command("second_factor", clerk.username)
    shown = capsys.readouterr().out.splitlines()
    assert any(line.startswith("otpauth://totp/Payments%3A") for line in shown)
    return shown[-8:]


def test_staff_with_an_app_log_in_with_a_code_that_is_good_once(log_in, clerk, codes, client):
    assert WRONG in log_in().text
    code = code_of(clerk)
    assert log_in(code=code).status_code == 302
    assert "otp_device_id" in client.session

    client.logout()
    assert WRONG in log_in(code=code).text


def test_a_right_password_with_a_wrong_code_is_answered_as_a_wrong_password(log_in, clerk, codes):
    answers = [log_in(code="abcdefgh"), log_in("another", code="abcdefgh"), log_in("another")]
    assert {answer.status_code for answer in answers} == {200}
    assert {str(answer.context["form"].errors) for answer in answers} == {
        str(answers[0].context["form"].errors)
    }


def test_a_right_password_without_a_right_code_is_counted_as_refused(log_in, clerk, codes, hashed):
    User.objects.create(username="rider", password=hashed)
    attempts = [{"code": "000000"}, {"code": ""}, {"code": "abcdefgh"}, {"name": "rider"}]

    def counted():
        security = refusals.REFUSALS.labels(refusals.Kind.LOGIN)
        return [each._value.get() for each in (logins.LOGINS.labels("refused"), security)]

    before = counted()
    for attempt in attempts:
        assert WRONG in log_in(**attempt).text
    assert counted() == [each + len(attempts) for each in before]


def test_guessed_codes_make_the_app_pause(log_in, clerk, codes, settings):
    settings.OTP_TOTP_THROTTLE_FACTOR = 1000  # seconds after the first failure, and not one
    right = code_of(clerk)
    assert WRONG in log_in(code="000000" if right != "000000" else "000001").text
    assert WRONG in log_in(code=right).text
    TOTPDevice.objects.update(throttling_failure_timestamp=None, throttling_failure_count=0)
    assert log_in(code=right).status_code == 302


def test_a_recovery_code_is_good_once(log_in, client, codes):
    assert log_in(code=f" {codes[3].upper()} ").status_code == 302
    client.logout()
    assert WRONG in log_in(code=codes[3]).text


def test_the_code_of_another_member_is_no_good(log_in, clerk, codes, hashed, capsys):
    other = User.objects.create(username="other", password=hashed, is_staff=True)
    call_command("second_factor", "other")
    theirs = capsys.readouterr().out.splitlines()[-1]

    assert WRONG in log_in(code=code_of(other)).text
    assert WRONG in log_in(code=theirs).text


def test_where_a_second_factor_is_required_nobody_logs_in_without(log_in, clerk, settings, capsys):
    settings.STAFF_SECOND_FACTOR = "required"
    assert WRONG in log_in().text
    call_command("second_factor", clerk.username)
    assert log_in(code=code_of(clerk)).status_code == 302


def test_setting_up_an_app_ends_the_sessions_before_and_removing_it_too(log_in, clerk, client, hashed):
    other = User.objects.create(username="other", password=hashed, is_staff=True, is_superuser=True)
    client.force_login(other)
    theirs = client.session.session_key
    client.cookies.clear()
    assert log_in().status_code == 302
    call_command("second_factor", clerk.username, verbosity=0)
    assert client.get("/admin/").status_code == 302
    assert client.session.__class__(theirs).exists(theirs)

    assert log_in(code=code_of(clerk)).status_code == 302
    call_command("second_factor", clerk.username, "--remove")
    assert client.get("/admin/").status_code == 302
    assert log_in().status_code == 302


def test_a_second_factor_for_nobody_is_refused_in_a_sentence():
    with pytest.raises(CommandError, match="There is no user nobody"):
        call_command("second_factor", "nobody")


def test_no_page_of_the_admin_shows_the_secret_of_an_app(admin_client, clerk, codes):
    assert admin_client.get("/admin/otp_totp/totpdevice/").status_code == 404
    assert admin_client.get("/admin/otp_static/staticdevice/").status_code == 404
    assert (
        TOTPDevice.objects.get().key
        not in admin_client.get(reverse("admin:auth_user_change", args=[clerk.pk])).text
    )
