"""What comes in and goes out as JSON, read and written through the models of a route."""

import json
from collections.abc import Mapping
from typing import Any, TypeVar

import pydantic
import pydantic_core
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from assent.codec import digest
from assent.web.problems import Problem, invalid

ModelT = TypeVar("ModelT", bound=BaseModel)


async def body_of(request: Request, model: type[ModelT]) -> ModelT:
    """The body of a request. Raises Problem: 415 for what is no JSON by its type, 400 or 422 for its content."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Problem(415, "unsupported-media-type", f"The body is {kind or 'untyped'}. Send application/json.")
    data = _parsed(await request.body())
    try:
        return model.model_validate_json(json.dumps(data), strict=True)
    except pydantic.ValidationError as error:
        raise _invalid("The body", error) from error


def _parsed(body: bytes) -> Any:
    try:
        # Not pydantic's own parser: it keeps the last of two members of one name, and takes NaN.
        return json.loads(body, object_pairs_hook=_once_each, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise Problem(400, "malformed-json", f"The body is no JSON: {error}.") from error


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("an object has two members of one name")
    return found


def _refuse(constant: str) -> None:
    raise ValueError(f"it has no {constant}")


def query_of(request: Request, model: type[ModelT]) -> ModelT:
    """The query of a request. Raises Problem: 422 for what is unknown, wrong, or given twice."""
    given = request.query_params.multi_items()
    try:
        if len({name for name, _ in given}) < len(given):
            raise invalid("The query gives one parameter twice.")
        return model.model_validate_strings(dict(given))
    except pydantic.ValidationError as error:
        raise _invalid("The query", error) from error


def headers_of(request: Request, model: type[ModelT]) -> ModelT:
    """The headers that a route knows, by their aliases."""
    known = {field.alias or name for name, field in model.model_fields.items()}
    try:
        return model.model_validate_strings({name: request.headers[name] for name in known if name in request.headers})
    except pydantic.ValidationError as error:
        raise _invalid("A header", error) from error


def _invalid(what: str, error: pydantic.ValidationError) -> Problem:
    found = [
        {"at": ".".join(map(str, each["loc"])), "problem": each["msg"]}
        for each in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    words = "; ".join(f"{each['at']}: {each['problem']}" if each["at"] else each["problem"] for each in found[:3])
    return invalid(f"{what} does not fit. {words}.", found)


def answer(model: BaseModel | None, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A model as the answer; None: an answer without a body."""
    if model is None:
        return Response(status_code=status, headers=headers)
    return Response(written(model), status, headers, "application/json")


def written(model: BaseModel) -> bytes:
    """A model as JSON; what JSON cannot say of a value of the store becomes null."""
    return pydantic_core.to_json(model.model_dump(mode="python", by_alias=True), inf_nan_mode="null", fallback=str)


def answer_tagged(request: Request, model: BaseModel) -> Response:
    """A model as the answer, or 304 if whoever asks has it already."""
    body = written(model)
    tag = f'"{digest(body)[:32]}"'
    if _has(request.headers.get("if-none-match", ""), tag):
        return Response(status_code=304, headers={"ETag": tag})
    return Response(body, 200, {"ETag": tag}, "application/json")


def _has(tags: str, tag: str) -> bool:
    given = {each.strip().removeprefix("W/") for each in tags.split(",")}
    return tag in given or "*" in given
