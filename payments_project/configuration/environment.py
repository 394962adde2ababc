"""Read the operator's settings from the environment and from a .env file beside manage.py."""

import os
import re
from contextlib import suppress
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal

from django.core.exceptions import ImproperlyConfigured
from pydantic import AfterValidator, AnyHttpUrl, BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from redis import ConnectionPool, RedisError

from access import bounds
from access.addresses import UNIX
from payments.api.addresses import NUMBER
from payments.stripe.currencies import SUPPORTED
from payments_project.configuration.secret_files import secrets_in_files
from payments_project.configuration.web_names import Origin, ReturnHost

BASE_DIR = Path(__file__).resolve().parents[2]

DEVELOPMENT_SECRET_KEY = "development-only-secret-key-never-for-production"
DEVELOPMENT_API_KEY = "dev-key"


def _split(value: Any) -> Any:
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


_SCHEME = re.compile(r"[a-z][a-z0-9+.-]{0,63}")
_NO_APP = re.compile(
    "about|blob|chrome|data|file|filesystem|ftp|https?|intent|javascript|mailto|resource|sms|tel|vbscript|"
    "view-source|wss?"
)
"""Schemes that a browser, or another program than the rider's app, handles."""


def _app_scheme(scheme: str) -> str:
    if scheme and (not _SCHEME.fullmatch(scheme) or _NO_APP.fullmatch(scheme)):
        raise ValueError(
            "set the scheme of your app alone, in lower case, such as myapp; none of the web's own"
        )
    return scheme


_NAME = re.compile(r"([a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}\.?", re.IGNORECASE)
_NAME_MAX_LENGTH = 253


def _host(host: str) -> str:
    """Return the address without brackets, or the name. Resolvers take `*` and `[::1` too, for this machine."""
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    with suppress(ValueError):
        # Brackets are for IPv6 alone, as in a URL.
        if ip_address(bare).version == 6 or bare == host:  # noqa: PLR2004 the number is its name
            return bare
    last = host.removesuffix(".").rpartition(".")[2]
    if len(host) > _NAME_MAX_LENGTH or not _NAME.fullmatch(host) or NUMBER.fullmatch(last):
        raise ValueError(
            "set localhost, one address of this machine, or one name of it; 0.0.0.0 for all of them. "
            "The port is in PORT"
        )
    return host


def _redis(url: str) -> str:
    """Refuse an address by which no server could ever be used: redis-py cannot read it, or would read messages as text."""
    try:
        pool = ConnectionPool.from_url(url or "redis://")
        pool.make_connection()
        is_good = "decode_responses" not in pool.connection_kwargs
    except (TypeError, ValueError, RedisError):
        is_good = False
    if not is_good:
        raise ValueError(
            "set redis://:PASSWORD@HOST:PORT/NUMBER, with one server, and with no parameter that is not known. "
            "In the password, write each of / ? # [ ] @ : % as % with two digits, such as %23 for #"
        )
    return url


_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)*/?")
_OWN = re.compile("/(admin|api|basic|checkout|healthz|metrics|readyz|sandbox|static|v1|v2|webhooks)(/|$)")


def _prefix(url: AnyHttpUrl) -> AnyHttpUrl:
    """Refuse a path that cannot be a prefix, or that is ambiguous with the service's own addresses."""
    path = url.path or ""
    if not _PREFIX.fullmatch(path) or url.query or url.fragment:
        raise ValueError("set an address alone; its path may have letters, digits and any of . _ ~ -")
    if _OWN.match(path):
        raise ValueError("choose a prefix that does not begin like an address of the service itself")
    return url


TokenAlgorithm = Literal[
    "HS256", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"
]
CommaSeparated = Annotated[list[str], NoDecode, BeforeValidator(_split)]


def _networks(networks: list[str]) -> list[str]:
    for network in networks:
        if network != UNIX:
            try:
                ip_network(network)
            except ValueError as error:
                raise ValueError(
                    f"set addresses and networks, such as 10.0.0.0/8, or unix: ({error})"
                ) from None
    return networks


