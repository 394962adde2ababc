"""Django's settings. What an operator may set is read, typed and described in environment.py."""

import hashlib
import hmac
import socket
from typing import Any

import dj_database_url
from django.core.exceptions import ImproperlyConfigured
from django.urls import reverse_lazy

from payments_project.environment import BASE_DIR, local_host, read_environment
from payments_project.logs import is_unforeseen

env = read_environment()

DEBUG = env.DEBUG
SECRET_KEY = env.SECRET_KEY
ALLOWED_HOSTS = env.ALLOWED_HOSTS
HOST = env.HOST.strip("[]")
PORT = env.PORT
LOCAL_HOST = local_host(HOST)
LOCAL_URL = f"http://{LOCAL_HOST}:{PORT}"
PUBLIC_URL = str(env.PUBLIC_URL or LOCAL_URL).rstrip("/")
APP_SCHEME = env.APP_SCHEME
WORKERS = env.WORKERS
WEBSOCKET_PING_SECONDS = env.WEBSOCKET_PING_SECONDS

INSTALLED_APPS = [
    "payments_project",
    # Gives `runserver` WebSockets. A production has no use for it, and it loads Twisted: 17 MiB in each process.
    *(["daphne"] if DEBUG else []),
    "notifications",
    "payments",
    "stripe_sandbox",
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "servestatic",
    "channels",
    "ninja",
]

MIDDLEWARE = [
    "payments_project.middleware.api_errors.json_errors",
    "django.middleware.security.SecurityMiddleware",
    "payments_project.middleware.static_files.StaticFilesMiddleware",
    "payments_project.middleware.hosts.known_hosts",  # after static files: its page has a style
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "payments_project.urls"
ASGI_APPLICATION = "payments_project.asgi.application"
APPEND_SLASH = True

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]


POSTGRESQL = {
    # A longer reconnect_timeout lets the pool pause for longer and longer, also when the database is back.
    "pool": {"min_size": 1, "max_size": 20, "timeout": 5, "reconnect_timeout": 2},
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
    # Of a cluster's addresses, and after a failover, only a server that writes is one.
    "target_session_attrs": "read-write",
    # Nobody waits for long for who stopped in the middle of a transaction.
    "options": "-c lock_timeout=5s -c idle_in_transaction_session_timeout=30s",
}
"""How a PostgreSQL is used, where DATABASE_URL says nothing else."""


def _database(url: str) -> dict[str, Any]:
    """Return Django's DATABASES entry for a database URL.

    SQLite: IMMEDIATE transactions, or two writers meet "database is locked"; WAL, so that readers never wait.
    PostgreSQL: the backend's pool, since every request under ASGI runs in a thread of its own. What the address says
    in its query, such as `?options=`, holds.
    Raises ImproperlyConfigured for anything else.
    """
    try:
        config: dict[str, Any] = dict(dj_database_url.parse(url, conn_health_checks=True))
    except ValueError:
        config = {"ENGINE": ""}
    options = config.setdefault("OPTIONS", {})
    if config["ENGINE"] == "django.db.backends.sqlite3":
        if config["NAME"] != ":memory:":
            config["NAME"] = BASE_DIR / config["NAME"]
        options |= {
            "transaction_mode": "IMMEDIATE",
            "timeout": 5,  # shorter than anybody waits for an answer
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
        }
    elif config["ENGINE"] == "django.db.backends.postgresql":
        config["ENGINE"] = "payments_project.postgresql"
        config["OPTIONS"] = POSTGRESQL | options
    else:
        raise ImproperlyConfigured(
            "DATABASE_URL is no address of a database. Set it to sqlite:///FILE or postgresql://USER@HOST/NAME."
        )
    return config


DATABASES = {"default": _database(env.DATABASE_URL)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = env.REDIS_URL
# Seconds of silence, seconds between probes, probes. macOS has another name for the first.
_KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPALIVE": 30, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}
REDIS_CONNECTION: dict[str, Any] = {"socket_timeout": 5, "socket_connect_timeout": 2}
if not REDIS_URL.startswith("unix://"):  # nothing is lost on the way to one of these
    REDIS_CONNECTION["socket_keepalive"] = True
    REDIS_CONNECTION["socket_keepalive_options"] = {
        getattr(socket, name): value for name, value in _KEEPALIVE.items() if hasattr(socket, name)
    }
MEMORY_LAYER = {
    "BACKEND": "channels.layers.InMemoryChannelLayer",
    # By default it forgets who joined a day ago, and what comes faster than 100 messages can be read.
    "CONFIG": {"group_expiry": 10 * 365 * 86400, "capacity": 10_000},
}
CHANNEL_LAYERS: dict[str, Any]
if REDIS_URL:
    CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "notifications.fanout.redis_layer.RedisLayer",
            "CONFIG": {"hosts": [{"address": REDIS_URL, **REDIS_CONNECTION}]},
        }
    }
else:
    CHANNEL_LAYERS = {"default": MEMORY_LAYER}

