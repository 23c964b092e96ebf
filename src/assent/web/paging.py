"""Pages of lists: the cursor in the body, and the link to what follows in a header."""

from urllib.parse import quote, urlencode

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from assent.web.bodies import answer


def answer_page(request: Request, model: BaseModel, next: str | int | None, name: str = "cursor") -> Response:
    """A page as the answer. `name` is the parameter that takes the cursor."""
    return answer(model, headers=_link(request, next, name))


def _link(request: Request, next: str | int | None, name: str) -> dict[str, str]:
    if next is None:
        return {}
    query = [(key, value) for key, value in request.query_params.multi_items() if key != name]
    # Relative, so that it holds behind any proxy; encoded, so that no value can end it.
    address = f"{quote(request.scope['path'])}?{urlencode([*query, (name, str(next))])}"
    return {"Link": f'<{address}>; rel="next"'}
