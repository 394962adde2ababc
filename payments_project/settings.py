"""Django's settings. configuration/environment.py reads, types and describes those of the operator."""

from urllib.parse import urlsplit

from access import bounds
from access.staff import password_rules
from payments_project.configuration.databases import database
from payments_project.configuration.environment import (
    BASE_DIR,
    DEVELOPMENT_API_KEY,
    local_host,
    read_environment,
)
from payments_project.configuration.layers import MEMORY_LAYER, connection_options, layers_of  # noqa: F401 MEMORY_LAYER is a setting
from payments_project.configuration.logs import logging_of
from payments_project.configuration.sidebar import unfold_of
from stripe_sandbox import keys

env = read_environment()

DEBUG = env.DEBUG
SECRET_KEY = env.SECRET_KEY
HOST = env.HOST
PORT = env.PORT
LOCAL_HOST = local_host(HOST)
LOCAL_URL = f"http://{LOCAL_HOST}:{PORT}"
PUBLIC_URL = str(env.PUBLIC_URL or LOCAL_URL).rstrip("/")
PREFIX = urlsplit(PUBLIC_URL).path
FORCE_SCRIPT_NAME = PREFIX or None
APP_SCHEME = env.APP_SCHEME
WORKERS = env.WORKERS
STRIPE_SANDBOX = env.STRIPE_SANDBOX if env.STRIPE_SANDBOX is not None else DEBUG and not env.STRIPE_SECRET_KEY
# The service and its sandbox call each other by the local name, and links lead there.
ALLOWED_HOSTS = list(dict.fromkeys([*env.ALLOWED_HOSTS, *([LOCAL_HOST] if STRIPE_SANDBOX or DEBUG else [])]))
EXPOSE_DEVELOPMENT = env.EXPOSE_DEVELOPMENT
TRUSTED_PROXIES = env.TRUSTED_PROXIES
STAFF_SECOND_FACTOR = env.STAFF_SECOND_FACTOR
WEBSOCKET_PING_SECONDS = env.WEBSOCKET_PING_SECONDS

INSTALLED_APPS = [
    "payments_project",
    "django_otp",
    "django_otp.plugins.otp_totp",
    "django_otp.plugins.otp_static",
    "access",
    "notifications",
    "payments",
    *(["stripe_sandbox"] if STRIPE_SANDBOX else []),
    # Before the admin, whose templates it replaces.
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "ninja",
]