def _limits(items: list[str]) -> list[str]:
    bounds.read(items)  # ValueError says what is wrong
    return items


_SUM = re.compile(r"[0-9]{1,18}")


def _sums(value: Any) -> Any:
    """Return the sum of each currency."""
    if not isinstance(value, str):
        return value
    pairs = [item.lower().partition("=") for item in _split(value)]
    sums = {currency.strip(): amount.strip() for currency, _, amount in pairs}
    if len(sums) < len(pairs) or not all(
        currency in SUPPORTED and _SUM.fullmatch(amount) for currency, amount in sums.items()
    ):
        raise ValueError("set a sum in minor units for each currency, once, such as usd=50000,jpy=75000")
    return {currency: int(amount) for currency, amount in sums.items()}


class Environment(BaseSettings):
    """All settings, with their defaults. A field's name is the name in the environment."""

    model_config = SettingsConfigDict(extra="ignore", env_ignore_empty=True)

    DEBUG: bool = False
    """Development mode: development defaults are accepted."""
    SECRET_KEY: str = DEVELOPMENT_SECRET_KEY
    """Signs sessions and the sandbox's webhooks, and seals what goes through Redis."""
    TRUSTED_PROXIES: Annotated[CommaSeparated, AfterValidator(_networks)] = []
    """Addresses and networks of the proxies in front, whose X-Forwarded-For is trusted; `unix:` for a Unix socket."""
    ALLOWED_HOSTS: CommaSeparated = ["localhost", "127.0.0.1", "[::1]"]
    """Host names the service answers to, separated by commas."""
    ALLOWED_ORIGINS: Annotated[list[Origin], NoDecode, BeforeValidator(_split)] = []
    """Origins whose pages may open a WebSocket, separated by commas; empty: every origin."""
    RETURN_HOSTS: Annotated[list[ReturnHost], NoDecode, BeforeValidator(_split)] = []
    """Hosts that `successUrl` and `cancelUrl` may lead to, separated by commas; empty: every host."""
    HOST: Annotated[str, AfterValidator(_host)] = "localhost"
    """Address `manage.py serve` listens on."""
    PORT: int = Field(default=9090, ge=1, le=65535)
    """Port `manage.py serve` listens on."""
    PUBLIC_URL: Annotated[AnyHttpUrl, AfterValidator(_prefix)] | None = None
    """Where browsers reach the service, with its prefix if it has one. Default: http://HOST:PORT."""
    APP_SCHEME: Annotated[str, AfterValidator(_app_scheme)] = ""
    """Scheme of the rider's app, to which the pages after Checkout lead back."""
    DATABASE_URL: str = "sqlite:///db.sqlite3"
    """SQLite or PostgreSQL (postgresql://…)."""
    REDIS_URL: Annotated[str, AfterValidator(_redis)] = Field(default="", pattern="^(rediss?://|unix://|$)")
    """Redis or Valkey for several processes; empty: in memory, one process."""
    WORKERS: int = Field(default=1, ge=1)
    """How many server processes share this configuration."""
    WEBSOCKET_PING_SECONDS: int = Field(default=20, ge=1, le=60)
    """How often clients are pinged on the WebSocket, and how long their answer may take."""
    API_KEYS: CommaSeparated = []
    """Keys of the HTTP API with every scope, separated by commas, beside those of `manage.py api_key`. Default with
    DEBUG: dev-key."""
    API_DOCS: bool | None = None
    """Serve /api/docs and /api/openapi.json. Default: on with DEBUG."""
    NOTIFICATIONS_AUTH: Literal["open", "token", "session"] | None = None
    """Which clients may register: `open`, all; `token`, those with a JWT; `session`, those whose user is logged in.
    Default: open with DEBUG, else token."""
    NOTIFICATIONS_TOKEN_SECRET: str = ""
    """HS256 secret of the users' tokens, 32 characters or more."""
    NOTIFICATIONS_TOKEN_KEY_FILE: str = ""
    """File of the public key (PEM) that verifies the users' tokens."""
    NOTIFICATIONS_TOKEN_JWKS_URL: AnyHttpUrl | None = None
    """Address of the issuer's key set (JWKS) that verifies the users' tokens."""
    NOTIFICATIONS_TOKEN_ALGORITHM: TokenAlgorithm = "HS256"
    """How the users' tokens are signed. No other algorithm is taken."""
    NOTIFICATIONS_TOKEN_MAX_SECONDS: int = Field(default=86_400, ge=1, le=31_536_000)
    """How far ahead a token's `exp` may be, in seconds."""
    NOTIFICATIONS_TOKEN_AUDIENCE: str = ""
    """The `aud` that tokens need to have. Empty: they have none."""
    NOTIFICATIONS_TOKEN_ISSUER: str = ""
    """The `iss` that tokens need to have. Empty: any, or none."""
    NOTIFICATIONS_TOKEN_TYPE: str = ""
    """The `typ` that the headers of tokens need to have. Empty: any, or none."""
    NOTIFICATIONS_CONNECTIONS: Literal["all", "latest"] = "all"
    """`all` connections of a user are served, or the `latest` alone."""
    STAFF_SECOND_FACTOR: Literal["optional", "required"] = "optional"
    """`optional`: staff with an authenticator app log in with its code. `required`: nobody else logs in."""
    STRIPE_SECRET_KEY: str = ""
    """Stripe's secret key (sk_… or rk_…)."""
    STRIPE_WEBHOOK_SECRETS: CommaSeparated = []
    """Signing secrets of the webhook endpoint (whsec_…), separated by commas."""
    REFUND_APPROVAL_ABOVE: Annotated[dict[str, int] | None, NoDecode, BeforeValidator(_sums)] = None
    """Sums in minor units above which a refund by staff waits for a second person, as CURRENCY=SUM, separated by commas.
    Default: never."""
    STRIPE_SANDBOX: bool | None = None
    """Serve the built-in Stripe sandbox. Default: on with DEBUG and without STRIPE_SECRET_KEY."""
    STRIPE_API_BASE: AnyHttpUrl | None = None
    """Another address of Stripe's API, for test keys only. Default: Stripe's own."""
    LIMITS: Annotated[CommaSeparated, AfterValidator(_limits)] = []
    """Limits that differ from their defaults, as NAME=AMOUNT, separated by commas."""
    EXPOSE_DEVELOPMENT: bool = False
    """Let DEBUG, or the sandbox, serve on an address that other machines reach."""
    LOG_LEVEL: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """The least level that is logged on standard error."""


def local_host(host: str) -> str:
    """Return the host name by which this machine reaches its own server that listens on `host`.

    A zone, as in fe80::1%eth0, is no part of a URL or of a Host header (RFC 9844).
    """
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if address.is_unspecified:  # it listens everywhere
        return "localhost"
    name = str(address).partition("%")[0]
    return f"[{name}]" if address.version == 6 else name  # noqa: PLR2004 the number is its name


def read_environment() -> Environment:
    """Return the settings; raise ImproperlyConfigured with a line for each that is wrong."""
    file = os.environ.get("ENV_FILE", BASE_DIR / ".env") or None
    try:
        secrets: dict[str, Any] = secrets_in_files(file)
        return Environment(_env_file=file, **secrets)
    except UnicodeDecodeError:  # as PowerShell's `>` and old editors write it
        raise ImproperlyConfigured(f"{file} is no text in UTF-8. Save it anew in UTF-8.") from None
    except ValidationError as error:
        # Never the input itself, which pydantic knows too: it may be a secret.
        lines = [
            f"{'.'.join(str(part) for part in e['loc'])}: {e['msg'].removeprefix('Value error, ')}"
            for e in error.errors()
        ]
        raise ImproperlyConfigured("These settings are wrong. " + "; ".join(lines)) from None
