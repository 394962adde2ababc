import pytest
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured

from payments_project.checks import refuse_bad_settings
from payments_project.configuration.environment import DEVELOPMENT_SECRET_KEY
from tests.support.production import API_KEY, PRODUCTION, SECRET_KEY, TOKEN_SECRET
from tests.support.server import run

GOOD = {
    "DEBUG": False,
    "HOST": "0.0.0.0",
    "PUBLIC_URL": "https://pay.example.com",
    "ALLOWED_HOSTS": ["pay.example.com"],
    "EXPOSE_DEVELOPMENT": False,
    "SECRET_KEY": SECRET_KEY,
    "API_KEYS": [API_KEY],
    "NOTIFICATIONS_AUTH": "token",
    "NOTIFICATIONS_TOKEN_SECRET": TOKEN_SECRET,
    "NOTIFICATIONS_TOKEN_KEY_FILE": "",
    "NOTIFICATIONS_TOKEN_JWKS_URL": "",
    "NOTIFICATIONS_TOKEN_ALGORITHM": "HS256",
    "WORKERS": 1,
    "REDIS_URL": "",
    "STRIPE_SANDBOX": False,
    "STRIPE_CONFIGURED_KEY": "sk_live_12345678",
    "STRIPE_WEBHOOK_SECRETS": ["whsec_Vt6qLz3NcX8wRb5KpY1mJd9H"],
    "STRIPE_API_BASE": "",
}


KEY_SET = {
    "NOTIFICATIONS_TOKEN_SECRET": "",
    "NOTIFICATIONS_TOKEN_JWKS_URL": "https://issuer.example/jwks",
    "NOTIFICATIONS_TOKEN_ALGORITHM": "RS256",
}


@pytest.fixture
def configure(settings):
    def apply(**changed):
        for name, value in (GOOD | changed).items():
            setattr(settings, name, value)

    return apply


def test_a_complete_production_starts(configure):
    configure()
    refuse_bad_settings()


def test_a_production_whose_keys_are_all_made_by_command_starts(configure):
    configure(API_KEYS=[])
    refuse_bad_settings()


def test_a_production_starts_with_the_keys_of_an_issuer_and_with_djangos_logins(configure):
    configure(**KEY_SET)
    refuse_bad_settings()
    configure(NOTIFICATIONS_AUTH="session", NOTIFICATIONS_TOKEN_SECRET="")
    refuse_bad_settings()


