"""The OpenAPI 3.1 document, made of the routes and of the models that they read and answer with."""

import re
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from pydantic import BaseModel, ConfigDict
from pydantic.json_schema import JsonSchemaMode, models_json_schema
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from assent.web.access import Access
from assent.web.answers import ProblemDocument
from assent.web.problems import PROBLEM
from assent.web.routing import Route
from assent.web.schemas import LONGEST_ID

VERSION: Final = "1"
PATH: Final = "/api/v1/openapi.json"
REFERENCE: Final = "#/components/schemas/{model}"
BODY: Final = "$response.body#/"
PARAMETER: Final = re.compile(r"\{(\w+)(?::\w+)?\}")
# How ids look, by the name of the parameter in the path.
IDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "execution_id": "0198f3a2-1c4e-7a60-9d7b-3f5e8c2a1b04",
        "approval_id": "7c1d9e52-8b0f-4c35-a6ee-1f0b6d2c9a83",
        "person_id": "ann@company.com",
        "delegation_id": "0198f3a2-9b11-7d02-8e4a-5c6d7e8f9a0b",
        "notice_id": "7c1d9e52-8b0f-4c35-a6ee-1f0b6d2c9a83:requested:email",
        "token_id": "0198f3a21c4e7a609d7b3f5e8c2a1b04",
    }
)
DESCRIPTION: Final = (
    "Executions, what is asked of people, and their verdicts. Send a token of `assent tokens add` as "
    "`Authorization: Bearer assent_...`. Errors are problem documents (RFC 9457)."
)

Told = tuple[type[BaseModel], JsonSchemaMode]
Schemas = Mapping[Any, Mapping[str, Any]]
"""The schema of each model, by model and mode."""


def document_of(routes: Iterable[Route]) -> dict[str, Any]:
    """The document of all routes that have a summary and are no pages."""
    told = [route for route in routes if route.summary and not route.page]
    schemas, definitions = models_json_schema(_models(told), ref_template=REFERENCE)
    paths: dict[str, dict[str, Any]] = {}
    for route in told:
        path = PARAMETER.sub(r"{\1}", route.path)
        paths.setdefault(path, {})[route.method.lower()] = _operation(route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Assent", "version": VERSION, "description": DESCRIPTION},
        "paths": paths,
        "components": {
            "schemas": definitions.get("$defs", {}),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _models(routes: Sequence[Route]) -> list[Told]:
    taken = [route.body for route in routes if route.body is not None]
    given: list[type[BaseModel]] = [ProblemDocument]
    given += [model for route in routes for model in route.answers.values() if model is not None]
    modes: list[tuple[list[type[BaseModel]], JsonSchemaMode]] = [(taken, "validation"), (given, "serialization")]
    found: list[Told] = [(model, mode) for models, mode in modes for model in models]
    return list(dict.fromkeys(found))


def _operation(route: Route, schemas: Schemas) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "description": (route.handler.__doc__ or "").strip(),
        "tags": [_tag(route.path)],
        "responses": _responses(route, schemas),
    }
    if parameters := [
        *_path_parameters(route),
        *_parameters(route.query, "query"),
        *_parameters(route.headers, "header"),
    ]:
        operation["parameters"] = parameters
    if route.body is not None:
        content = {"application/json": {"schema": schemas[route.body, "validation"]}}
        operation["requestBody"] = {"required": True, "content": content}
    if route.access is not Access.PUBLIC:
        operation["security"] = [{"token": [route.scope] if route.scope else []}]
        operation["x-access"] = route.access.name.lower()
    return operation


def _tag(path: str) -> str:
    parts = path.removeprefix("/api/v1").strip("/").split("/")
    return parts[0] or "assent"


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    schema = {"type": "string", "minLength": 1, "maxLength": LONGEST_ID, "pattern": r"\S"}
    return [
        {"name": name, "in": "path", "required": True, "schema": schema, "example": IDS[name]}
        for name in PARAMETER.findall(route.path)
    ]


def _parameters(model: type[BaseModel] | None, place: str) -> list[dict[str, Any]]:
    if model is None:
        return []
    schema = model.model_json_schema(ref_template=REFERENCE)
    definitions = schema.get("$defs", {})
    required = schema.get("required", ())
    return [
        _parameter(name, place, _plain(each, definitions), is_required=name in required)
        for name, each in schema.get("properties", {}).items()
    ]


def _parameter(name: str, place: str, schema: dict[str, Any], *, is_required: bool) -> dict[str, Any]:
    description = schema.pop("description", None)
    found = {"name": name, "in": place, "required": is_required, "schema": schema}
    return found | ({"description": description} if description else {})


def _plain(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of a parameter: one that may be left out is not null, it is left out."""
    kinds = [each for each in schema.get("anyOf", [schema]) if each.get("type") != "null"]
    kind = {**kinds[0]}
    if "$ref" in kind:
        kind = {**definitions[kind["$ref"].rpartition("/")[2]]}
    more = {key: schema[key] for key in ("description", "default", "examples") if schema.get(key) is not None}
    return {key: each for key, each in kind.items() if key != "title"} | more


def _responses(route: Route, schemas: Schemas) -> dict[str, Any]:
    found: dict[str, Any] = {
        str(status): _response(route, status, schemas[model, "serialization"] if model else None)
        for status, model in route.answers.items()
    }
    if route.has_etag:
        found["304"] = {"description": "You have it already."}
    problem = {"schema": schemas[ProblemDocument, "serialization"]}
    found["default"] = {"description": "What went wrong.", "content": {PROBLEM: problem}}
    return found


def _response(route: Route, status: int, schema: Mapping[str, Any] | None) -> dict[str, Any]:
    found: dict[str, Any] = {"description": "What you asked for."}
    if schema is not None:
        found["content"] = {route.media_type: {"schema": schema}}
    elif status != 204:
        found["content"] = {route.media_type: {"schema": {"type": "string"}}}
    if headers := _headers(route, status):
        found["headers"] = headers
    if links := _links(route, status):
        found["links"] = links
    return found


def _links(route: Route, status: int) -> dict[str, Any]:
    """What can be asked next with what this answer holds, if it holds it."""
    answered = route.answers.get(status)
    there = answered.model_fields if answered is not None else ()
    return {
        each.name: {"operationId": each.name, "parameters": {each.parameter: each.source}}
        for each in route.onward
        if not each.source.startswith(BODY) or each.source.removeprefix(BODY).partition("/")[0] in there
    }


def _headers(route: Route, status: int) -> dict[str, Any]:
    text = {"schema": {"type": "string"}}
    found: dict[str, Any] = {}
    if route.has_etag:
        found["ETag"] = {**text, "required": True}
    if route.query is not None and {"cursor", "after"} & route.query.model_fields.keys():
        found["Link"] = {**text, "description": 'The next page, with rel="next"; none after the last.'}
    answered = route.answers.get(status)
    if answered is not None and "poll_url" in answered.model_fields:
        found["Location"] = {**text, "required": True, "description": "Where to ask for the result."}
        found["Retry-After"] = {"schema": {"type": "integer"}, "required": True}
    return found


async def openapi(request: Request) -> Response:
    """This document."""
    return JSONResponse(request.app.state.openapi)


class Document(BaseModel):
    """An OpenAPI document."""

    model_config = ConfigDict(extra="allow")

    openapi: str


ROUTES: Final = (
    Route(
        method="GET",
        path=PATH,
        access=Access.VIEWER,
        scope="read",
        handler=openapi,
        name="openapi",
        summary="This document",
        answers={200: Document},
        own=True,
    ),
)
