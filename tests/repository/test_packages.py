"""What the service is made of: each file of a package is known by its hash, and each licence goes with MIT."""

import json
import re
import subprocess
import sys
from importlib.metadata import metadata

import pytest
from packaging.requirements import Requirement

from tests.support.server import ROOT

LOCKS = ("requirements.txt", "requirements-dev.txt")
PERMISSIVE = {
    "Apache-2.0",
    "BSD",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "MIT",
    "MIT-0",
    "PSF-2.0",
    "TCL",
    "Unlicense",
    "ZPL-2.1",
}
COPYLEFT_OF_THEIR_OWN = {"LGPL-3.0-only", "MPL-2.0"}
"""They ask for their own source alone, of which nothing is changed here: psycopg, certifi, orjson."""
SPELLINGS = {
    "Apache License, Version 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "The Unlicense (Unlicense)": "Unlicense",
}


def locked(path):
    """Return the packages of a lock, each with how many files of it are known."""
    text = (ROOT / path).read_text()
    found = re.findall(
        r"^([a-z0-9][^ ]*==[^\\\n]+)((?: \\\n    --hash=sha256:[0-9a-f]{64})*)$", text, re.MULTILINE
    )
    return {Requirement(line.strip()): hashes.count("sha256") for line, hashes in found}


def installed():
    """Return the names of the packages that the service runs on, on this system."""
    packages = locked("requirements.txt")
    return sorted({each.name for each in packages if each.marker is None or each.marker.evaluate()})


def licences(name):
    """Return what a package says of its licence: in its expression, else its classifiers, else its own words."""
    package = metadata(name)
    if expression := package.get("License-Expression"):
        return set(re.findall(r"[\w.-]+", expression)) - {"AND", "OR"}
    classifiers = [each for each in package.get_all("Classifier", []) if each.startswith("License ::")]
    said = [each.rpartition(" :: ")[2] for each in classifiers] or [package.get("License", "")]
    return {SPELLINGS.get(each, each) for each in said}


@pytest.mark.parametrize("path", LOCKS)
def test_each_package_is_locked_with_the_hashes_of_its_files(path):
    packages = locked(path)
    lines = [line for line in (ROOT / path).read_text().splitlines() if re.match(r"[a-zA-Z]", line)]
    assert len(packages) == len(lines) > 50
    assert min(packages.values()) >= 1


def test_no_package_is_installed_without_its_hash():
    text = (ROOT / "Makefile").read_text()
    assert len(re.findall(r"--require-hashes", text)) == 1
    assert not re.findall(r"pip install(?!.*--require-hashes)", text)


@pytest.mark.parametrize("name", installed())
def test_each_licence_goes_with_that_of_the_service(name):
    assert licences(name)
    assert licences(name) <= PERMISSIVE | COPYLEFT_OF_THEIR_OWN


def test_the_list_of_what_it_is_made_of_has_every_package(tmp_path):
    path = tmp_path / "sbom.json"
    command = [
        sys.executable,
        "-m",
        "cyclonedx_py",
        "requirements",
        "--output-file",
        str(path),
        "requirements.txt",
    ]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=60)
    listed = {(each["name"], each["version"]) for each in json.loads(path.read_text())["components"]}
    assert listed == {
        (each.name, str(each.specifier).removeprefix("==")) for each in locked("requirements.txt")
    }
