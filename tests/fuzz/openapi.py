"""What the description of the API allows, and what it does not, from a caller with every scope."""

import requests
import schemathesis
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from schemathesis.core.failures import FailureGroup

from tests.fuzz.drawn import for_each
from tests.fuzz.target import KEY

CHECKS = [
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
]


def run(target, tally, *, seed, inputs):
    """Send requests to each operation; each answer is one that the description has, with the body it describes."""
    description = target.http.get("/api/openapi.json").json()
    operations = [found.ok() for found in schemathesis.openapi.from_dict(description).get_all_operations()]
    with requests.Session() as session:
        # No proxy and no .netrc of the developer's.
        session.trust_env = False
        for operation in operations:
            cases = st.one_of(operation.as_strategy(generation_mode=mode) for mode in GenerationMode)

            @for_each(cases, seed=seed, inputs=max(1, inputs // len(operations)))
            def send(case):
                tally.inputs += 1
                response = case.call(base_url=target.server.url, session=session, headers=KEY)
                code = _code(response)
                tally.answered(response.status_code, code, case.as_curl_command())
                try:
                    case.validate_response(response, checks=CHECKS)
                except FailureGroup as failures:  # no Exception, so that others would miss it
                    raise AssertionError(failures) from None


def _code(response):
    try:
        return response.json()["error"]["code"]
    except (ValueError, KeyError, TypeError):
        return ""
