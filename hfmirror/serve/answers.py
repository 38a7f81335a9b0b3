"""Replies that are not files: JSON, errors in the Hub's words, and the headers every answer has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hfmirror.errors import BadToken, DisabledRepo, GatedRepo, StoreError, TooBusy
from hfmirror.serve.forms import dump, printable_latin1
from hfmirror.serve.replies import Reply

if TYPE_CHECKING:
    from hfmirror.errors import MirrorError

Headers = tuple[tuple[str, str], ...]

# Browsers may read all that anybody may (protocol section 2.12); no answer sets a cookie.
CORS: Final[Headers] = (
    ("Access-Control-Allow-Origin", "*"),
    (
        "Access-Control-Expose-Headers",
        "X-Repo-Commit,X-Request-Id,X-Error-Code,X-Error-Message,X-Total-Count,ETag,Link,Accept-Ranges,"
        "Content-Range,Content-Length,X-Linked-Size,X-Linked-ETag,X-Hfmirror-Proven,X-Hfmirror-Age",
    ),
)
_PREFLIGHT: Final[Headers] = (
    ("Access-Control-Allow-Methods", "GET, HEAD, POST, OPTIONS"),
    ("Access-Control-Allow-Headers", "Authorization, Range, Content-Type, Accept, X-Requested-With"),
    ("Access-Control-Max-Age", "86400"),
)
JSON: Final = ("Content-Type", "application/json; charset=utf-8")
NO_CREDENTIALS: Final = "Invalid credentials in Authorization header"  # the very words clients look for
DISABLED: Final = "Access to this resource is disabled."  # as above
RETRY_S: Final = 2  # seconds until a mirror that is busy, or cut off from its Hub, is worth asking again


def json_reply(document: object, headers: Headers = (), note: str = "") -> Reply:
    """A document."""
    return Reply(200, (JSON, *CORS, *headers), (dump(document),), note=note)


def page_reply(html: str, status: int = 200) -> Reply:
    """A page for people. Nothing on it may run."""
    headers = (("Content-Type", "text/html; charset=utf-8"), ("Content-Security-Policy", "default-src 'none'"))
    return Reply(status, (*headers, *CORS), (html.encode("utf-8", "replace"),))


def preflight() -> Reply:
    """What a browser may ask."""
    return Reply(204, (*CORS, *_PREFLIGHT))


def refusal(status: int, message: str, code: str = "", headers: Headers = (), note: str = "refused") -> Reply:
    """An error with the headers by which clients tell errors apart."""
    shown = printable_latin1(message)
    coded = (("X-Error-Code", code),) if code else ()
    all_headers = (JSON, *CORS, *coded, ("X-Error-Message", shown), *headers)
    return Reply(status, all_headers, (dump({"error": message}),), note=note)


def error_reply(error: MirrorError, *, logged_in: bool = False) -> Reply:
    """An error of the house as the Hub would say it."""
    if isinstance(error, BadToken):
        return refusal(401, NO_CREDENTIALS)
    if isinstance(error, DisabledRepo):
        return refusal(403, DISABLED)
    if isinstance(error, GatedRepo):
        return refusal(403 if logged_in else 401, str(error), "GatedRepo")
    if isinstance(error, TooBusy):
        return refusal(503, str(error), headers=(("Retry-After", str(RETRY_S)),), note="busy")
    if isinstance(error, StoreError):  # what it says is about this machine, and nobody else's business
        return refusal(error.hub_status, "this mirror's disk cannot take it just now", note="disk")
    note = "miss" if error.hub_code == "MirrorMiss" else "no"
    message = f"this mirror does not have it: {error}" if note == "miss" else str(error)
    passing = note == "miss" and error.retryable  # the Hub may be back soon: worth waiting for, to those who can
    headers = (("Retry-After", str(RETRY_S)),) if passing else ()
    return refusal(error.hub_status, message, error.hub_code or "", headers, note=note)
