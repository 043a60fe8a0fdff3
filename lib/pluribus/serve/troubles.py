"""Every failure in one JSON shape: a code for programs, and one line each of what came, what was expected, what to do.

{"error": {"code": "not_found", "message": "no product 'x' …", "expected": "", "do": "…"}}
"""

import json
from http import HTTPStatus
from typing import Any

from starlette.responses import Response

from pluribus.errors import ConfigError, ModelError, PluribusError, ReleaseError, StoreError, printable

CODES = {
    400: "bad_request",
    401: "unauthorised",
    404: "not_found",
    405: "method_not_allowed",
    408: "too_slow",
    413: "too_large",
    415: "no_json",
    422: "invalid",
    429: "too_many",
    500: "internal",
    503: "unavailable",
    504: "timeout",
}


class NotFound(ConfigError):
    """What was named is not in the live release."""


class Busy(PluribusError):
    """More is asked than can be answered now; the same request may succeed in a moment."""


def body(status: int, message: str, *, expected: str = "", do: str = "") -> bytes:
    """The JSON of one failure."""
    told = {"code": CODES.get(status, HTTPStatus(status).phrase.lower().replace(" ", "_"))}
    told |= {"message": printable(message, 500), "expected": printable(expected, 500), "do": printable(do, 500)}
    return json.dumps({"error": told}).encode()


def response(
    status: int, message: str, *, expected: str = "", do: str = "", retry_s: int = 0, close: bool = False
) -> Response:
    """A failure as a whole response. `close` hangs up on a caller who is still sending what nobody will read."""
    headers = {"retry-after": str(retry_s)} if retry_s else {}
    headers |= {"connection": "close"} if close else {}
    headers |= {"www-authenticate": "Bearer"} if status == 401 else {}
    content = body(status, message, expected=expected, do=do)
    return Response(content, status_code=status, headers=headers, media_type="application/json")


def of_error(error: PluribusError) -> Response:
    """What of our own errors a shop may hear: its own mistakes in full, of ours only that they are ours."""
    if isinstance(error, NotFound):
        return response(404, error.came, expected=error.expected, do="ask for another")
    if isinstance(error, ConfigError):
        return response(422, error.came, expected=error.expected)
    if isinstance(error, Busy):
        return response(503, error.came, do=error.do, retry_s=1)
    if isinstance(error, ReleaseError):
        return response(503, "the shop has no release that can be served", do="tell the operator", retry_s=30)
    if isinstance(error, StoreError | ModelError):
        return response(503, "the service cannot reach its data", do="try again; tell the operator", retry_s=5)
    return response(500, "the request failed", do="tell the operator")


def of_invalid(errors: list[dict[str, Any]]) -> Response:
    """What a request's JSON lacks or has too much of, the first of its faults in words."""
    first = errors[0]
    where = ".".join(str(part) for part in first["loc"]) or "the request"
    came = f"{where} = {first['input']!r:.100}" if "input" in first else where
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return response(422, came + more, expected=str(first["msg"]))
