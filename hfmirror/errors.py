"""The vocabulary of failure.

One root. The class says which exit code the command gives, which status a Hub would answer, and
whether trying again may help; the instance carries nouns; the sentence is made last, in `__str__`,
and what to do about it in `hint`. Two branches must never be mixed up: `NotFound` is the authority's
"there is no such thing", `NotHere` is merely "I do not have it".
"""

from __future__ import annotations

from typing import ClassVar


def human(size: float) -> str:
    """A number of bytes as people write it: `1.5 GB` (powers of ten, as the Hub's pages do)."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 999.5:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:,.3g} TB" if size < 999.5 else f"{size:,.0f} TB"


class MirrorError(Exception):
    """Anything hfmirror refuses or fails to do, in words a person can act upon."""

    exit_code: ClassVar[int] = 1
    hub_status: ClassVar[int] = 500
    hub_code: ClassVar[str | None] = None
    retryable: ClassVar[bool] = False

    def hint(self) -> str:
        """What to do next; empty when the sentence has said it all."""
        return ""


class Unexpected(MirrorError):
    """A fault in hfmirror itself, carried from the thread where it happened to whoever waits."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__(cause)
        self.cause = cause

    def __str__(self) -> str:
        return f"hfmirror stumbled over a fault of its own: {type(self.cause).__name__}: {self.cause}"


class UsageError(MirrorError):
    """The words of the command do not make sense."""

    exit_code = 2
    hub_status = 400

    def __init__(self, problem: str, advice: str = "") -> None:
        super().__init__(problem)
        self.problem, self.advice = problem, advice

    def __str__(self) -> str:
        return self.problem

    def hint(self) -> str:
        return self.advice


class NotFound(MirrorError):
    """The authority says there is no such thing."""

    exit_code = 3
    hub_status = 404


class RepoNotFound(NotFound):
    """The authority knows no such repo, or hides it from this caller."""

    hub_code = "RepoNotFound"

    def __init__(self, repo: object, authority: str) -> None:
        super().__init__(repo, authority)
        self.repo, self.authority = repo, authority

    def __str__(self) -> str:
        return f"{self.authority} knows no repo {self.repo}"

    def hint(self) -> str:
        return (
            "check the spelling (owner/name; datasets/owner/name for a dataset); "
            "if the repo is private, log in with `hf auth login` or set HF_TOKEN"
        )


class RevisionNotFound(NotFound):
    """The repo exists; this branch, tag or commit does not."""

    hub_code = "RevisionNotFound"

    def __init__(self, repo: object, revision: str) -> None:
        super().__init__(repo, revision)
        self.repo, self.revision = repo, revision

    def __str__(self) -> str:
        return f"{self.repo} has no revision {self.revision!r}"

    def hint(self) -> str:
        return "name a branch, a tag or a commit that the repo's page lists; without one, `main` is taken"


class EntryNotFound(NotFound):
    """The commit is known; it holds no such file."""

    hub_code = "EntryNotFound"

    def __init__(self, repo: object, path: str) -> None:
        super().__init__(repo, path)
        self.repo, self.path = repo, path

    def __str__(self) -> str:
        return f"{self.repo} holds no file {self.path!r}"

    def hint(self) -> str:
        return f"`hfmirror info {self.repo}` lists the files"


class NothingMatches(NotFound):
    """Patterns were given and select no file of the commit."""

    hub_code = "EntryNotFound"

    def __init__(self, repo: object, patterns: str, examples: tuple[str, ...]) -> None:
        super().__init__(repo, patterns)
        self.repo, self.patterns, self.examples = repo, patterns, examples

    def __str__(self) -> str:
        return f"no file of {self.repo} matches {self.patterns}"

    def hint(self) -> str:
        shown = ", ".join(self.examples)
        return f"it holds {shown}" if shown else "it holds no file at all"


class AccessDenied(MirrorError):
    """The authority knows the caller, or knows it does not, and says no."""

    exit_code = 4
    hub_status = 403

    def __init__(self, repo: object, said: str = "") -> None:
        super().__init__(repo, said)
        self.repo, self.said = repo, said

    def __str__(self) -> str:
        return f"no access to {self.repo}" + (f": {self.said}" if self.said else "")

    def hint(self) -> str:
        return "log in with `hf auth login` (or set HF_TOKEN) with an account that may read it"