def test_development_starts_on_its_defaults(configure):
    configure(
        DEBUG=True,
        HOST="localhost",
        PUBLIC_URL="http://localhost:9090",
        SECRET_KEY=DEVELOPMENT_SECRET_KEY,
        API_KEYS=["dev-key"],
        NOTIFICATIONS_AUTH="open",
        WORKERS=2,
        STRIPE_SANDBOX=True,
        STRIPE_CONFIGURED_KEY="",
    )
    refuse_bad_settings()


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"SECRET_KEY": DEVELOPMENT_SECRET_KEY}, "Set SECRET_KEY to"),
        ({"API_KEYS": [API_KEY, "dev-key"]}, "Set API_KEYS to"),
        ({"API_KEYS": [API_KEY, API_KEY]}, "a key of its own for each caller"),
        ({"NOTIFICATIONS_AUTH": "open"}, "Set NOTIFICATIONS_AUTH=token"),
        ({"NOTIFICATIONS_TOKEN_SECRET": "short"}, "Set NOTIFICATIONS_TOKEN_SECRET to 32"),
        ({"NOTIFICATIONS_TOKEN_SECRET": ""}, "Set NOTIFICATIONS_TOKEN_SECRET to 32"),
        (
            {"NOTIFICATIONS_AUTH": "session", "NOTIFICATIONS_TOKEN_SECRET": "short"},
            "Set NOTIFICATIONS_TOKEN_SECRET to 32",
        ),
        ({"NOTIFICATIONS_TOKEN_KEY_FILE": "key.pem"}, "Unset all but one"),
        ({"NOTIFICATIONS_TOKEN_JWKS_URL": KEY_SET["NOTIFICATIONS_TOKEN_JWKS_URL"]}, "Unset all but one"),
        ({"NOTIFICATIONS_TOKEN_ALGORITHM": "RS256"}, "HS256 for a secret"),
        (KEY_SET | {"NOTIFICATIONS_TOKEN_ALGORITHM": "HS256"}, "such as RS256"),
        (KEY_SET | {"NOTIFICATIONS_TOKEN_JWKS_URL": "http://issuer.example/"}, "begins with https://"),
        (
            {
                "NOTIFICATIONS_TOKEN_SECRET": "",
                "NOTIFICATIONS_TOKEN_KEY_FILE": "/nowhere",
                "NOTIFICATIONS_TOKEN_ALGORITHM": "ES256",
            },
            "Set it to the file of a public key for ES256",
        ),
        ({"WORKERS": 2}, "Set REDIS_URL to"),
        ({"STRIPE_SANDBOX": True}, "Unset STRIPE_SANDBOX"),
        ({"STRIPE_CONFIGURED_KEY": ""}, "Set STRIPE_SECRET_KEY and"),
        ({"STRIPE_CONFIGURED_KEY": "pk_live_1"}, "begins with sk_ or rk_"),
        ({"STRIPE_WEBHOOK_SECRETS": []}, "begins with whsec_"),
        ({"STRIPE_WEBHOOK_SECRETS": ["whsec_1", "sk_live_1"]}, "begins with whsec_"),
        ({"SECRET_KEY": SECRET_KEY[:49]}, "Set SECRET_KEY to"),
        ({"API_KEYS": [API_KEY[:19]]}, "Set API_KEYS to"),
        ({"STRIPE_CONFIGURED_KEY": "sk_live_..."}, "begins with sk_ or rk_"),
        ({"STRIPE_WEBHOOK_SECRETS": ["whsec_…"]}, "begins with whsec_"),
        ({"DEBUG": True}, "Unset DEBUG"),
        ({"DEBUG": True, "STRIPE_CONFIGURED_KEY": "sk_org_live_12345678"}, "Unset DEBUG"),
        ({"STRIPE_CONFIGURED_KEY": "sk_org_live_12345678"}, "Set it to a key of one account"),
        ({"STRIPE_CONFIGURED_KEY": "rk_org_test_12345678"}, "Set it to a key of one account"),
        (
            {"STRIPE_CONFIGURED_KEY": "rk_live_12345678", "STRIPE_API_BASE": "http://a"},
            "Unset STRIPE_API_BASE",
        ),
        ({"STRIPE_API_BASE": "http://localhost:1"}, "Unset STRIPE_API_BASE"),
    ],
)
def test_a_production_that_is_open_default_keyed_or_half_configured_is_refused(configure, changed, sentence):
    configure(**changed)
    with pytest.raises(ImproperlyConfigured, match=sentence):
        refuse_bad_settings()


def test_everything_that_is_wrong_is_said_at_once(configure):
    configure(API_KEYS=["dev-key"], WORKERS=3)
    with pytest.raises(ImproperlyConfigured, match=r"(?s)API_KEYS.*REDIS_URL"):
        refuse_bad_settings()


def test_several_workers_with_redis_start(configure):
    configure(WORKERS=4, REDIS_URL="redis://localhost")
    refuse_bad_settings()


EVERYWHERE = "https://pay.example.com"
HERE = {"HOST": "127.0.0.1", "PUBLIC_URL": "http://localhost:9090"}
TRYING = {"STRIPE_SANDBOX": True, "STRIPE_CONFIGURED_KEY": ""}
TEST_KEY = {"STRIPE_CONFIGURED_KEY": "sk_test_12345678"}


def refusals():
    """Return the ids of what is refused."""
    return {error.id for error in run_checks(tags=["service"])}


@pytest.mark.parametrize(
    "key",
    [
        "k" * 60,
        "ab" * 30,
        "0123456789" * 6,
        "changeme-" * 7,
        "Change-Me-" + SECRET_KEY,
        "django-insecure-" + SECRET_KEY,
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
        "k" * 50 + "1234567",
        "replace_me_" + SECRET_KEY,
        "MySuperSecretProductionKeyForThePaymentService2024!",
        "payments-production-secret-key-do-not-share-2024-2025",
        "correct horse battery staple correct horse battery staple",
    ],
)
def test_a_long_key_that_nobody_drew_is_refused_wherever_it_stands(configure, key):
    configure(SECRET_KEY=key)
    assert refusals() == {"service.E001"}
    configure(API_KEYS=[API_KEY, key])
    assert refusals() == {"service.E002"}
    configure(NOTIFICATIONS_TOKEN_SECRET=key)
    assert refusals() == {"service.E005"}


