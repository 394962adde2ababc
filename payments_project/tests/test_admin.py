import pytest
from django.contrib.auth.models import Group, User
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
