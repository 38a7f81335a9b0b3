"""`python -m tests.bench [CASE …]`: run cases, print a table, write JSON if asked."""

from __future__ import annotations

import argparse
import shlex
import shutil
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench import settings as defaults
from tests.bench.bench import Bench
from tests.bench.cases import care, carry, lines, serve_cold, serve_company, serve_lines, serve_olah, serve_warm
from tests.bench.cases.flips import flips
from tests.bench.cases.kills import kills
from tests.bench.cases.large import large, large_disk, large_fast
from tests.bench.cases.limit_rate import limit_rate
from tests.bench.cases.memory import memory
from tests.bench.cases.second_pull import second_pull
from tests.bench.cases.small import small
from tests.bench.cases.startup import startup
from tests.bench.hub import PeerMissing
from tests.bench.peers import HF_VERSION, versions
from tests.bench.report import Report, say
from tests.bench.servers import ServerFailed
from tests.bench.settings import Settings
from tests.bench.workshop import NoRoom

if TYPE_CHECKING:
    from collections.abc import Callable

CASES: dict[str, Callable[[Bench], None]] = {
    "large": large,
    "large-disk": large_disk,
    "large-fast": large_fast,
    "small": small,
    "memory": memory,
    "kills": kills,
    "flips": flips,
    "startup": startup,
    "second-pull": second_pull,
    "limit-rate": limit_rate,
    "care-scale": care.care_scale,
    "verify": care.verify,
    "line-50-1": lines.lossy_50,
    "line-200-5": lines.lossy_200,
    "line-cap": lines.capped,
    "line-clean-50": lines.clean_50,
    "line-clean": lines.clean,
    "import-cache": carry.import_cache,
    "five-revisions": carry.five_revisions,
    "export-memory": carry.export_memory,
    "export-disk": carry.export_disk,
    "serve-whole-1": serve_warm.whole_1,
    "serve-whole-8": serve_warm.whole_8,
    "serve-whole-64": serve_warm.whole_64,
    "serve-ranges": serve_warm.ranges,
    "serve-head": serve_warm.head,
    "serve-small": serve_warm.small,
    "serve-tls-1": serve_warm.tls_1,
    "serve-tls-8": serve_warm.tls_8,
    "serve-olah-1": serve_olah.olah_1,
    "serve-olah-8": serve_olah.olah_8,
    "serve-latency": serve_company.latency,
    "serve-memory": serve_company.memory_500,
    "serve-pinned": serve_company.pinned_commit,
    "serve-cold-bytes": serve_cold.cold_bytes,
    "serve-first-byte": serve_cold.first_byte,
    "serve-slow-neighbour": serve_cold.slow_neighbour,
    "serve-cold-line": serve_lines.cold_line,
    "serve-cold-cap": serve_lines.cold_cap,
    "serve-cold-8": serve_lines.cold_8,
}


def main(argv: list[str] | None = None) -> int:
    """Exit code 0 whatever the figures are, 130 when interrupted."""
    parser = _parser()
    asked = parser.parse_args(argv)
    if unknown := set(asked.case) - set(CASES):
        parser.error(f"no such case: {', '.join(sorted(unknown))}; there are {', '.join(CASES)}")
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.default_int_handler)
    settings = Settings(
        tuple(shlex.split(asked.hfmirror)), asked.hf, asked.aria2c, asked.work, asked.disk,
        asked.pairs, asked.size, asked.files, asked.timeout, asked.allocation, asked.seconds, asked.hf_quiet,
    )  # fmt: skip
    report = Report(facts=versions(settings))
    if report.facts.get("hf", HF_VERSION) != HF_VERSION:
        say(f"note: hf is {report.facts['hf']}, the goals were set against {HF_VERSION}")
    code = 0
    try:
        for case in asked.case or CASES:
            _run(case, settings, report)
    except KeyboardInterrupt:
        say("interrupted: what was measured so far")
        code = 130
    sys.stdout.write(report.table() + "\n")
    if asked.json:
        report.write_json(asked.json)
    return code


def _run(case: str, settings: Settings, report: Report) -> None:
    say(f"{case}: {CASES[case].__doc__}")
    try:
        CASES[case](Bench(case, settings, report))
    except (PeerMissing, NoRoom, ServerFailed) as why:
        report.skip(case, str(why))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description="Ratios against named peers, measured in one run.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("case", nargs="*", metavar="CASE", help=f"of {', '.join(CASES)}; without any, all")
    add("--pairs", type=int, default=3, metavar="N", help="rounds of each comparison")
    add("--seconds", type=float, default=3.0, metavar="S", help="of each load on a server")
    add("--size", type=int, metavar="MIB", help="of the large file, instead of the case's own")
    add("--files", type=int, metavar="N", help="in the repos of many files, instead of the case's own")
    add("--work", type=Path, default=defaults.default_work(), metavar="DIR", help="for loopback cases")
    add("--disk", type=Path, default=defaults.default_disk(), metavar="DIR", help="on a real disk")
    add("--hfmirror", default=defaults.default_hfmirror(), metavar="CMD", help="the command to measure")
    add("--hf", default=defaults.default_hf(), metavar="CMD", help="the official client")
    add("--aria2c", default=shutil.which("aria2c"), metavar="CMD", help="the other peer")
    add("--allocation", default="falloc", metavar="HOW", help="aria2c's --file-allocation")
    add("--hf-quiet", action="store_true", help="take the official client's progress bars away: it is faster so")
    add("--timeout", type=float, default=900.0, metavar="S", help="of one command")
    add("--json", type=Path, metavar="FILE", help="write the figures there as well")
    return parser


if __name__ == "__main__":
    sys.exit(main())