@pytest.mark.parametrize(
    "secret",
    [
        "whsec_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "whsec_your_signing_secret",
        "whsec_test_secret",
        "whsec_12345678",
    ],
)
def test_a_signing_secret_that_nobody_drew_is_refused(configure, secret):
    configure(STRIPE_WEBHOOK_SECRETS=[*GOOD["STRIPE_WEBHOOK_SECRETS"], secret])
    assert refusals() == {"service.E026"}


def test_with_debug_no_key_has_to_be_strong(configure):
    configure(DEBUG=True, SECRET_KEY="k", API_KEYS=["k"], **HERE | TEST_KEY)
    assert refusals() == set()


@pytest.mark.parametrize(
    ("changed", "names"),
    [
        ({"API_KEYS": [API_KEY, SECRET_KEY]}, "SECRET_KEY and API_KEYS"),
        ({"NOTIFICATIONS_TOKEN_SECRET": SECRET_KEY}, "SECRET_KEY and NOTIFICATIONS_TOKEN_SECRET"),
        (
            {"API_KEYS": [TOKEN_SECRET], "SECRET_KEY": SECRET_KEY},
            "API_KEYS and NOTIFICATIONS_TOKEN_SECRET",
        ),
        (
            {"STRIPE_WEBHOOK_SECRETS": ["whsec_Vt6qLz3NcX8wRb5KpY1mJd9H", SECRET_KEY]},
            "SECRET_KEY and STRIPE_WEBHOOK_SECRETS",
        ),
        ({"REDIS_URL": f"redis://:{SECRET_KEY}@10.0.0.7"}, "SECRET_KEY and REDIS_URL"),
        ({"REDIS_URL": f"redis://10.0.0.7?password={SECRET_KEY}"}, "SECRET_KEY and REDIS_URL"),
        ({"STRIPE_WEBHOOK_SECRETS": [f"whsec_{TOKEN_SECRET}"]}, "NOTIFICATIONS_TOKEN_SECRET and STRIPE_WEB"),
    ],
)
def test_one_value_for_several_secrets_is_refused_by_their_names(configure, changed, names):
    configure(**changed)
    with pytest.raises(ImproperlyConfigured, match=f"{names}.* have the same value") as refused:
        refuse_bad_settings()
    assert SECRET_KEY not in str(refused.value)


@pytest.mark.parametrize("login", [":{}@localhost/payments", "localhost/payments?password={}"])
def test_the_password_of_the_database_is_no_other_secret(login):
    url = f"postgresql://{login.format(SECRET_KEY)}"
    ran = run("manage.py", "check", **PRODUCTION | {"DATABASE_URL": url})

    assert ran.returncode == 1
    assert "SECRET_KEY and DATABASE_URL have the same value" in ran.stderr
    assert SECRET_KEY not in ran.stderr


