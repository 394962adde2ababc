import pytest

from notifications.auth import grants
from notifications.auth.handshake import read


@pytest.mark.parametrize(
    ("offered", "selected", "token"),
    [
        ([], None, None),
        ([""], None, None),
        (["a"], "a", None),
        (["notifications", "bearer.x.y.z"], "notifications", "x.y.z"),
        (["bearer.x.y.z", "notifications"], "notifications", "x.y.z"),
        (["bearer.x", "bearer.y", "a", "b"], "a", "x"),
        (["bearer.x"], "bearer.x", "x"),
        (["Bearer.x", "bearerx"], "Bearer.x", None),
    ],
)
def test_a_subprotocol_is_selected_that_carries_no_token_if_one_was_offered(offered, selected, token):
    handshake = read({"subprotocols": offered})
    assert (handshake.subprotocol, handshake.token) == (selected, token)


def test_the_session_is_read_from_the_cookies():
    headers = [(b"cookie", b"a=b; sessionid=abc"), (b"cookie", b"c=d")]
    assert read({"headers": headers}).session_key == "abc"
    assert read({"headers": [(b"cookie", b"\xff; ;=;sessionid")]}).session_key is None


@pytest.mark.parametrize(
    ("origins", "is_ours"),
    [
        ([], False),
        ([b"https://pay.example"], True),
        ([b"http://pay.example"], False),
        ([b"https://pay.example:444"], False),
        ([b"https://pay.example.evil.example"], False),
        ([b"https://evil.example"], False),
        ([b"null"], False),
        ([b""], False),
        ([b"\xff"], False),
        ([b"https://pay.example", b"https://evil.example"], False),
    ],
)
def test_where_a_cookie_proves_the_user_only_our_own_pages_may_connect(settings, origins, is_ours):
    settings.CSRF_TRUSTED_ORIGINS = ["https://pay.example"]
    handshake = read({"headers": [(b"origin", origin) for origin in origins]})
    for mode, may in (("session", is_ours), ("token", True), ("open", True)):
        settings.NOTIFICATIONS_AUTH = mode
        assert grants.may_connect(handshake) is may