API_KEYS = env.API_KEYS
NOTIFICATIONS_AUTH = env.NOTIFICATIONS_AUTH or ("open" if DEBUG else "token")
NOTIFICATIONS_TOKEN_SECRET = env.NOTIFICATIONS_TOKEN_SECRET
NOTIFICATIONS_CONNECTIONS = env.NOTIFICATIONS_CONNECTIONS
NOTIFICATIONS_SUBJECT_PAGES = {"payment": "admin:payments_payment_change"}  # by the prefix of collapse keys


def _sandbox_secret(prefix: str) -> str:
    """Return a secret of the sandbox: every process of an installation derives the same one."""
    return prefix + hmac.new(SECRET_KEY.encode(), prefix.encode(), hashlib.sha256).hexdigest()[:32]


STRIPE_SANDBOX = env.STRIPE_SANDBOX if env.STRIPE_SANDBOX is not None else DEBUG and not env.STRIPE_SECRET_KEY
STRIPE_CONFIGURED_KEY = env.STRIPE_SECRET_KEY
if STRIPE_SANDBOX:
    STRIPE_SECRET_KEY = _sandbox_secret("sk_test_")
    STRIPE_WEBHOOK_SECRETS = [_sandbox_secret("whsec_")]
    STRIPE_API_BASE = LOCAL_URL
else:
    STRIPE_SECRET_KEY = env.STRIPE_SECRET_KEY
    STRIPE_WEBHOOK_SECRETS = env.STRIPE_WEBHOOK_SECRETS
    STRIPE_API_BASE = str(env.STRIPE_API_BASE).rstrip("/") if env.STRIPE_API_BASE else ""

if STRIPE_SANDBOX or DEBUG:  # the service and its sandbox talk to each other by it, and links lead there
    ALLOWED_HOSTS = list(dict.fromkeys([*ALLOWED_HOSTS, LOCAL_HOST]))

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [("clients", BASE_DIR / "clients" / "js"), BASE_DIR / "static"]
SERVESTATIC_USE_FINDERS = True

DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = PUBLIC_URL.startswith("https://")
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if PUBLIC_URL.startswith("https://") else None
X_FRAME_OPTIONS = "DENY"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {
        "once_a_minute": {"()": "payments_project.logs.OnceAMinute"},
        "unforeseen": {"()": "django.utils.log.CallbackFilter", "callback": is_unforeseen},
    },
    "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": env.LOG_LEVEL},
    # Request paths hold Checkout session ids of the sandbox, and a 4xx is the client's to know.
    "loggers": {
        "django": {"handlers": []},  # its own would write each line a second time
        "django.request": {"level": "ERROR", "filters": ["unforeseen"]},
        "daphne": {"level": "ERROR"},  # its warnings quote paths
        "uvicorn": {"level": "ERROR"},  # so does what it says of each WebSocket
        # Each of these has a line for everybody who meets a database that is away.
        "notifications.delivery.confirmations": {"filters": ["once_a_minute"]},
        "notifications.consumers": {"filters": ["once_a_minute"]},
        "payments_project.postgresql": {"filters": ["once_a_minute"]},
        "payments_project.middleware.hosts": {"filters": ["once_a_minute"]},
        "notifications.delivery.subscription": {"filters": ["once_a_minute"]},
        "notifications.fanout.seal": {"filters": ["once_a_minute"]},  # a stranger can send any number
        "payments.api.errors": {"filters": ["once_a_minute"]},
        # And these for everybody who sends what is not Stripe's, or more than is taken.
        "payments.webhooks.signatures": {"filters": ["once_a_minute"]},
        "payments.webhooks.endpoint": {"filters": ["once_a_minute"]},
        "payments_project.serving.uvicorn_http": {"filters": ["once_a_minute"]},
        "psycopg.pool": {"filters": ["once_a_minute"]},
        "httpx": {"level": "WARNING"},
        "stripe": {"level": "WARNING"},
        "urllib3": {"level": "WARNING"},
        "django.db.backends": {"level": "INFO"},  # it would log statements with what they store
    },
}


def _page(title: str, icon: str, model: str) -> dict[str, Any]:
    """Return a link of the admin's sidebar, for staff who may see the model."""
    app, name = model.split(".")
    return {
        "title": title,
        "icon": icon,
        "link": reverse_lazy(f"admin:{app}_{name}_changelist"),
        "permission": lambda request: request.user.has_perm(f"{app}.view_{name}"),
    }


UNFOLD = {
    "SITE_TITLE": "Payments",
    "SITE_HEADER": "Payments",
    "SITE_SUBHEADER": "Payment notification service",
    "SITE_SYMBOL": "payments",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": f"/{STATIC_URL}icon.svg"}],
    "SHOW_VIEW_ON_SITE": False,
    "DASHBOARD_CALLBACK": "payments.admin.dashboard.dashboard",
    "SIDEBAR": {
        "navigation": [
            {
                "title": "Money",
                "items": [
                    _page("Payments", "payments", "payments.payment"),
                    _page("Webhook events", "webhook", "payments.webhookevent"),
                ],
            },
            {
                "title": "Written to users",
                "items": [
                    _page("Feeds", "rss_feed", "notifications.feed"),
                    _page("Notifications", "notifications", "notifications.notification"),
                ],
            },
            {
                "title": "Staff",
                "items": [_page("Users", "person", "auth.user"), _page("Groups", "group", "auth.group")],
            },
        ]
    },
}
