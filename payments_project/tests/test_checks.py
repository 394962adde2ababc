import pytest
from django.core.exceptions import ImproperlyConfigured

from payments_project.checks import refuse_bad_settings
from payments_project.environment import DEVELOPMENT_SECRET_KEY

GOOD = {
    "DEBUG": False,
    "SECRET_KEY": "s" * 50,
    "API_KEYS": ["k" * 40],
    "NOTIFICATIONS_AUTH": "token",
    "NOTIFICATIONS_TOKEN_SECRET": "t" * 32,
    "NOTIFICATIONS_TOKEN_KEY_FILE": "",
    "NOTIFICATIONS_TOKEN_JWKS_URL": "",
    "NOTIFICATIONS_TOKEN_ALGORITHM": "HS256",
    "WORKERS": 1,
    "REDIS_URL": "",
    "STRIPE_SANDBOX": False,
    "STRIPE_CONFIGURED_KEY": "sk_live_12345678",
    "STRIPE_WEBHOOK_SECRETS": ["whsec_12345678"],
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
        ({"API_KEYS": ["k" * 40, "dev-key"]}, "Set API_KEYS to"),
        ({"API_KEYS": ["k" * 40, "k" * 40]}, "a key of its own for each caller"),
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
        ({"SECRET_KEY": "s" * 49}, "Set SECRET_KEY to"),
        ({"API_KEYS": ["k" * 19]}, "Set API_KEYS to"),
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