class BadToken(AccessDenied):
    """The token that was sent is not one the authority knows."""

    def __str__(self) -> str:
        return f"the token sent for {self.repo} is not valid"

    def hint(self) -> str:
        return "make a new token on the Hub's settings page, then `hf auth login` or set HF_TOKEN"


class GatedRepo(AccessDenied):
    """The repo's authors ask readers to accept terms first."""

    hub_code = "GatedRepo"

    def __init__(self, repo: object, page: str) -> None:
        super().__init__(repo)
        self.page = page

    def __str__(self) -> str:
        return f"{self.repo} is gated: its authors ask you to accept their terms first"

    def hint(self) -> str:
        return f"accept them at {self.page}, then log in with `hf auth login` or set HF_TOKEN"


class DisabledRepo(AccessDenied):
    """The authority has switched the repo off for everybody."""

    def __str__(self) -> str:
        return f"the Hub has disabled {self.repo}"

    def hint(self) -> str:
        return "nobody can fetch it from the Hub now; a copy someone holds can still be used"


class Unavailable(MirrorError):
    """The source cannot be asked right now."""

    exit_code = 5
    hub_status = 404
    hub_code: ClassVar[str | None] = "MirrorMiss"
    retryable = True

    def __init__(self, source: str, reason: str) -> None:
        super().__init__(source, reason)
        self.source, self.reason = source, reason

    def __str__(self) -> str:
        return f"{self.source}: {self.reason}"

    def hint(self) -> str:
        return "check the connection and run the same command again: every finished part is kept"


class Unreachable(Unavailable):
    """No connection: name lookup, refusal, TLS, or a reset before or in the middle of an answer."""


class Untrusted(Unavailable):
    """The other end's certificate is signed by nobody known here. Waiting does not help."""

    retryable = False

    def hint(self) -> str:
        return "if your network opens TLS connections, name its certificate: REQUESTS_CA_BUNDLE=/path/to/ca.pem"


class TimedOut(Unavailable):
    """Connected, but no byte came for the time allowed."""


class RateLimited(Unavailable):
    """The source asks for patience."""

    def __init__(self, source: str, retry_after_s: float | None) -> None:
        wait = "" if retry_after_s is None else f", again in {retry_after_s:.0f} s"
        super().__init__(source, f"too many requests{wait}")
        self.retry_after_s = retry_after_s


class TooBusy(Unavailable):
    """As much is under way as may be; a little later there is room again."""

    hub_status = 503
    hub_code = None


class Intercepted(Unavailable):
    """An answer came from something that is not the Hub: a login page, a proxy's error page."""

    def hint(self) -> str:
        return "open a browser and log in to this network, or check the proxy, then run the command again"


class LinkExpired(Unavailable):
    """A signed address has run out; asking the Hub again gives a new one."""


class RangesIgnored(Unavailable):
    """The source sends a file from its first byte or not at all."""

    def __init__(self, source: str) -> None:
        super().__init__(source, "sends files whole only")


class OutOfPatience(Unavailable):
    """No new byte for as long as the caller was ready to wait."""

    def __init__(self, source: str, reason: str, patience_s: float, kept: int, wanted: int) -> None:
        super().__init__(source, reason)
        self.patience_s, self.kept, self.wanted = patience_s, kept, wanted

    def __str__(self) -> str:
        kept = f"; {human(self.kept)} of {human(self.wanted)} kept" if self.wanted else ""
        return f"no new byte for {self.patience_s:g} s ({self.source}: {self.reason}){kept}"


class NotHere(MirrorError):
    """This source does not have it; another may."""

    exit_code = 6
    hub_status = 404
    hub_code = "MirrorMiss"

    def __init__(self, thing: object) -> None:
        super().__init__(thing)
        self.thing = thing

    def __str__(self) -> str:
        return f"{self.thing} is not in this store"

    def hint(self) -> str:
        return "pull it while online with `hfmirror pull`; `hfmirror ls` shows what is here"


