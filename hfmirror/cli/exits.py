"""From an error to an exit code and a sentence with what to do next; never a traceback."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

from hfmirror.errors import MirrorError, Unexpected

if TYPE_CHECKING:
    from collections.abc import Callable

INTERRUPTED = 130  # 128 + SIGINT, as shells count
PIPE_BROKEN = 141  # 128 + SIGPIPE


def guarded(work: Callable[[], int | None], *, as_json: bool = False) -> int:
    """Run a command; its exit code. Errors become a sentence on stderr, and with JSON an object on stdout."""
    try:
        return work() or 0
    except MirrorError as error:
        tell(error, as_json=as_json)
        return error.exit_code
    except KeyboardInterrupt:
        say("interrupted; what is finished is kept: run the same command again to go on")
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output has gone, as with `| head`
        return hush()
    except Exception as fault:  # noqa: BLE001 - the last line of defence: no traceback on the screen
        tell(Unexpected(fault), as_json=as_json)
        say(f"the details are in {_keep_traceback()}; please send them with a report")
        return Unexpected.exit_code


def hush() -> int:
    """Print no more, not even at the interpreter's own last flush: nobody reads it. The exit code for that."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return PIPE_BROKEN


def tell(error: MirrorError, *, as_json: bool) -> None:
    """Say what went wrong and what to do next."""
    say(str(error))
    if error.hint():
        say(f"  {error.hint()}")
    if as_json:
        document = {"error": type(error).__name__, "message": str(error), "hint": error.hint(), "exit": error.exit_code}
        print(json.dumps(document, ensure_ascii=False))  # noqa: T201 - the command's answer


# Names and messages come from strangers, and what a terminal obeys is not theirs to say.
OBEYED = {code: "?" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}


def say(sentence: str) -> None:
    """One line for people, on stderr."""
    sentence = sentence.translate(OBEYED)
    print(f"hfmirror: {sentence}" if not sentence.startswith(" ") else sentence, file=sys.stderr)  # noqa: T201 - as above


def _keep_traceback() -> str:
    import tempfile
    import traceback

    with tempfile.NamedTemporaryFile("w", prefix="hfmirror-", suffix=".txt", delete=False, encoding="utf-8") as out:
        out.write(traceback.format_exc())
    return str(out.name)
