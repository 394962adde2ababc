import pytest
from django.test import RequestFactory

from access.addresses import _client_of, client_address, unnamed_proxy


def scope(peer, *forwarded):
    headers = [(b"x-forwarded-for", value.encode("latin1")) for value in forwarded]
    return {"type": "websocket", "client": (peer, 4711) if peer else None, "headers": headers}


@pytest.mark.parametrize(
    ("peer", "shown"),
    [
        ("198.51.100.7", "198.51.100.7"),
        ("::ffff:198.51.100.7", "198.51.100.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", "unknown"),
        ("nonsense", "unknown"),
    ],
)
def test_a_client_is_counted_by_its_address_or_its_network(settings, peer, shown):
    settings.TRUSTED_PROXIES = []
    assert client_address(scope(peer)) == shown
    assert client_address(RequestFactory().get("/", REMOTE_ADDR=peer)) == shown


def test_of_a_long_header_only_its_end_is_read_and_kept(settings):
    settings.TRUSTED_PROXIES = ["10.0.0.0/8"]
    _client_of.cache_clear()
    long = ", ".join(["10.0.0.9"] * 3000)
    assert client_address(scope("10.0.0.1", f"{long}, 198.51.100.7, 10.0.0.2")) == "198.51.100.7"
    client_address(scope("10.0.0.1", f"{long}, 10.0.0.3"))
    client_address(scope("10.0.0.1", f"192.0.2.1, {long}, 10.0.0.3"))
    assert _client_of.cache_info().currsize == 2


def test_a_header_that_anybody_may_send_is_not_believed(settings):
    settings.TRUSTED_PROXIES = ["10.0.0.0/8"]
    assert client_address(scope("198.51.100.7", "203.0.113.9")) == "198.51.100.7"


@pytest.mark.parametrize(
    ("trusted", "shown"), [(["unix:"], "203.0.113.9"), (["10.0.0.0/8"], "unknown"), ([], "unknown")]
)
def test_a_proxy_on_a_unix_socket_has_no_address_and_is_trusted_by_name(settings, trusted, shown):
    settings.TRUSTED_PROXIES = trusted
    for forwarded in ("203.0.113.9", "1.2.3.4, 203.0.113.9"):
        assert client_address(scope("", forwarded)) == shown
        assert unnamed_proxy(scope("", forwarded)) == ("" if "unix:" in trusted else "unix:")
    assert client_address(scope("198.51.100.7", "203.0.113.9")) == "198.51.100.7"


@pytest.mark.parametrize(
    ("peer", "forwarded", "shown"),
    [
        ("10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("::ffff:10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["1.2.3.4, 203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["1.2.3.4", "203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["1.2.3.4, 203.0.113.9, 10.0.0.2"], "203.0.113.9"),
        ("10.0.0.1", ["203.0.113.9:5000"], "203.0.113.9"),
        ("10.0.0.1", ["[2001:db8::1]:5000"], "2001:db8::/64"),
        ("10.0.0.1", ["2001:db8::1"], "2001:db8::/64"),
        ("10.0.0.1", ["1.2.3.4, nonsense"], "10.0.0.1"),
        ("10.0.0.1", ["1.2.3.4, "], "10.0.0.1"),
        ("10.0.0.1", ["\xff"], "10.0.0.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
    ],
)
def test_a_trusted_proxy_says_who_came_and_nobody_before_it_does(settings, peer, forwarded, shown):
    settings.TRUSTED_PROXIES = ["10.0.0.0/8"]
    assert client_address(scope(peer, *forwarded)) == shown
    joined = {"HTTP_X_FORWARDED_FOR": ",".join(forwarded)} if forwarded else {}
    assert client_address(RequestFactory().get("/", REMOTE_ADDR=peer, **joined)) == shown