@pytest.mark.parametrize(
    ("changed", "refused"),
    [
        ({"DEBUG": True, **TRYING, **HERE}, set()),
        ({"DEBUG": True, **TRYING, **HERE, "HOST": "0.0.0.0"}, {"service.E014"}),
        ({"DEBUG": True, **TRYING, **HERE, "HOST": "::"}, {"service.E014"}),
        ({"DEBUG": True, **TRYING, **HERE, "HOST": "192.168.1.5"}, {"service.E014"}),
        ({"DEBUG": True, **TRYING, **HERE, "HOST": "build.internal"}, {"service.E014"}),
        ({"DEBUG": True, **TRYING, **HERE, "PUBLIC_URL": EVERYWHERE}, {"service.E014"}),
        ({"DEBUG": True, **TRYING, "EXPOSE_DEVELOPMENT": True}, set()),
        ({"DEBUG": True, **TRYING, "HOST": "::1", "PUBLIC_URL": "http://[::1]:9090"}, set()),
        ({**TRYING, **HERE}, set()),
        ({**TRYING, **HERE, "HOST": "0.0.0.0"}, {"service.E015"}),
        ({**TRYING, "HOST": "localhost"}, {"service.E015"}),
        ({**TRYING, "EXPOSE_DEVELOPMENT": True}, set()),
        ({"ALLOWED_HOSTS": ["pay.example.com", "*"]}, {"service.E016"}),
        ({"ALLOWED_HOSTS": [".com"]}, {"service.E016"}),
        ({"ALLOWED_HOSTS": [".example.com", "[::1]"]}, set()),
        ({"DEBUG": True, **TRYING, **HERE, "ALLOWED_HOSTS": ["*"]}, {"service.E016"}),
        ({"PUBLIC_URL": "http://pay.example.com"}, {"service.E017"}),
        ({"PUBLIC_URL": "http://localhost:9090"}, {"service.E017"}),
        ({"PUBLIC_URL": "http://pay.example.com", **TEST_KEY}, set()),
        ({"STRIPE_API_BASE": "http://stub.example:1", **TEST_KEY}, {"service.E018"}),
        ({"STRIPE_API_BASE": "http://localhost.example:1", **TEST_KEY}, {"service.E018"}),
        ({"DEBUG": True, **HERE, "STRIPE_API_BASE": "http://10.0.0.7:1", **TEST_KEY}, {"service.E018"}),
        ({"STRIPE_API_BASE": "http://127.0.0.1:1", **TEST_KEY}, set()),
        ({"STRIPE_API_BASE": "https://stub.example", **TEST_KEY}, set()),
        ({"REDIS_URL": "redis://redis.example.com"}, {"service.E019", "service.E024"}),
        ({"REDIS_URL": "redis://:pass@redis.example.com"}, {"service.E024"}),
        ({"REDIS_URL": "redis://user:pass@93.184.215.14:6379/0"}, {"service.E024"}),
        ({"REDIS_URL": "rediss://redis.example.com"}, {"service.E019"}),
        ({"REDIS_URL": "rediss://:pass@redis.example.com"}, set()),
        ({"REDIS_URL": "redis://valkey:6379/0"}, {"service.E019"}),
        ({"REDIS_URL": "redis://:pass@valkey:6379/0"}, set()),
        ({"REDIS_URL": "redis://:pass@10.0.0.7"}, set()),
        ({"REDIS_URL": "redis://127.0.0.1:6379"}, set()),
        ({"REDIS_URL": "redis://[::1]:6379"}, set()),
        ({"REDIS_URL": "unix:///run/valkey.sock?db=0"}, set()),
        ({"REDIS_URL": "redis:///0?host=redis.example.com"}, {"service.E019", "service.E024"}),
        ({"REDIS_URL": "redis://?host=redis.example.com&password=pass"}, {"service.E024"}),
        ({"REDIS_URL": "redis://localhost?host=redis.example.com"}, set()),
        ({"REDIS_URL": "redis://:pass@134744072/0"}, {"service.E024"}),
        ({"REDIS_URL": "rediss://:pass@redis.example.com?ssl_cert_reqs=none"}, {"service.E024"}),
        ({"REDIS_URL": "rediss://:pass@redis.example.com?ssl_check_hostname=false"}, {"service.E024"}),
        ({"REDIS_URL": "rediss://:pass@10.0.0.7?ssl_cert_reqs=none"}, set()),
        ({"DEBUG": True, **HERE, **TEST_KEY, "REDIS_URL": "redis://redis.example.com"}, set()),
    ],
)
def test_nothing_is_opened_to_a_network_unasked(configure, changed, refused):
    configure(**changed)
    assert refusals() == refused


@pytest.mark.parametrize(
    ("networks", "is_refused"),
    [
        (["127.0.0.1", "0.0.0.0/0"], True),
        (["::/0"], True),
        (["0.0.0.0/1", "128.0.0.0/1"], True),
        (["2000::/3"], True),
        (["10.0.0.0/8", "172.16.0.0/12", "fc00::/7", "unix:", "::1"], False),
        (["173.245.48.0/20", "2400:cb00::/32"], False),
    ],
)
def test_clients_in_general_are_no_proxies(configure, networks, is_refused):
    configure(TRUSTED_PROXIES=networks)
    assert refusals() == ({"service.E028"} if is_refused else set())


def test_a_production_as_described_passes_the_check_of_a_deployment():
    """Those of the checklist in docs/operating.md."""
    addresses = {
        "PUBLIC_URL": "https://pay.example.com",
        "ALLOWED_HOSTS": "pay.example.com",
        "HOST": "0.0.0.0",
        "TRUSTED_PROXIES": "10.0.0.0/8",
        "REDIS_URL": "rediss://:pass@redis.example.com:6379/0",
        "STRIPE_SECRET_KEY": "sk_live_12345678",
    }

    ran = run("manage.py", "check", "--deploy", "--fail-level", "WARNING", **PRODUCTION | addresses)

    assert (ran.returncode, ran.stderr) == (0, "")
    assert "System check identified no issues" in ran.stdout
