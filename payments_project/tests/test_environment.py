import pytest
from django.core.exceptions import ImproperlyConfigured

from payments_project.configuration.environment import Environment, local_host, read_environment


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch):
    monkeypatch.setenv("ENV_FILE", "")
    for name in Environment.model_fields:
        monkeypatch.delenv(name, raising=False)


def test_without_any_setting_it_is_a_production():
    env = read_environment()
    assert (env.DEBUG, env.PORT, env.NOTIFICATIONS_CONNECTIONS) == (False, 9090, "all")


def test_lists_are_separated_by_commas(monkeypatch):
    monkeypatch.setenv("STRIPE_WEBHOOK_SECRETS", "whsec_old, whsec_new,")
    assert read_environment().STRIPE_WEBHOOK_SECRETS == ["whsec_old", "whsec_new"]


def test_sums_are_read_by_currency(monkeypatch):
    monkeypatch.setenv("REFUND_APPROVAL_ABOVE", "USD=50000, jpy = 0,")
    assert read_environment().REFUND_APPROVAL_ABOVE == {"usd": 50000, "jpy": 0}


def test_an_empty_setting_is_an_unset_one(monkeypatch):
    monkeypatch.setenv("PORT", "")
    assert read_environment().PORT == 9090


def test_a_file_of_settings_is_read(monkeypatch, tmp_path):
    (tmp_path / "service.env").write_text("PORT=9191\nAPI_KEYS=one,two\n")
    monkeypatch.setenv("ENV_FILE", str(tmp_path / "service.env"))
    assert (read_environment().PORT, read_environment().API_KEYS) == (9191, ["one", "two"])


