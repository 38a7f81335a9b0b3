"""A client that does exactly one request and follows nothing: for looking at answers as they are."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping
    from email.message import Message


@dataclass(frozen=True, slots=True)
class Got:
    """An answer. `broke` is what ended the body early, if something did."""

    status: int
    headers: Message
    body: bytes
    broke: Exception | None = None

    def __getitem__(self, name: str) -> str | None:
        """A header field, whatever its case."""
        return self.headers.get(name)

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def next(self) -> str:
        """The address of the next page, or nothing."""
        link = self["Link"] or ""
        return link.partition("<")[2].partition(">")[0]


def ask(
    url: str,
    method: str = "GET",
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    timeout_s: float = 10.0,
) -> Got:
    """One request on a connection of its own."""
    parts = urlsplit(url)
    target = url.partition(parts.netloc)[2] or "/"
    connection = http.client.HTTPConnection(parts.netloc, timeout=timeout_s)
    try:
        connection.request(method, target, body, dict(headers or {}))
        with connection.getresponse() as answer:
            try:
                return Got(answer.status, answer.headers, answer.read())
            except http.client.IncompleteRead as broken:
                return Got(answer.status, answer.headers, broken.partial, broken)
    finally:
        connection.close()
