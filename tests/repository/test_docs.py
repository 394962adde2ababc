"""The documentation says what the code does: whatever is added there fails here until it is described."""

import ast
import json
import re
from pathlib import Path

import pytest
import stripe
from django.apps import apps
from django.core.management import get_commands, load_command_class
from django.db import connection, transaction
from prometheus_client import REGISTRY

from access.bounds import BOUNDS
from notifications import feed, protocol
from notifications.models import Notification
from payments import announcements
from payments.models import Payment, StatusChange
from payments.status import Status
from payments.stripe import events, transport
from payments_project.checks import secrets
from payments_project.configuration.environment import Environment
from payments_project.middleware import refusing
from payments_project.middleware.bodies import SUM_MAX_BYTES
from payments_project.serving.limits import (
    FIELDS_MAX,
    FRAGMENTS_MAX,
    FRAMES_A_SECOND,
    FRAMES_AT_ONCE,
    HEAD_MAX_BYTES,
    KEEP_ALIVE_SECONDS,
    REQUEST_SECONDS,
)

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
OUR_APPS = {
    config.name
    for config in apps.get_app_configs()
    if config.name.partition(".")[0] in {"access", "notifications", "payments", "payments_project"}
}
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def read(path):
    return (ROOT / path).read_text()


def rows(path):
    """The cells of every line of a table."""
    lines = [line for line in read(path).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def calls(path, function):
    """The calls of a function in a module, with their constant arguments."""
    for node in ast.walk(ast.parse(read(path))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == function:
            yield [argument.value if isinstance(argument, ast.Constant) else None for argument in node.args]


def shown(default):
    """How a table shows a default that is the same everywhere; None where it depends on other settings."""
    if default is None:
        return None
    if isinstance(default, bool):
        return f"`{int(default)}`"
    if isinstance(default, list):
        default = ",".join(default)
    return f"`{default}`" if default != "" else "empty"


@pytest.mark.parametrize("path", ["docs/settings.md", "README.md"])
@pytest.mark.parametrize("name", Environment.model_fields)
def test_every_setting_is_described_with_its_default(name, path):
    described = {row[0]: row[1] for row in rows(path) if len(row) > 2}
    assert f"`{name}`" in described
    default = shown(Environment.model_fields[name].default)
    assert default is None or described[f"`{name}`"] == default


def test_no_setting_is_described_that_does_not_exist():
    names = {row[0].strip("`") for row in rows("docs/settings.md") if re.fullmatch(r"`[A-Z_]+`", row[0])}
    assert names == set(Environment.model_fields)


def test_the_example_of_a_settings_file_names_settings_alone():
    names = re.findall(r"^(?:# )?([A-Z_]+)=", read(".env.example"), re.MULTILINE)
    assert names
    assert set(names) <= set(Environment.model_fields)


def test_every_start_check_is_described():
    modules = ROOT.glob("payments_project/checks/*.py")
    numbers = [number for module in modules for number, *_ in calls(module.relative_to(ROOT), "error")]
    described = {row[0] for row in rows("docs/settings.md")}
    assert numbers
    assert {f"`service.E{number:03}`" for number in numbers} <= described


def test_the_least_lengths_of_keys_are_right():
    described = {row[0]: row[1] + row[2] for row in rows("docs/settings.md") if len(row) == 3}
    assert f"shorter than {secrets.SECRET_KEY_MIN_LENGTH} characters" in described["`service.E001`"]
    assert f"shorter than {secrets.API_KEY_MIN_LENGTH} characters" in described["`service.E002`"]
    assert f"{secrets.TOKEN_SECRET_MIN_LENGTH} or more" in described["`service.E005`"]


def test_every_frame_is_described():
    sources = read("notifications/protocol.py") + read("payments/announcements.py")
    types = {a or b for a, b in re.findall(r'"type": "(\w+)"|type: Literal\["(\w+)"\]', sources)}
    assert types >= {"register", "ping", "pong", "error", "payment_url"}
    headings = set(re.findall(r"^### (\w+)$", read("docs/websocket.md"), re.MULTILINE))
    assert types == headings


def test_every_error_of_the_socket_is_described():
    codes = set(
        re.findall(r'code="(\w+)"', read("notifications/protocol.py") + read("notifications/consumers.py"))
    )
    assert codes
    assert {f"`{code}`" for code in codes} <= {row[0] for row in rows("docs/websocket.md")}


def test_every_close_code_is_described():
    described = {row[0] for row in rows("docs/websocket.md")}
    assert {str(int(code)) for code in protocol.CloseCode} <= described


def test_the_limits_of_the_socket_are_right():
    limits = dict(row for row in rows("docs/websocket.md") if len(row) == 2)
    assert f"({protocol.MESSAGE_MAX_BYTES:,} bytes)" in limits["Size of a message from a client"]
    assert limits["Frames of a message"] == str(FRAGMENTS_MAX)
    frames = next(cell for what, cell in limits.items() if what.startswith("Frames from a client"))
    assert frames == f"{FRAMES_AT_ONCE} at once, {FRAMES_A_SECOND} a second in the long run; then 4429"
    assert str(protocol.SEQ_MAX) in read("docs/websocket.md")


def test_the_bounds_of_a_request_are_right():
    bounds = {row[0]: row[1] for row in rows("docs/operating.md") if len(row) == 3}
    assert bounds["a request's head"] == f"{HEAD_MAX_BYTES // 1024} KiB, {FIELDS_MAX} fields"
    assert bounds["all bodies that a process holds"] == f"{SUM_MAX_BYTES // 2**20} MiB"
    assert bounds["the time for a request to arrive"] == f"{REQUEST_SECONDS} seconds"
    assert bounds["the pause between two requests"] == f"{KEEP_ALIVE_SECONDS} seconds"


def test_examples_in_json_can_be_parsed():
    examples = [
        block for page in PAGES for language, block in FENCE.findall(page.read_text()) if language == "json"
    ]
    assert len(examples) > 10
    for example in examples:
        assert isinstance(json.loads(example), dict)


@pytest.fixture
def announced():
    """The frames that a user gets of the payment in the client guide."""
    payment = Payment(
        user_id="user_123",
        ride_id="ride_123",
        payment_url="https://checkout.stripe.com/pay/cs_...",
        session_id="cs_...",
    )
    with transaction.atomic():
        feed.write(announcements.link(payment))
        feed.write(announcements.statuses([StatusChange(payment=payment, after=Status.SUCCEEDED)]))
    return list(Notification.objects.order_by("seq").values_list("frame", flat=True))


@pytest.mark.django_db
def test_the_client_guides_examples_are_what_the_code_sends(announced):
    sent = [
        *announced,
        protocol.with_seq(announced[1], 8),
        protocol.registration_success(user_id="your_user_id_here"),
        protocol.registration_success(
            user_id="user_123", lastSeq=9, resumed=True, epoch="5f0c8a1b7d3e9624-00000001-9d1c07e2"
        ),
        protocol.INVALID_MESSAGE,
        protocol.PONG,
    ]
    blocks = FENCE.findall(read("docs/websocket.md"))
    examples = [list(json.loads(block).items()) for language, block in blocks if language == "json"]
    for frame in sent:
        assert list(json.loads(frame).items()) in examples


def test_every_error_of_the_api_is_described_with_its_status():
    codes = {
        (str(status), f"`{code}`")
        for module in ("api/errors", "webhooks/endpoint")
        for status, code, *_ in calls(f"payments/{module}.py", "_refuse")
        if status and code
    }
    codes |= {(status, f"`{code}`") for status, code in refused_signatures()}
    refusals = re.findall(r'(\d{3}): \("(\w+)"', read("payments_project/middleware/api_errors.py"))
    codes |= {(status, f"`{code}`") for status, code in refusals}
    assert ("409", "`ride_has_payment`") in codes
    assert codes <= {tuple(row[:2]) for row in rows("docs/api.md")}


def test_every_refusal_of_a_webhook_is_described_with_its_status():
    section = read("docs/api.md").partition("### The webhook endpoint\n")[2]
    described = set(re.findall(r"^\| (\d{3}) \| `(\w+)` \|", section, re.MULTILINE))
    refused = calls("payments/webhooks/endpoint.py", "_refuse")
    codes = {(str(status), code) for status, code, *_ in refused if code} | refused_signatures()
    codes |= set(re.findall(r'(\d{3}): \("(\w+)"', read("payments_project/middleware/api_errors.py")))
    assert described == codes | refused_early() | {("400", "unknown_host")}


def refused_signatures():
    """What is wrong with a signature, as the module that reads it names that."""
    return {
        ("400", code)
        for code in re.findall(
            r'"(unsigned|\w+_signature|signature_\w+)"', read("payments/webhooks/signatures.py")
        )
    }


def refused_early():
    """What may become of any request before the application has read it."""
    modules = ("middleware/bodies", "serving/http_parser", "serving/uvicorn_http")
    refusals = [calls(f"payments_project/{module}.py", "Refusal") for module in modules]
    return {(str(status), code) for found in refusals for status, code, *_ in found}


def test_every_refusal_of_any_request_is_described_with_its_status():
    codes = refused_early()
    assert ("431", "head_too_large") in codes
    assert {(status, f"`{code}`") for status, code in codes} <= {
        tuple(row[:2]) for row in rows("docs/api.md")
    }


def test_every_status_is_described():
    described = {row[0] for row in rows("docs/api.md")}
    assert {f"`{status.value}`" for status in Status} <= described


def test_every_type_of_event_is_described():
    described = {re.match(r"`([\w.]+)`", row[0]) for row in rows("docs/webhooks.md")}
    assert {match[1] for match in described if match and "." in match[1]} == set(events._FACTS)


def test_stripe_is_asked_for_every_type_of_event_that_is_handled():
    listened = re.search(r"--events \\\n(.*?)\n```", read("README.md"), re.DOTALL)[1]
    assert set(listened.replace("\\\n", "").split(",")) == set(events._FACTS)


def test_the_api_version_is_the_one_that_stripe_python_was_made_for_and_every_page_names_it():
    """An update of stripe-python fails here: see what changed, and change `payments/stripe/transport.py` and the pages."""
    assert stripe.api_version == transport.API_VERSION
    named = {
        page.relative_to(ROOT).as_posix(): set(re.findall(r"`(\d{4}-\d\d-\d\d\.\w+)`", page.read_text()))
        for page in PAGES
    }
    named = {name: versions for name, versions in named.items() if versions}
    assert named.keys() >= {"README.md", "docs/webhooks.md", "docs/operating.md", "docs/sandbox.md"}
    assert set.union(*named.values()) == {transport.API_VERSION}


def options_of(command):
    """The options of a command and of its subcommands."""
    parser = command.create_parser("manage.py", "any")
    below = [action.choices.values() for action in parser._actions if isinstance(action.choices, dict)]
    parsers = [parser, *(each for parsers in below for each in parsers)]
    return {name for each in parsers for name in each._option_string_actions}


def test_every_command_and_option_is_described():
    ours = {name: app for name, app in get_commands().items() if app in OUR_APPS}
    assert {"serve", "replay_webhooks"} <= ours.keys()
    text = read("docs/commands.md")
    for name, app in ours.items():
        section = re.search(rf"^## {name}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
        assert section, f"{name} has no section"
        command = load_command_class(app, name)
        options, inherited = (options_of(each) for each in (command, type(command).__base__()))
        assert options - inherited == set(re.findall(r"^\| `(--[\w-]+)` \|", section[1], re.MULTILINE))


def test_how_long_each_table_is_kept_is_described():
    section = read("docs/operating.md").partition("## Retention\n")[2].partition("\n## ")[0]
    described = re.findall(
        r"`([a-z]+_\w+)`", " ".join(row.split("|")[2] for row in section.splitlines() if row.startswith("|"))
    )

    assert set(described) == set(connection.introspection.django_table_names())


def test_every_metric_is_described():
    families = [
        family for family in REGISTRY.collect() if not family.name.startswith(("python_", "process_"))
    ]
    assert refusing.REFUSED
    names = {f"{family.name}_total" if family.type == "counter" else family.name for family in families}
    assert names == {
        row[0].strip("`") for row in rows("docs/operating.md") if row[0].startswith(("`not", "`pay"))
    }


def test_every_test_that_is_named_exists():
    files = [
        path
        for app in ("access", "notifications", "payments", "payments_project", "stripe_sandbox", "tests")
        for path in ROOT.glob(f"{app}/**/test_*.py")
    ]
    tests = {name for path in files for name in re.findall(r"def (test_\w+)", path.read_text())}
    failures = [row for row in rows("docs/failures.md") if row[0] not in {"Failure", "---"}]
    assert len(failures) > 30
    for row in failures:
        named = set(re.findall(r"`(test_\w+)`", row[-1]))
        assert named, row[0]
        assert named <= tests


def anchors(page):
    """The anchors that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page):
    targets = re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", page.read_text()))
    for target in targets:
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target


def test_every_page_can_be_reached_from_the_readme():
    assert [
        page
        for page in PAGES
        if page.parent == ROOT / "docs" and f"docs/{page.name}" not in read("README.md")
    ] == []
    decisions = [page.name for page in PAGES if re.match(r"\d{4}-", page.name)]
    assert [name for name in decisions if f"({name})" not in read("docs/decisions/README.md")] == []


@pytest.mark.parametrize("path", ["README.md", "CONTRIBUTING.md"])
def test_every_make_target_exists(path):
    targets = set(re.findall(r"^([a-z-]+):", read("Makefile"), re.MULTILINE))
    code = re.findall(r"`([^`\n]+)`", read(path)) + [block for _, block in FENCE.findall(read(path))]
    named = {
        word for text in code for words in re.findall(r"\bmake ([a-z -]+)", text) for word in words.split()
    }
    assert {"run", "test"} <= named
    assert named <= targets


def test_every_limit_is_described_with_its_default():
    described = {row[0].strip("`"): row[1] for row in rows("docs/operating.md") if len(row) == 4}
    for name, bound in BOUNDS.items():
        assert described[name].startswith(f"{bound.amount} "), name
