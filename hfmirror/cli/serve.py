"""`hfmirror serve`: a Hub for the whole lab."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hfmirror.cli import measures
from hfmirror.cli.exits import guarded, say
from hfmirror.cli.options import Json, LimitRate, Quiet, Root
from hfmirror.errors import StoreError, UsageError, human
from hfmirror.moments import utc

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Sequence
    from typing import TextIO

    from hfmirror.model import Kind
    from hfmirror.serve.http.hall import Done
    from hfmirror.serving import Serving
    from hfmirror.settings import Settings
    from hfmirror.timetable import Limit

PORT = 8090
Prefetch = Literal["none", "models", "all"]


def command(
    host: Annotated[str | None, typer.Option(help="Address to listen on; default: this machine only.")] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = PORT,
    lan: Annotated[bool, typer.Option("--lan", help="Listen for the whole network.")] = False,
    upstream: Annotated[
        str | None, typer.Option(help="The Hub to fetch from; default: HF_ENDPOINT, else huggingface.co.")
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Ask nobody: serve what is here.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Give out no byte of a file before all are proven.")] = False,
    require_token: Annotated[
        bool, typer.Option("--require-token", help="Serve nobody without a token of `hfmirror token add`.")
    ] = False,
    prefix: Annotated[str, typer.Option(help="Path under which clients see this mirror, like /hf.")] = "",
    url: Annotated[
        str | None, typer.Option(help="Address that clients use, behind a proxy: https://mirror.lab.", metavar="URL")
    ] = None,
    prefetch: Annotated[
        Prefetch, typer.Option(help="Fetch the rest of a repo ahead of a client that has begun to take all of it.")
    ] = "none",
    max_clients: Annotated[int, typer.Option(min=1, help="Connections at once.")] = 2000,
    max_fills: Annotated[int, typer.Option(min=1, help="Files fetched from upstream at once.")] = 64,
    limit_rate: LimitRate = None,
    verify_every: Annotated[
        str | None,
        typer.Option(help="Prove each file again once in so long, like 30d, while all is quiet.", metavar="TIME"),
    ] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate chain (PEM): serve https.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its private key (PEM).")] = None,
    stop_within: Annotated[float, typer.Option(min=0, help="Seconds running answers get at the end.")] = 30.0,
    log_json: Annotated[Path | None, typer.Option(help="Append a JSON line for each request to this file.")] = None,
    root: Root = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Be a Hub for the network: give what is here, fetch what is not.

    Clients need one setting: HF_ENDPOINT=http://this-machine:8090

    Example: hfmirror serve --lan
    """

    def work() -> int:
        from hfmirror import settings
        from hfmirror.serving import Serving

        origin, path = _seen(url, _prefix(prefix))
        serving = Serving(
            hosts=_hosts(host, lan=lan),
            port=port,
            tls=_tls(tls_cert, tls_key),
            upstream=_upstream(upstream),
            offline=offline,
            strict=strict,
            needs_token=require_token,
            prefix=path,
            origin=origin,
            prefetch=_kinds(prefetch),
            clients=max_clients,
            fills=max_fills,
            stop_within_s=stop_within,
            verify_every_s=None if verify_every is None else measures.seconds(verify_every, "--verify-every"),
        )
        log = Log(log_json, as_json=as_json, quiet=quiet)
        log.url = f"{origin}{path}" if origin else ""
        return _serve(serving, settings.current(root, limit_rate), log)

    return guarded(work, as_json=as_json)


def _serve(serving: Serving, settings: Settings, log: Log) -> int:
    from hfmirror.mirror import Mirror

    with log:
        mirror = Mirror.open(settings)
        log.limit = None if mirror.budget is None else mirror.budget.limit()
        if not serving.offline:
            with suppress(StoreError):  # no reason to serve nobody
                mirror.queue().wake()  # pulls that a restart of the machine has broken off
        mirror.serve(serving, log)
    return 0


def _hosts(host: str | None, *, lan: bool) -> tuple[str, ...]:
    if host is not None and lan:
        raise UsageError("--lan listens on every address, and --host on one", "give one of the two")
    return ("0.0.0.0",) if lan else (host or "127.0.0.1",)  # noqa: S104 - asked for by --lan


def _prefix(text: str) -> str:
    import re

    path = text.strip("/")
    if path and not re.fullmatch(r"[A-Za-z0-9_~-][A-Za-z0-9._~-]*(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*", path):
        raise UsageError(f"--prefix {text} is no path", "write it like /hf")
    return f"/{path}" if path else ""


