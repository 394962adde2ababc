"""What `make` does on a machine that lacks something, and for words that it does not know. No package is fetched."""

import os
import shutil
import subprocess
import sys

import pytest

from tests.support.server import ROOT

PYTHON = """#!/bin/sh
# A Python whose venv is Debian's without python3-venv until `allowed` is there, and whose pip installs nothing.
case "$*" in
"-m venv"*)
    mkdir -p .venv/bin && ln -sf "$0" .venv/bin/python
    [ -e allowed ] && touch .venv/pip && exit 0
    echo "The virtual environment was not created successfully because ensurepip is not available." >&2; exit 1 ;;
"-m pip"*) [ -e .venv/pip ] || { echo "No module named pip" >&2; exit 1; } ;;
"-c"*) exit 0 ;;
*) echo "served: $*" ;;
esac
"""


@pytest.fixture
def make(tmp_path):
    """Call make in an empty clone; return what came of it."""
    for name in ("Makefile", "requirements.txt", ".env.example"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "tests").mkdir()
    (tmp_path / "docs").mkdir()
    python = tmp_path / "python"
    python.write_text(PYTHON)
    python.chmod(0o755)

    def call(*words):
        environment = {"PATH": os.environ["PATH"], "PYTHON": str(python)}
        return subprocess.run(
            ["make", *words],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    call.folder = tmp_path
    return call


def test_a_try_without_venv_does_not_spoil_the_next(make):
    first = make("run")
    assert first.returncode == 2
    assert "ensurepip is not available" in first.stderr

    (make.folder / "allowed").touch()
    second = make("run")
    assert (second.returncode, second.stderr) == (0, "")
    assert second.stdout.endswith("served: manage.py serve\n")


def test_what_an_earlier_try_left_without_pip_is_made_anew(make):
    (make.folder / ".venv" / "bin").mkdir(parents=True)
    (make.folder / ".venv" / "bin" / "python").symlink_to(make.folder / "python")
    (make.folder / "allowed").touch()

    assert make("run").stdout.endswith("served: manage.py serve\n")


def test_the_first_start_says_what_it_installs_and_how_long_that_takes(make):
    (make.folder / "allowed").touch()
    count = sum("==" in line for line in (ROOT / "requirements.txt").read_text().splitlines())

    said = f"Installing the {count} packages of requirements.txt into .venv: about a minute, once.\n"
    assert said in make("run").stdout
    assert said not in make("run").stdout


def test_a_word_that_make_does_not_know_is_refused(make):
    for word in ("docs", "tset", "run-server"):
        refusal = make(word)
        assert refusal.returncode == 2
        assert "'make help' lists what can be made." in refusal.stderr
    assert "pytest" in make("--dry-run", "tests").stdout


def test_an_older_python_is_refused(make):
    (make.folder / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    old = "import sys; sys.version_info = (3, 10)\n"
    (make.folder / "old.py").write_text(old)
    (make.folder / "python").write_text(
        f'#!/bin/sh\n[ "$1" = -c ] && exec "{sys.executable}" -c "import old; $2"\nexit 1\n'
    )

    refusal = make("run")

    assert refusal.returncode == 2
    assert "Python 3.11 or newer is needed: set PYTHON." in refusal.stderr
