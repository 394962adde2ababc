"""What the files in deploy/ rely on. `deploy/check` checks the files themselves, with the tools they are for."""

import re
import shutil
import socket
import subprocess

from tests.support.ports import free_port
from tests.support.server import ROOT, run


def ask(**changes):
    """Return the exit code of the health check of the image."""
    return run("deploy/healthcheck.py", **changes).returncode


def test_the_health_check_asks_by_a_name_that_the_server_answers_to(serve):
    server = serve(ALLOWED_HOSTS="pay.example.com,.example.org")

    for hosts in ("pay.example.com, other.example.com", ".example.org", "*"):
        assert ask(PORT=str(server.port), ALLOWED_HOSTS=hosts) == 0


def test_the_health_check_fails_where_nobody_answers():
    assert ask(PORT=str(free_port())) == 1


def test_a_server_tells_its_manager_when_it_is_ready(serve, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(60)
        server = serve(NOTIFY_SOCKET=str(tmp_path / "notify"))

        assert manager.recv(4096) == f"READY=1\nMAINPID={server.pid}".encode()


def test_the_files_are_taken_by_the_tools_that_are_here():
    checked = subprocess.run([ROOT / "deploy/check"], capture_output=True, text=True, timeout=60, check=False)

    assert (checked.returncode, checked.stderr) == (0, "")
    lines = checked.stdout.splitlines()
    assert len(lines) == 3
    for file, tools in {"nginx.conf": ("nginx", "openssl"), "systemd/": ("systemd-analyze",)}.items():
        if all(shutil.which(tool) for tool in tools):
            assert f"deploy: {file} checked" in lines


def test_the_proxy_passes_on_no_upgrade_but_a_websocket_at_its_path():
    conf = (ROOT / "deploy/nginx.conf").read_text()

    assert re.findall(r"proxy_set_header Upgrade (\S+);", conf) == ["$upgrade"]
    passed = re.search(r'map "\$kind \$http_upgrade" \$upgrade \{(.*?)\}', conf, re.DOTALL)[1]
    assert [line.split() for line in passed.strip().splitlines()] == [
        ["default", '"";'],
        ['"~*^socket', 'websocket$"', "websocket;"],
    ]


def test_the_image_gets_every_folder_that_the_service_is_made_of():
    kept = re.findall(r"^!(.+)$", (ROOT / "deploy/Dockerfile.dockerignore").read_text(), re.MULTILINE)

    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"benchmarks", "deploy", "tests"}
    assert packages | {"templates", "static", "clients/js", "manage.py", "requirements.txt"} <= set(kept)
    assert all((ROOT / name).exists() for name in kept)