class NothingFits(NotHere):
    """None of the files that were brought is one that is wanted."""

    def __init__(self, looked_at: int, repo: str) -> None:
        super().__init__(repo)
        self.looked_at, self.repo = looked_at, repo

    def __str__(self) -> str:
        whose = f"one that {self.repo} holds" if self.repo else "one that a repo known here still lacks"
        files = "the one file" if self.looked_at == 1 else f"{self.looked_at} files"
        return f"of {files} looked at, none is {whose}"

    def hint(self) -> str:
        if self.repo:
            return f"name another commit (--repo {self.repo}@…), or add --local to make a repo of your own of them"
        return "say whose they are (--repo owner/name), or add --local to make a repo of your own of them"


class IntegrityError(MirrorError):
    """Something is not what its name says."""

    exit_code = 7
    hub_status = 404
    hub_code: ClassVar[str | None] = "MirrorMiss"


class DigestMismatch(IntegrityError):
    """The bytes do not have the digest they were fetched under."""

    def __init__(self, path: str, wanted: object, actual: object, source: str = "") -> None:
        super().__init__(path, wanted, actual, source)
        self.path, self.wanted, self.actual, self.source = path, wanted, actual, source

    def __str__(self) -> str:
        origin = f" from {self.source}" if self.source else ""
        return f"{self.path}{origin} is damaged: wanted {self.wanted}, got {self.actual}"

    def hint(self) -> str:
        return "the bytes were thrown away; run the command again, over another network if it repeats"


class DamagedObject(IntegrityError):
    """Stored objects no longer hash to their names."""

    def __init__(self, damaged: int, checked: int, advice: str = "") -> None:
        super().__init__(damaged, checked)
        self.damaged, self.checked, self.advice = damaged, checked, advice

    def __str__(self) -> str:
        return f"{self.damaged} of {self.checked} objects are not as they should be"

    def hint(self) -> str:
        again = "run `hfmirror repair`: it fetches what is damaged and nothing else"
        return self.advice or again


class DamagedBundle(IntegrityError):
    """A file of a bundle is not what it was when the bundle was made, or is none that a bundle has."""

    def __init__(self, where: str, why: str) -> None:
        super().__init__(where, why)
        self.where, self.why = where, why

    def __str__(self) -> str:
        return f"{self.where} in the bundle: {self.why}"

    def hint(self) -> str:
        return "`python verify.py` in the bundle names all that is damaged; export it again, or copy it again"


class BadSignature(IntegrityError):
    """A bundle is not signed as it should be: by nobody, by somebody else, or for other content."""

    def __init__(self, where: str, why: str) -> None:
        super().__init__(where, why)
        self.where, self.why = where, why

    def __str__(self) -> str:
        return f"{self.where} {self.why}"

    def hint(self) -> str:
        return "ask whoever made it for a signed bundle and the right public key; without --trust nothing is checked"


