"""What a check found, in words for people and in a form for machines."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hfmirror.errors import MirrorError


class Level(str, Enum):
    """How bad it is."""

    OK = "ok"  # as it should be
    NOTE = "note"  # worth knowing
    WARN = "warn"  # works, but badly, or may stop working
    FAIL = "fail"  # pulls cannot work like this


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check. Nothing secret is in it."""

    check: str
    level: Level
    sentence: str
    advice: str = ""
    code: int = 0  # the exit code it asks for; 0 unless the level is FAIL

    def row(self) -> dict[str, str]:
        """For machines."""
        return {"check": self.check, "level": self.level.value, "sentence": self.sentence, "advice": self.advice}


def ok(check: str, sentence: str) -> Finding:
    """All is well."""
    return Finding(check, Level.OK, sentence)


def note(check: str, sentence: str, advice: str = "") -> Finding:
    """Nothing is wrong, but somebody may wonder."""
    return Finding(check, Level.NOTE, sentence, advice)


def warn(check: str, sentence: str, advice: str) -> Finding:
    """It will work, but not well."""
    return Finding(check, Level.WARN, sentence, advice)


def fail(check: str, sentence: str, advice: str, family: type[MirrorError]) -> Finding:
    """It will not work; `family` says with which exit code."""
    return Finding(check, Level.FAIL, sentence, advice, family.exit_code)


def failed(check: str, error: MirrorError) -> Finding:
    """What an error says is itself the finding."""
    return fail(check, tilde(error), error.hint(), type(error))


def tilde(said: object) -> str:
    """A path, or a sentence with one, without the name of whoever's home it is in."""
    try:
        home = str(Path.home()).rstrip("/\\")
    except RuntimeError:  # nobody's
        home = ""
    return re.sub(rf"{re.escape(home)}(?![\w.-])", "~", str(said)) if home else str(said)


def exit_code(findings: Iterable[Finding]) -> int:
    """0 when nothing fails, else the smallest code, as everywhere."""
    return min((finding.code for finding in findings if finding.code), default=0)
