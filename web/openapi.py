"""The OpenAPI 3.1 document of the API, made from its routes and models."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from .api.routing import OPERATIONS, Operation
from .models import ProblemReply
from .problems import MEDIA_TYPE, TYPES

_REF = "#/components/schemas/{model}"

# What any request may meet before its view is asked, or because the server is full.
_ALWAYS = (
    "unauthorized",
    "forbidden-host",
    "not-found",
    "invalid-request",
    "index-unusable",
    "internal",
)
_WITH_BODY = ("missing-field", "too-large", "forbidden-origin")
_CONVERTERS = {"int": {"type": "integer", "minimum": 0}, "string": {"type": "string"}}


@cache
def document(version: str, prefix: str) -> dict[str, Any]:
    """The document; the same object each time."""
    schemas = _Schemas()
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        path = prefix + re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", operation.rule)
        paths.setdefault(path, {})[operation.method.lower()] = _operation(operation, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "dinosearch",
            "version": version,
            "description": "Finds pictures by what is in them. Errors are RFC 9457 problem"
            " documents; rectangles are fractions of the upright picture.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas.found,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"bearer": []}],
    }


class _Schemas:
    """Collects the schemas that operations refer to."""

    def __init__(self) -> None:
        self.found: dict[str, Any] = {}

    def of(self, thing: Any, mode: str) -> dict[str, Any]:
        schema = TypeAdapter(thing).json_schema(
            mode=mode,  # type: ignore[arg-type]
            ref_template=_REF,
            schema_generator=GenerateJsonSchema,
        )
        self.found |= schema.pop("$defs", {})
        if isinstance(thing, type) and issubclass(thing, BaseModel):
            self.found[thing.__name__] = schema
            return {"$ref": _REF.format(model=thing.__name__)}
        return schema


def _operation(operation: Operation, schemas: _Schemas) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "parameters": [*_path_parameters(operation.rule), *_query_parameters(operation)],
        "responses": _responses(operation, schemas),
    }
    if operation.description:
        described["description"] = operation.description
    content: dict[str, Any] = {}
    if operation.multipart:
        content["multipart/form-data"] = {
            "schema": {
                "type": "object",
                "properties": {operation.multipart: {"type": "string", "format": "binary"}},
                "required": [operation.multipart],
            }
        }
    if operation.body is not None:
        content["application/json"] = {"schema": schemas.of(operation.body, "validation")}
    if content:
        described["requestBody"] = {"required": True, "content": content}
    return described


def _path_parameters(rule: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": _CONVERTERS[kind or "string"]}
        for kind, name in re.findall(r"<(?:(\w+):)?(\w+)>", rule)
    ]


def _query_parameters(operation: Operation) -> list[dict[str, Any]]:
    schema = operation.parameters.model_json_schema()
    return [
        {"name": name, "in": "query", "required": False, "schema": _without_null(one)}
        for name, one in schema["properties"].items()
    ]


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter that is left out is not null: that is for bodies."""
    branches: list[dict[str, Any]] = [
        one for one in schema.get("anyOf", ()) if one != {"type": "null"}
    ]
    if not branches:
        return schema
    kept = {key: value for key, value in schema.items() if key not in ("anyOf", "default")}
    return {**kept, **branches[0]}


def _responses(operation: Operation, schemas: _Schemas) -> dict[str, Any]:
    found: dict[str, Any] = {str(operation.status): {"description": operation.summary}}
    if isinstance(operation.reply, str):
        found[str(operation.status)]["content"] = {operation.reply: {"schema": {}}}
    elif operation.reply is not None:
        schema = schemas.of(operation.reply, "serialization")
        found[str(operation.status)]["content"] = {"application/json": {"schema": schema}}
    if operation.also is not None:
        found[str(operation.status)]["content"][operation.also] = {"schema": {}}
    kinds = [*_ALWAYS, *operation.problems]
    if operation.body is not None or operation.method not in ("GET", "HEAD"):
        kinds += _WITH_BODY
    if operation.method == "GET" and "304" in operation.description:
        found["304"] = {"description": "It is as it was"}
    by_status: dict[int, list[str]] = {}
    for kind in dict.fromkeys(kinds):
        by_status.setdefault(TYPES[kind].status, []).append(kind)
    problem = schemas.of(ProblemReply, "serialization")
    for status, names in sorted(by_status.items()):
        found[str(status)] = {
            "description": "; ".join(f"{name}: {TYPES[name].title}" for name in names),
            "content": {MEDIA_TYPE: {"schema": problem}},
        }
    return found
