"""What may go wrong with a line, as faults of the simulated Hub. Each strikes where one byte of a file is brought."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tests.simulator import Faults

CLOSED = "http://127.0.0.1:9"  # the port `discard`, at which nobody listens
NOBODY = "http://cdn.invalid"  # a name that will never be given to anybody (RFC 6761)
GONE_S = 0.7  # seconds for which a source is not there, where it is the only one
_EXPIRED = Faults(status=403, where="cdn")  # what makes a client ask the Hub again for the address


@dataclass(frozen=True, slots=True)
class Trouble:
    """One row of the table."""

    name: str
    faults: tuple[Faults, ...]
    then: str = ""  # what happens besides, as soon as the first fault has struck: `gone` or `moved`
    lies: bool = False  # whether bytes come that look right and are not

    def met(self, sources: int) -> tuple[Faults, ...]:
        """The faults as they can be met: the Hub is asked about a byte only where its address is not known.

        Where it is the only source, the address expires first. Where there are others, that would be a reason to
        leave it already, so there the fault meets whatever of it is asked.
        """
        if all(faults.where != "resolve" for faults in self.faults):
            return self.faults
        if sources == 1:
            return (_EXPIRED, *self.faults)
        return tuple(replace(faults, where="files") for faults in self.faults)


TROUBLES = (
    Trouble("reset in mid-body", (Faults(reset_after=0, where="cdn"),)),
    Trouble("short body", (Faults(cut_after=0, where="cdn"),)),
    Trouble("stall", (Faults(stall_after=0, stall_s=600.0, where="cdn"),)),
    Trouble("503", (Faults(status=503, where="cdn"),)),
    Trouble("503 of the Hub", (Faults(status=503, where="resolve"),)),
    Trouble("429 without headers", (Faults(status=429, where="resolve"),)),
    Trouble("429 with Retry-After", (Faults(status=429, retry_after_s=1, where="resolve"),)),
    Trouble("429 with RateLimit", (Faults(status=429, rate_limit_s=1, where="resolve"),)),
    Trouble("200 instead of 206", (Faults(ignore_range=True, where="cdn"),)),
    Trouble("wrong Content-Range", (Faults(wrong_range="header", where="cdn"),)),
    Trouble("gzip anyway", (Faults(gzip_anyway=True, where="cdn"),)),
    Trouble("HTML page with status 200", (Faults(html_200=True, where="cdn"),)),
    Trouble("expired signed address", (_EXPIRED,)),
    Trouble("changed file behind the branch", (Faults(latency_s=60.0, where="cdn"),), then="moved"),
    Trouble("DNS failure", (Faults(redirect_to=NOBODY + "{target}", where="resolve"),)),
    Trouble("refused connection", (Faults(redirect_to=CLOSED + "{target}", where="resolve"),)),
    Trouble("source gone", (Faults(reset_after=0, where="cdn"),), then="gone"),
    Trouble("wrong bytes", (Faults(garbage_at=0, where="cdn"),), lies=True),
)
BY_NAME = {trouble.name: trouble for trouble in TROUBLES}