def test_a_file_of_settings_may_begin_as_windows_editors_begin_it(monkeypatch, tmp_path):
    (tmp_path / "service.env").write_text("PORT=9191\n", encoding="utf-8-sig")
    monkeypatch.setenv("ENV_FILE", str(tmp_path / "service.env"))
    assert read_environment().PORT == 9191


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_a_file_of_settings_in_another_encoding_is_refused_by_its_name(monkeypatch, tmp_path, encoding):
    (tmp_path / "service.env").write_text("SECRET_KEY=é\n", encoding=encoding)
    monkeypatch.setenv("ENV_FILE", str(tmp_path / "service.env"))
    with pytest.raises(ImproperlyConfigured, match=r"service\.env is no text in UTF-8\. Save it anew"):
        read_environment()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "abc"),
        ("PORT", "70000"),
        ("REDIS_URL", "localhost:6379"),
        ("REDIS_URL", "redis://one:6379,two:6379/0"),
        ("REDIS_URL", "redis://:pass#word@localhost/0"),
        ("REDIS_URL", "redis://localhost:70000/0"),
        ("REDIS_URL", "redis://localhost/0?password_file=x"),
        ("REDIS_URL", "redis://localhost/0?socket_timeout=soon"),
        ("REDIS_URL", "redis://localhost/0?decode_responses=true"),
        ("REDIS_URL", "rediss://localhost/0?ssl_cert_reqs=CERT_NONE"),
        ("DEBUG", "perhaps"),
        ("WORKERS", "0"),
        ("NOTIFICATIONS_AUTH", "none"),
        ("NOTIFICATIONS_CONNECTIONS", "one"),
        ("PUBLIC_URL", "localhost"),
        ("PUBLIC_URL", "https://example.com/pay?x=1"),
        ("PUBLIC_URL", "https://example.com//pay"),
        ("PUBLIC_URL", "https://example.com/api"),
        ("LOG_LEVEL", "LOUD"),
        ("REFUND_APPROVAL_ABOVE", "50000"),
        ("REFUND_APPROVAL_ABOVE", "usd=50000,eur"),
        ("REFUND_APPROVAL_ABOVE", "usd=500.00"),
        ("REFUND_APPROVAL_ABOVE", "usd=-1"),
        ("REFUND_APPROVAL_ABOVE", "usd=1,USD=2"),
        ("REFUND_APPROVAL_ABOVE", "dollars=50000"),
    ],
)
def test_a_wrong_setting_is_refused_by_its_name(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(ImproperlyConfigured, match=name):
        read_environment()


@pytest.mark.parametrize(
    "url",
    [
        "redis://user:p%23ss@[::1]:6379/1?protocol=3&health_check_interval=5",
        "rediss://localhost?ssl_cert_reqs=none&ssl_ca_certs=/not/here/yet",
        "unix:///run/valkey.sock?db=2",
        "redis:///0?host=redis.example.com",
    ],
)
def test_an_address_of_redis_is_taken_as_redis_py_reads_it(monkeypatch, url):
    monkeypatch.setenv("REDIS_URL", url)
    assert url == read_environment().REDIS_URL


def test_a_wrong_setting_is_not_shown_with_its_value(monkeypatch):
    monkeypatch.setenv("PUBLIC_URL", "secret-in-the-wrong-place")
    with pytest.raises(ImproperlyConfigured) as refused:
        read_environment()
    assert "secret-in-the-wrong-place" not in str(refused.value)


@pytest.mark.parametrize("scheme", ["myapp", "com.example.ride", "ride+1"])
def test_the_apps_scheme_is_taken(monkeypatch, scheme):
    monkeypatch.setenv("APP_SCHEME", scheme)
    assert scheme == read_environment().APP_SCHEME


@pytest.mark.parametrize(
    "scheme",
    ["http", "https", "javascript", "data", "MyApp", "myapp://", "my app", "1app", "a" * 65, "müapp"],
)
def test_a_scheme_that_is_no_apps_is_refused(monkeypatch, scheme):
    monkeypatch.setenv("APP_SCHEME", scheme)
    with pytest.raises(ImproperlyConfigured, match=r"APP_SCHEME: .* such as myapp"):
        read_environment()


@pytest.mark.parametrize(
    ("host", "is_taken_as"),
    [
        ("localhost", "localhost"),
        ("pay.example.com.", "pay.example.com."),
        ("my_host-1", "my_host-1"),
        ("1host", "1host"),
        ("0.0.0.0", "0.0.0.0"),
        ("192.168.1.5", "192.168.1.5"),
        ("::", "::"),
        ("[::]", "::"),
        ("[::1]", "::1"),
        ("FE80:0::1%eth0", "FE80:0::1%eth0"),
        ("[fe80::1%eth0]", "fe80::1%eth0"),
        ("::ffff:127.0.0.1", "::ffff:127.0.0.1"),
    ],
)
def test_a_host_is_one_address_or_one_name(monkeypatch, host, is_taken_as):
    monkeypatch.setenv("HOST", host)
    assert is_taken_as == read_environment().HOST


@pytest.mark.parametrize(
    "host",
    [
        "*",
        "*.example.com",
        "[::1",
        "::1]",
        "[::1]]",
        "[]",
        "[localhost]",
        "[127.0.0.1]",
        "[::1]:9090",
        "localhost:9090",
        "127.0.0.1:9090",
        "localhost,127.0.0.1",
        "127.0.0.1 ::1",
        "http://localhost",
        "localhost/",
        "//localhost",
        " ",
        " localhost",
        "localhost\t",
        "a..b",
        ".localhost",
        ".",
        "1.2.3.4.5",
        "1.2.3",
        "256.0.0.1",
        "127.0.0.01",
        "0x7f.1",
        "2130706433",
        "fe80::1%",
        "fe80:::1",
        "::g",
        "münchen.example",
        "x" * 64,
        "a." * 127 + "example",
        "user@localhost",
        "-n'; localhost",
    ],
)
def test_what_is_no_host_is_refused_with_what_to_set(monkeypatch, host):
    monkeypatch.setenv("HOST", host)
    with pytest.raises(ImproperlyConfigured) as refused:
        read_environment()
    assert str(refused.value) == (
        "These settings are wrong. HOST: set localhost, one address of this machine, or one name of it; "
        "0.0.0.0 for all of them. The port is in PORT"
    )


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("localhost", "localhost"),
        ("0.0.0.0", "localhost"),
        ("::", "localhost"),
        ("192.168.1.5", "192.168.1.5"),
        ("FD00::2", "[fd00::2]"),
        ("fe80::1%eth0", "[fe80::1]"),
    ],
)
def test_the_service_is_reached_by_the_name_of_its_host(host, name):
    assert local_host(host) == name


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("https://App.Example/", "https://app.example"),
        ("https://app.example:443", "https://app.example"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("https://.app.example", "https://.app.example"),
        ("capacitor://localhost", "capacitor://localhost"),
        ("null", "null"),
    ],
)
def test_an_origin_is_read_as_browsers_send_it(monkeypatch, given, read):
    monkeypatch.setenv("ALLOWED_ORIGINS", given)

    assert [read] == read_environment().ALLOWED_ORIGINS


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ALLOWED_ORIGINS", "app.example"),
        ("ALLOWED_ORIGINS", "https://app.example/path"),
        ("ALLOWED_ORIGINS", "https://*.example"),
        ("ALLOWED_ORIGINS", "*"),
        ("ALLOWED_ORIGINS", "https://.com"),
        ("RETURN_HOSTS", ".com"),
        ("RETURN_HOSTS", "https://shop.example"),
        ("RETURN_HOSTS", "shop.example:443"),
        ("RETURN_HOSTS", "*.example"),
        ("RETURN_HOSTS", "shop.example/a"),
    ],
)
def test_what_is_no_origin_or_host_is_refused(monkeypatch, name, value):
    monkeypatch.setenv(name, value)

    with pytest.raises(ImproperlyConfigured, match="alone, such as"):
        read_environment()