def _seen(url: str | None, prefix: str) -> tuple[str, str]:
    """Where clients find the mirror: scheme and host, and the path, which a proxy leaves as it came."""
    import re

    found = re.fullmatch(r"(https?://[A-Za-z0-9._:\[\]-]+)(/[^?#]*)?", url or "")
    if url is not None and found is None:
        raise UsageError(f"--url {url} is no address", "write it like https://mirror.lab")
    if found is None:
        return "", prefix
    path = _prefix(found[2] or "")
    if path and prefix and path != prefix:
        raise UsageError(f"--url {url} does not end with --prefix {prefix}", "give one of the two, or the same path")
    return found[1], path or prefix


def _kinds(prefetch: Prefetch) -> frozenset[Kind]:
    from hfmirror.model import Kind

    return frozenset({"none": [], "models": [Kind.MODEL], "all": list(Kind)}[prefetch])


def _upstream(text: str | None) -> str | None:
    from hfmirror.settings import is_address

    if text is not None and not is_address(text):
        raise UsageError(f"--upstream {text} is no address", "write it like https://huggingface.co")
    return text


def _tls(certificate: Path | None, key: Path | None) -> ssl.SSLContext | None:
    if certificate is None and key is None:
        return None
    if certificate is None:
        raise UsageError("--tls-key needs --tls-cert", "give both")
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"cannot use {certificate}: {error}", "both files must be PEM, and the key must fit") from None
    return context


class Log:
    """What the server has to say: for people on stderr, for machines on stdout and in a file."""

    def __init__(self, file: Path | None, *, as_json: bool, quiet: bool) -> None:
        self._path, self._as_json, self._quiet = file, as_json, quiet
        self._file: TextIO | None = None
        self.limit: Limit | None = None  # to what comes from upstream
        self.url = ""  # what clients are told to use; empty: the address it listens on

    def __enter__(self) -> Log:
        if self._path is not None:
            try:
                self._file = self._path.open("a", encoding="utf-8", buffering=1)
            except OSError as error:
                raise UsageError(f"cannot write {self._path}: {error.strerror}", "name another --log-json") from None
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def listening(self, addresses: Sequence[str], store: Path, upstream: str) -> None:
        """The server is ready."""
        if self._as_json:
            document: dict[str, object] = {"event": "serving", "addresses": list(addresses)}
            if self.limit is not None:
                document["limit"] = {"rate": self.limit.rate, "until": self.limit.until or None}
            print(json.dumps(document | ({"url": self.url} if self.url else {})), flush=True)  # noqa: T201 - the answer
        if not self._quiet:
            say(f"serving {store} at {', '.join(addresses)} ({upstream})")
            say(f"  clients need HF_ENDPOINT={self.url or _seen_from_outside(addresses[0])}")

    def trouble(self, sentence: str) -> None:
        """Something a person should know."""
        say(sentence)

    @property
    def done(self) -> Callable[[Done], None] | None:
        """What to call for each answered request; None when nobody listens."""
        return None if self._quiet and self._file is None else self._done

    def _done(self, done: Done) -> None:
        if self._file is not None:
            self._file.write(json.dumps(_row(done), ensure_ascii=False) + "\n")
        if not self._quiet:
            say(_line(done))


def _row(done: Done) -> dict[str, object]:
    return {
        "time": utc(time.time()),
        "client": done.request.client,
        "method": done.request.method,
        "target": _shown(done.request.target),
        "status": done.status,
        "sent": done.sent,
        "seconds": round(done.seconds, 4),
        "from": done.note,
        "whole": done.whole,
    }


def _line(done: Done) -> str:
    request, cut = done.request, "" if done.whole else ", cut off"
    clock = time.strftime("%H:%M:%S")
    took = f"{human(done.sent)} in {done.seconds:.3g} s{cut}"
    return (
        f"{clock} {request.client} {request.method} {_shown(request.target)} {done.status} {took} {done.note}".rstrip()
    )


def _shown(target: str) -> str:
    """An address fit for a log: without the tokens that some put into it."""
    import re

    return re.sub(r"hf_[A-Za-z0-9]{8,}", "hf_***", target)


def _seen_from_outside(address: str) -> str:
    """An address others can use: where the server listens on all of them, this machine's own."""
    if "//0.0.0.0:" not in address:
        return address
    from hfmirror.serve.service import own_address

    return address.replace("//0.0.0.0:", f"//{own_address()}:")
