"""Routes: one declaration that the server answers by and the OpenAPI document is made from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from flask import Response, request
from pydantic import BaseModel, TypeAdapter

from ..models import Parameters
from ..problems import Problem

View = TypeVar("View", bound=Callable[..., Any])


@dataclass(frozen=True)
class Operation:
    """A method of a route.

    `parameters` and `body` are what is taken, `reply` what is given: a model, or the media
    type of something that is none; `also` a media type that may be given instead.
    `multipart` names the field of a file that may come instead of a JSON body. `problems`
    are the types it may end with besides those that any request may.
    """

    method: str
    rule: str
    name: str
    summary: str
    description: str
    parameters: type[Parameters]
    body: Any
    multipart: str | None
    reply: type[BaseModel] | str | None
    also: str | None
    status: int
    problems: tuple[str, ...]
    view: Callable[..., Response]


OPERATIONS: list[Operation] = []


def route(
    method: str,
    rule: str,
    *,
    reply: type[BaseModel] | str | None,
    parameters: type[Parameters] = Parameters,
    body: Any = None,
    multipart: str | None = None,
    also: str | None = None,
    status: int = 200,
    problems: tuple[str, ...] = (),
) -> Callable[[View], View]:
    """Declare a view: it gets `parameters` and, where there is one, `body`, both checked.

    It returns a model, a `Response`, or None for no content. The first line of its docstring
    is the summary.
    """

    def declare(view: View) -> View:
        adapter = TypeAdapter(body) if body is not None else None

        def answer(**path: Any) -> Response:
            arguments = dict(path)
            arguments["parameters"] = _parameters(parameters)
            if adapter is not None:
                is_file = multipart and request.mimetype == "multipart/form-data"
                arguments["body"] = None if is_file else adapter.validate_json(request.get_data())
            result = view(**arguments)
            if isinstance(result, Response):
                return result
            if result is None:
                return Response(status=204)
            document, *more = result if isinstance(result, tuple) else (result,)
            text = document.model_dump_json(by_alias=True)
            response = Response(text, status, mimetype="application/json")
            response.headers["Cache-Control"] = "no-store"
            for headers in more:
                response.headers.update(headers)
            return response

        summary, _, description = (view.__doc__ or "").partition("\n")
        OPERATIONS.append(
            Operation(
                method,
                rule,
                view.__name__,
                summary.rstrip("."),
                " ".join(description.split()),
                parameters,
                body,
                multipart,
                reply,
                also,
                status,
                problems,
                answer,
            )
        )
        return view

    return declare


def _parameters(model: type[Parameters]) -> Parameters:
    values: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        given = request.args.getlist(name)
        if not given:
            continue
        is_list = getattr(field.annotation, "__origin__", None) is list
        if not is_list and len(given) > 1:
            raise Problem(
                "invalid-request", f"{name} is given more than once", errors=[(f"/{name}", "once")]
            )
        values[name] = given if is_list else given[0]
    return model.model_validate(values)
