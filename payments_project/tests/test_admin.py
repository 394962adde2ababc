import pytest
from django.contrib.auth.models import Group, Permission, User
from django.urls import reverse


@pytest.fixture
def admin_user(db):
    """A superuser without a password: hashing one takes a second."""
    return User.objects.create(username="admin", is_staff=True, is_superuser=True)


@pytest.mark.parametrize("page", ["user_changelist", "user_add", "group_changelist", "group_add"])
def test_members_of_staff_and_groups_can_be_looked_after(admin_client, page):
    assert admin_client.get(reverse(f"admin:auth_{page}")).status_code == 200


def test_a_member_of_staff_and_a_group_have_their_pages(admin_client, admin_user):
    group = Group.objects.create(name="support")
    for page in (
        reverse("admin:auth_user_change", args=[admin_user.pk]),
        reverse("admin:auth_user_password_change", args=[admin_user.pk]),
        reverse("admin:auth_group_change", args=[group.pk]),
    ):
        assert admin_client.get(page).status_code == 200


def test_only_superusers_change_logins_and_groups_whatever_permissions_others_have(client, admin_user):
    """A member who may change a login can give every permission, and take over that of a superuser."""
    member = User.objects.create(username="member", is_staff=True)
    member.user_permissions.set(Permission.objects.filter(content_type__app_label="auth"))
    client.force_login(member)
    group = Group.objects.create(name="finance")
    attempts = [
        (reverse("admin:auth_user_change", args=[member.pk]), {"username": "member", "is_superuser": "on"}),
        (
            reverse("admin:auth_user_password_change", args=[admin_user.pk]),
            {"password1": "a-long-enough-one", "password2": "a-long-enough-one", "usable_password": "true"},
        ),
        (
            reverse("admin:auth_user_add"),
            {"username": "x", "password1": "a-long-enough-one", "password2": "a-long-enough-one"},
        ),
        (reverse("admin:auth_user_delete", args=[admin_user.pk]), {"post": "yes"}),
        (reverse("admin:auth_group_change", args=[group.pk]), {"name": "finance"}),
    ]

    assert [client.post(url, form).status_code for url, form in attempts] == [403] * len(attempts)
    assert client.get(attempts[0][0]).status_code == 200, "it can be looked at"
    client.force_login(admin_user)
    assert client.get(attempts[1][0]).status_code == 200


NUL = "a\0b"


@pytest.mark.parametrize(
    "send",
    [
        lambda client: client.get(
            reverse("admin:autocomplete"),
            {"app_label": "otp_totp", "model_name": "totpdevice", "field_name": "user", "term": NUL},
        ),
        lambda client: client.get(reverse("admin:payments_webhookevent_changelist"), {"type": NUL}),
        lambda client: client.get(reverse("admin:access_apikey_change", args=[NUL])),
        lambda client: client.post(
            reverse("admin:payments_webhookevent_changelist"), {"action": "replay", "_selected_action": NUL}
        ),
    ],
    ids=["in a search", "in a filter", "in a path", "in a form"],
)
def test_a_nul_character_is_refused_and_breaks_nothing(admin_client, send):
    answer = send(admin_client)
    assert (answer.status_code, answer.text) == (400, "Send no NUL characters.\n")
