"""A real browser, and the real server that it looks at."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import expect, sync_playwright

from tests.support.ports import free_port

ROOT = Path(__file__).parents[2]
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")
"""None: the one that `playwright install chromium` fetches."""
DESKTOP = {"width": 1280, "height": 900}

expect.set_options(timeout=15_000)


@pytest.fixture(scope="session")
def server_environment(tmp_path_factory):
    """The environment of the server: embedded defaults, an empty database and no .env file."""
    folder = tmp_path_factory.mktemp("server")
    environment = {name: os.environ[name] for name in ("PATH", "HOME", "VIRTUAL_ENV") if name in os.environ}
    return environment | {
        "PORT": str(free_port()),
        "DEBUG": "1",
        "ENV_FILE": "",
        "APP_SCHEME": "rides",
        "TRUSTED_PROXIES": "127.0.0.1,::1",
        "DATABASE_URL": f"sqlite:///{folder}/db.sqlite3",
    }


@pytest.fixture(scope="session")
def server(server_environment, tmp_path_factory):
    """The address of `manage.py serve`."""
    path = tmp_path_factory.mktemp("log") / "log"
    command = [sys.executable, "manage.py", "serve"]
    with path.open("w") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env=server_environment, stdout=log, stderr=subprocess.STDOUT
        )
    url = f"http://localhost:{server_environment['PORT']}"
    try:
        _wait_until_healthy(url, process, path)
        yield url
        assert process.poll() is None, f"The server ended: {path.read_text()}"
    finally:
        process.terminate()
        process.wait(timeout=15)


def _wait_until_healthy(url, process, log):
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{url}/healthz", timeout=2).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    pytest.fail(f"The server did not start: {log.read_text()}")


@pytest.fixture(scope="session")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        yield browser
        browser.close()


@pytest.fixture
def context(browser):
    context = browser.new_context(viewport=DESKTOP)
    yield context
    context.close()


@pytest.fixture
def page(context):
    """A page that must not meet an error in any script."""
    page = context.new_page()
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    assert errors == []