class UnsafePath(IntegrityError):
    """A file name that could leave its folder, or that some system cannot hold."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(path, why)
        self.path, self.why = path, why

    def __str__(self) -> str:
        return f"refused the file name {self.path!r}: {self.why}"

    def hint(self) -> str:
        return "leave it out with --exclude, or ask the repo's authors to rename it"


class BadManifest(IntegrityError):
    """A listing or a file of the store does not have the form it must have."""

    def __init__(self, where: str, why: str) -> None:
        super().__init__(where, why)
        self.where, self.why = where, why

    def __str__(self) -> str:
        return f"{self.where}: {self.why}"

    def hint(self) -> str:
        return "run `hfmirror pull` of the repo while online: a listing that cannot be read is fetched again"


class UnsafePickle(IntegrityError):
    """Loading a file would run code, or wants more than weights."""

    hub_status = 403
    hub_code = None

    def __init__(self, repo: object, path: str, does: str, advice: str = "") -> None:
        super().__init__(repo, path, does)
        self.repo, self.path, self.does, self.advice = repo, path, does, advice

    def __str__(self) -> str:
        return f"{self.path} of {self.repo} {self.does}"

    def hint(self) -> str:
        return self.advice or "use another file of the repo (safetensors run nothing), or ask its authors"


class StoreError(MirrorError):
    """The store, or the disk under it, cannot do what was asked."""

    exit_code = 8
    hub_status = 503

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(where, reason)
        self.where, self.reason = where, reason

    def __str__(self) -> str:
        return f"{self.where}: {self.reason}"


class StoreLocked(StoreError):
    """Another process holds the store, or locks exclude nobody here."""

    def hint(self) -> str:
        return "wait for the other command to finish, then run this one again"


class StoreTooNew(StoreError):
    """The store was written by a later hfmirror."""

    def __init__(self, where: str, version: int, needs: str = "") -> None:
        super().__init__(where, f"the store's format {version} is newer than this hfmirror understands")
        self.version, self.needs = version, needs  # the first hfmirror that understands it; empty when it does not say

    def hint(self) -> str:
        if self.needs:
            return f"it needs hfmirror {self.needs} or later: pip install --upgrade 'hfmirror-cli>={self.needs}'"
        return "upgrade: pip install --upgrade hfmirror-cli"


class StoreElsewhere(StoreError):
    """The store that is asked for here was moved away, or has not wholly come."""

    def __init__(self, where: str, home: str, *, arriving: bool) -> None:
        told = f"the store in {home} is on its way here, and not all of it has come" if arriving else f"it is in {home}"
        super().__init__(where, told if arriving else f"the store was moved away, {told}")
        self.home, self.arriving = home, arriving

    def hint(self) -> str:
        if self.arriving:
            return f"go on with `hfmirror store move {self.where} --root {self.home}`"
        return f"set HFMIRROR_HOME={self.home}; to begin a new store here, remove {self.where}/moved.json"


class DiskFull(StoreError):
    """Not enough room for what was asked."""

    def __init__(self, where: str, needed: int, free: int) -> None:
        super().__init__(where, f"{human(needed)} needed, {human(free)} free")
        self.needed, self.free = needed, free  # bytes

    def hint(self) -> str:
        return f"free {human(max(self.needed - self.free, 1))} or point HFMIRROR_HOME at a larger disk"


class QuotaFull(DiskFull):
    """The store may not take more, and nothing in it may go by itself."""

    def __init__(self, where: str, short: int, most: int | None, least_free: int) -> None:
        super().__init__(where, short, 0)
        told = "" if most is None else f"its quota of {human(most)}"
        free = f"the {human(least_free)} to be left free" if least_free else ""
        self.limits, self.short = " and ".join(filter(None, (told, free))), short

    def __str__(self) -> str:
        return f"{self.where}: {human(self.short)} too much for {self.limits}; what is left there is pinned or in use"

    def hint(self) -> str:
        return (
            "`hfmirror ls` shows what takes how much; let something go with `hfmirror rm` and `hfmirror gc`, "
            "or change HFMIRROR_QUOTA or HFMIRROR_MIN_FREE"
        )


class BundleFull(DiskFull):
    """Not enough room for a bundle on the disk it was to go to."""

    def hint(self) -> str:
        return f"free {human(max(self.needed - self.free, 1))} there, or take a larger disk; --since leaves out more"


class DiskGone(StoreError):
    """The disk that was being written to or read from is no longer there."""

    def __init__(self, where: str) -> None:
        super().__init__(where, "the disk was taken out, or no longer answers")

    def hint(self) -> str:
        return "put it back and run the same command again: it goes on where it stopped"


class FileTooLarge(StoreError):
    """The disk takes no file of this size, which is how FAT32 is."""

    def __init__(self, where: str, size: int) -> None:
        super().__init__(where, f"this disk takes no file of {human(size)}")

    def hint(self) -> str:
        return "run it again with --split-size 4GB, or format the disk as exFAT"


class LinkImpossible(StoreError):
    """Neither hard link, reflink nor copy could be made."""


class ProtocolError(MirrorError):
    """The other end does not speak the Hub's protocol."""

    exit_code = 9
    hub_status = 404
    hub_code = "MirrorMiss"

    def __init__(self, source: str, problem: str) -> None:
        super().__init__(source, problem)
        self.source, self.problem = source, problem

    def __str__(self) -> str:
        return f"{self.source} does not answer like a Hub: {self.problem}"

    def hint(self) -> str:
        return "check HF_ENDPOINT; it must be the address of a Hub or of a mirror of one"


FAMILIES: tuple[type[MirrorError], ...] = (
    UsageError,
    NotFound,
    AccessDenied,
    Unavailable,
    NotHere,
    IntegrityError,
    StoreError,
    ProtocolError,
)


def first_by_table(failures: list[MirrorError]) -> MirrorError:
    """The failure that names the exit code when several happened: the first in table order."""
    return min(failures, key=lambda failure: failure.exit_code)