MIDDLEWARE = [
    # Outermost, so that the error pages of all others become JSON.
    "payments_project.middleware.api_errors.json_errors",
    "django.middleware.security.SecurityMiddleware",
    # Refused before anything asks the database for a stranger.
    "payments_project.middleware.hosts.known_hosts",
    "payments_project.middleware.forms.readable_forms",
    # Around sessions and logins, which ask the database.
    "payments_project.middleware.outages.outages",
    "django.contrib.sessions.middleware.SessionMiddleware",
    # Inside SessionMiddleware, which saves the session behind it.
    "access.staff.sessions.note_use",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "access.staff.logins.Limited",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "payments_project.urls"
ASGI_APPLICATION = "payments_project.asgi.application"
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

DATABASES = {"default": database(env.DATABASE_URL)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = env.REDIS_URL
REDIS_CONNECTION = connection_options(REDIS_URL)
CHANNEL_LAYERS = layers_of(REDIS_URL)

LIMITS = bounds.read(env.LIMITS)
API_KEYS = env.API_KEYS or ([DEVELOPMENT_API_KEY] if DEBUG else [])
API_DOCS = env.API_DOCS if env.API_DOCS is not None else DEBUG
NOTIFICATIONS_AUTH = env.NOTIFICATIONS_AUTH or ("open" if DEBUG else "token")
NOTIFICATIONS_TOKEN_SECRET = env.NOTIFICATIONS_TOKEN_SECRET
NOTIFICATIONS_TOKEN_KEY_FILE = env.NOTIFICATIONS_TOKEN_KEY_FILE
NOTIFICATIONS_TOKEN_JWKS_URL = str(env.NOTIFICATIONS_TOKEN_JWKS_URL or "")
NOTIFICATIONS_TOKEN_ALGORITHM = env.NOTIFICATIONS_TOKEN_ALGORITHM
NOTIFICATIONS_TOKEN_MAX_SECONDS = env.NOTIFICATIONS_TOKEN_MAX_SECONDS
NOTIFICATIONS_TOKEN_AUDIENCE = env.NOTIFICATIONS_TOKEN_AUDIENCE
NOTIFICATIONS_TOKEN_ISSUER = env.NOTIFICATIONS_TOKEN_ISSUER
NOTIFICATIONS_TOKEN_TYPE = env.NOTIFICATIONS_TOKEN_TYPE
ALLOWED_ORIGINS = [*env.ALLOWED_ORIGINS, PUBLIC_URL.removesuffix(PREFIX)] if env.ALLOWED_ORIGINS else []
RETURN_HOSTS = env.RETURN_HOSTS
REFUND_APPROVAL_ABOVE = env.REFUND_APPROVAL_ABOVE or {}
NOTIFICATIONS_CONNECTIONS = env.NOTIFICATIONS_CONNECTIONS
NOTIFICATIONS_SUBJECT_PAGES = {"payment": "admin:payments_payment_change"}  # by the prefix of collapse keys

STRIPE_CONFIGURED_KEY = env.STRIPE_SECRET_KEY
if STRIPE_SANDBOX:
    STRIPE_SECRET_KEY = keys.derived("sk_test_", secret_key=SECRET_KEY)
    STRIPE_WEBHOOK_SECRETS = [keys.derived("whsec_", secret_key=SECRET_KEY)]
    STRIPE_API_BASE = LOCAL_URL
else:
    STRIPE_SECRET_KEY = STRIPE_CONFIGURED_KEY
    STRIPE_WEBHOOK_SECRETS = env.STRIPE_WEBHOOK_SECRETS
    STRIPE_API_BASE = str(env.STRIPE_API_BASE).rstrip("/") if env.STRIPE_API_BASE else ""

TIME_ZONE = "UTC"
USE_TZ, USE_I18N = True, False

STATIC_URL = f"{PREFIX}/static/" if PREFIX else "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [("clients", BASE_DIR / "clients" / "js"), BASE_DIR / "static"]

DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = PUBLIC_URL.startswith("https://")
SESSION_COOKIE_PATH = CSRF_COOKIE_PATH = PREFIX or "/"  # other services may share the host name
CSRF_COOKIE_HTTPONLY = True  # no script needs it: forms bring the token
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL.removesuffix(PREFIX)]
SECURE_HSTS_SECONDS = 365 * 86400 if PUBLIC_URL.startswith("https://") else 0
# Behind TLS a proxy is in front, which has to overwrite this header. Elsewhere any client could send it.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if PUBLIC_URL.startswith("https://") else None

LOGIN_REDIRECT_URL = "admin:index"  # where an address that leads elsewhere is given
AUTHENTICATION_BACKENDS = ["access.staff.logins.Backend"]
PASSWORD_HASHERS = ["access.staff.hashers.Argon2", "access.staff.hashers.PBKDF2"]
AUTH_PASSWORD_VALIDATORS = password_rules.VALIDATORS
SESSION_ENGINE = "access.staff.sessions"
SESSION_COOKIE_AGE = 3600  # seconds without a use; access.staff.sessions has the longest life
SESSION_EXPIRE_AT_BROWSER_CLOSE = True
OTP_TOTP_ISSUER = "Payments"
# TLS is the proxy's, which redirects to it; probes and workers are asked without it. Whether other names below this one
# speak TLS, and whether browsers shall know before the first visit, is for the owner of the domain to say.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W008", "security.W021"]

LOGGING = logging_of(env.LOG_LEVEL)
UNFOLD = unfold_of(prefix=PREFIX)
