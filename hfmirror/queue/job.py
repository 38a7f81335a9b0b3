"""A job, the worker's report on it, and how both are written.

Each of the two files has one writer: the job is written by whoever asks, pauses and resumes, the report
by the worker. So neither can overwrite what the other has just said, also where locks exclude nobody.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from hfmirror import codec
from hfmirror.errors import BadManifest, MirrorError, StoreError, StoreTooNew
from hfmirror.model import RepoId, Selection, byte_count
from hfmirror.moments import since_1970, utc
from hfmirror.words import parse_revision

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hfmirror.codec import Document

Value = str | int | float | bool | list[str]  # what an option of `pull` can be given
LEAST, MOST = -10, 10  # priorities
# What a job remembers of the environment it was asked in. None of these is a secret.
SETTINGS = (
    *("HF_ENDPOINT", "HFMIRROR_ENGINE", "HF_HUB_DOWNLOAD_TIMEOUT"),
    *("HFMIRROR_FROM", "HFMIRROR_LIMIT_RATE", "HFMIRROR_PICKLES", "HFMIRROR_QUOTA", "HFMIRROR_MIN_FREE"),
    *("HF_HOME", "HF_TOKEN_PATH", "HF_HUB_DISABLE_IMPLICIT_TOKEN"),  # where the login lies, not what it is
    *("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"),
)
_OPTION = re.compile(r"[a-z][a-z-]*")
_NEVER = {"root", "background", "priority", "json", "quiet"}  # these are the worker's to give


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be pulled, and how."""

    repo: RepoId
    revision: str
    selection: Selection = field(default_factory=Selection)
    options: Mapping[str, Value] = field(default_factory=dict)  # of `pull`, by their long names
    settings: Mapping[str, str] = field(default_factory=dict)  # of SETTINGS, those that were set
    folder: str = ""  # where it was asked for: relative paths among the options begin there


@dataclass(frozen=True, slots=True)
class Job:
    """An order that waits for its turn."""

    number: int
    order: Order
    ticket: str  # random, new each time somebody says "now": a report with another one speaks of an earlier time
    priority: int = 0  # LEAST..MOST; the highest goes first
    created: str = ""  # UTC
    paused: bool = False
    more: Document = field(default_factory=dict)  # what a later version wrote beside it


@dataclass(frozen=True, slots=True)
class Report:
    """What the worker has to say about a job."""

    ticket: str
    state: str  # "running", "waiting", "failed" or "done"
    worker: str  # its name, by which others tell whether it lives
    size: int = 0  # bytes of the job; 0 until it was planned
    here: int = 0  # bytes of it that are here
    rate: float = 0.0  # bytes a second, lately
    why: str = ""  # why nothing comes just now
    failures: int = 0  # in a row, without a new byte
    again_at: float = 0.0  # seconds since 1970; when a job that waits is tried again
    error: str = ""  # the class of the last failure
    message: str = ""
    hint: str = ""
    at: float = 0.0  # seconds since 1970; when this was said


def job_text(job: Job) -> str:
    """The file `job.json`."""
    order = job.order
    return codec.dump(
        {
            **job.more,
            "format": codec.FORMAT,
            "repo": codec.repo_text(order.repo),
            "revision": order.revision,
            "include": list(order.selection.include),
            "exclude": list(order.selection.exclude),
            "options": dict(order.options),
            "settings": dict(order.settings),
            "folder": order.folder,
            "ticket": job.ticket,
            "priority": job.priority,
            "created": job.created,
            "paused": job.paused,
        }
    )


def job_of(text: str, number: int, where: str) -> Job:
    """The inverse of `job_text`. Raises StoreError, StoreTooNew."""
    try:
        document = codec.load(text, where)
        order = Order(
            _repo(document["repo"]),
            parse_revision(document["revision"]),
            Selection(_texts(document["include"]), _texts(document["exclude"])),
            {_option(name): _value(value) for name, value in document["options"].items()},
            {name: _word(value) for name, value in document["settings"].items() if name in SETTINGS},
            _word(document["folder"]),
        )
        made = Job(number, order, str(document["ticket"]), int(document["priority"]), str(document["created"]))
        more = {name: value for name, value in document.items() if name not in _KNOWN}
        return replace(made, paused=document["paused"] is True, more=more)
    except StoreTooNew:
        raise
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError, MirrorError) as error:
        why = error.why if isinstance(error, BadManifest) else f"lacks or garbles {error}"
        raise StoreError(where, f"is no job: it {why}; `hfmirror cancel {number}` removes it") from None


_KNOWN = {
    *("format", "repo", "revision", "include", "exclude", "options", "settings", "folder"),
    *("ticket", "priority", "created", "paused"),
}


def _repo(text: str) -> RepoId:
    repo = codec.repo_of(text)
    return RepoId.of(repo.kind, repo.name)


def _texts(rows: object) -> tuple[str, ...]:
    if not isinstance(rows, list):
        raise ValueError(f"the patterns {rows!r}")
    return tuple(map(_word, rows))


def _word(value: object) -> str:
    """What can be told to a process."""
    text = str(value)
    text.encode("utf-8", "surrogateescape")  # UnicodeEncodeError, a ValueError, for half a character
    if "\0" in text:
        raise ValueError(f"the text {text!r}")
    return text


def _option(name: str) -> str:
    if not _OPTION.fullmatch(name) or name in _NEVER:
        raise ValueError(f"the option {name!r}")
    return name


def _value(value: object) -> Value:
    if isinstance(value, list):
        return [_word(each) for each in value]
    if isinstance(value, str):
        return _word(value)
    if isinstance(value, int | float):  # a bool is an int
        return value
    raise ValueError(f"the value {value!r}")


def report_text(report: Report) -> str:
    """The file `report.json`."""
    document: Document = {
        "format": codec.FORMAT,
        "ticket": report.ticket,
        "state": report.state,
        "worker": report.worker,
        "size": report.size,
        "here": report.here,
        "rate": round(report.rate),
        "why": report.why,
        "failures": report.failures,
        "error": report.error,
        "message": report.message,
        "hint": report.hint,
        "at": utc(report.at),
    }
    if report.again_at:
        document["again_at"] = utc(report.again_at)
    return codec.dump(document)


def report_of(text: str, where: str) -> Report:
    """The inverse of `report_text`. Raises BadManifest, StoreTooNew."""
    document = codec.load(text, where)
    try:
        return Report(
            ticket=str(document["ticket"]),
            state=str(document["state"]),
            worker=str(document["worker"]),
            size=byte_count(document["size"]),
            here=byte_count(document["here"]),
            rate=byte_count(round(document["rate"])),
            why=str(document["why"]),
            failures=int(document["failures"]),
            again_at=since_1970(document["again_at"]) if "again_at" in document else 0.0,
            error=str(document["error"]),
            message=str(document["message"]),
            hint=str(document["hint"]),
            at=since_1970(document["at"]),
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise BadManifest(where, f"lacks or garbles {error}") from None
