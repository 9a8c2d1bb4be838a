"""The API's own description: complete, valid, and kept by the server."""

from __future__ import annotations

import re

import pytest
import schemathesis
from dinosearch.web.api.routing import OPERATIONS
from dinosearch.web.problems import TYPES
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.core.failures import FailureGroup
from schemathesis.openapi.checks import JsonSchemaError
from schemathesis.specs.openapi.checks import positive_data_acceptance


@pytest.fixture
def document(client):
    return client.get("/api/v1/openapi.json").json


def test_every_route_is_in_it_and_nothing_else(app, document):
    rules = {
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), method)
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/api/v1")
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }
    described = {
        (path, method.upper()) for path, methods in document["paths"].items() for method in methods
    }
    assert described == rules
    assert len(described) >= 21


def test_every_operation_says_what_it_takes_and_gives(document):
    assert document["openapi"] == "3.1.0"
    seen = set()
    for methods in document["paths"].values():
        for method, operation in methods.items():
            assert operation["summary"]
            seen.add(operation["operationId"])
            good = [code for code in operation["responses"] if code.startswith("2")]
            assert len(good) == 1
            if good != ["204"]:
                assert operation["responses"][good[0]]["content"]
            if method in ("post", "patch") and "retry" not in operation["operationId"]:
                assert operation["requestBody"]["content"]
            for code, answer in operation["responses"].items():
                if code[0] in "45":
                    assert list(answer["content"]) == ["application/problem+json"]
    assert len(seen) == sum(map(len, document["paths"].values()))


def test_it_refers_to_nothing_that_is_not_there(document):
    def references(node):
        if isinstance(node, dict):
            yield from ([node["$ref"]] if "$ref" in node else [])
            for one in node.values():
                yield from references(one)
        elif isinstance(node, list):
            for one in node:
                yield from references(one)

    names = {one.rsplit("/", 1)[1] for one in references(document)}
    assert names <= set(document["components"]["schemas"])


def test_every_kind_of_problem_is_named_where_it_can_happen(document):
    text = str(document)
    # What a full disk, a token and a rate do is not tied to single routes.
    assert {kind for kind in TYPES if f"{kind}:" not in text} <= {"method-not-allowed"}


# What a cursor, a filter, a root or a picture may be depends on the index and on what was
# answered before, which a schema cannot say: a request that fits it may still be refused.
DEPENDS = {"create_query", "list_images", "create_job", "list_failures", "search", "explain"}

PLAIN = {"Accept-Encoding": "identity"}  # in process nobody unpacks


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
# schemathesis leaves the address that it read the document from out of the operations.
@pytest.mark.parametrize(
    "name", [operation.name for operation in OPERATIONS if operation.name != "get_openapi"]
)
def test_the_server_keeps_to_it(app, name, mode):
    """Requests that fit the description, and requests that do not."""
    schema = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", app)
    (operation,) = (
        one
        for one in (result.ok() for result in schema.get_all_operations())  # type: ignore[union-attr]
        if one.definition.raw["operationId"] == name
    )

    @settings(
        max_examples=20,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case):
        excluded = [positive_data_acceptance] if name in DEPENDS else []
        case.call_and_validate(headers=PLAIN, excluded_checks=excluded)

    try:
        ask()
    except Unsatisfiable:
        assert mode is GenerationMode.NEGATIVE, (
            "nothing can be wrong about a route that takes nothing"
        )


def test_a_server_that_breaks_its_word_is_caught(app, monkeypatch):
    """That the test above can fail: an answer without one of its fields."""
    from dinosearch.web.models import Health

    monkeypatch.setattr(Health, "model_dump_json", lambda self, **options: '{"state": "ok"}')
    schema = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", app)
    case = schema["/api/v1/healthz"]["GET"].Case()
    with pytest.raises(FailureGroup) as found:
        case.call_and_validate(headers=PLAIN)
    assert any(isinstance(one, JsonSchemaError) for one in found.value.exceptions)
