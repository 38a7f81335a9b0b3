"""The Hub in memory. It is a `Source` by itself; `server.served` puts the same data behind sockets."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from hfmirror.model import CommitId, RepoId
from tests.simulator import refusals
from tests.simulator.content import content_of
from tests.simulator.faults import Armed, Faults, Weather
from tests.simulator.memory import MemorySource
from tests.simulator.quota import Quotas
from tests.simulator.records import Ledger, Record
from tests.simulator.repos import Commit, Repo, Stored, commit_of, full_ref, large_by_default, repo_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from tests.simulator.content import Given

_SECRET = b"known to the hub and its CDN"
_SIGNED_FOR_S = 3600.0  # the real Hub's signed addresses live about an hour


class HubSimulator(MemorySource):
    """Repos with refs and commits, who may read them, what goes wrong, and what was asked."""

    def __init__(self, page_size: int = 1000, *, xet: bool = True, clock: Callable[[], float] = time.time) -> None:
        super().__init__(self)
        self.page_size = page_size  # rows of one page of a tree
        self.xet = xet  # whether to advertise Xet, as the real Hub does
        self.clock = clock
        self.weather = Weather()
        self.ledger = Ledger()
        self.quotas = Quotas(clock)
        self.repos: dict[RepoId, Repo] = {}
        self.gates: list[Callable[[], None]] = []  # called when faults come and go
        self._renamed: dict[RepoId, RepoId] = {}
        self._logins: set[str] = set()
        self._uses: dict[str, int] = {}  # of signed addresses
        self._lock = threading.Lock()

    # What there is

    def add(
        self,
        repo: RepoId | str,
        files: Mapping[str, Given],
        *,
        branch: str = "main",
        tags: Iterable[str] = (),
        refs: Iterable[str] = (),
        large: Callable[[str, int], bool] | None = None,
        title: str = "Upload files",
        private: bool | None = None,
        gated: str | bool | None = None,
        disabled: bool | None = None,
        token: str | None = None,
    ) -> CommitId:
        """Publish a commit that holds exactly `files`, and let the branch, tags and refs point at it.

        `large(path, size)` says which files are LFS (named by sha256). Access is kept as it was
        where None; `token` is one that may read the repo.
        """
        identity = repo_id(repo)
        rule = large or large_by_default
        contents = {path: content_of(given) for path, given in files.items()}
        stored = {p: Stored(p, content, rule(p, content.size)) for p, content in contents.items()}
        with self._lock:
            known = self.repos.setdefault(identity, Repo(identity))
            commit = commit_of(identity, stored, len(known.commits), title)
            commit = known.commits.get(commit.id, commit)
            for ref in (f"refs/heads/{branch}", *(f"refs/tags/{t}" for t in tags), *map(full_ref, refs)):
                known.move(ref, commit)
        self.restrict(identity, private=private, gated=gated, disabled=disabled, token=token)
        return commit.id

    def restrict(
        self,
        repo: RepoId | str,
        *,
        private: bool | None = None,
        gated: str | bool | None = None,
        disabled: bool | None = None,
        token: str | None = None,
    ) -> None:
        """Change who may read a repo; None leaves things as they are."""
        access = self.repos[repo_id(repo)].access
        access.private = access.private if private is None else private
        access.gated = access.gated if gated is None else ("auto" if gated is True else gated)
        access.disabled = access.disabled if disabled is None else disabled
        if token is not None:
            access.tokens.add(token)
            self._logins.add(token)

    def forbid(self, repo: RepoId | str, token: str) -> None:
        """Who has this token may no longer read the repo; the token stays valid."""
        self.repos[repo_id(repo)].access.tokens.discard(token)

    def login(self, token: str) -> None:
        """A token that is valid, and opens no repo by itself."""
        self._logins.add(token)

    def rename(self, old: RepoId | str, new: RepoId | str) -> None:
        """From now on the old name is redirected."""
        before, after = repo_id(old), repo_id(new)
        repo = self.repos.pop(before)
        repo.id = after
        self.repos[after] = repo
        self._renamed[before] = after

    def remove(self, repo: RepoId | str) -> None:
        """As if it never was."""
        del self.repos[repo_id(repo)]

    def content(self, repo: RepoId | str, path: str, revision: str = "main") -> bytes:
        """What a file holds, uncounted and without faults."""
        content = self.repos[repo_id(repo)].commit(revision).files[path].content
        return b"".join(content.read(0, content.size))

    def stored(self, repo: RepoId | str, path: str, revision: str = "main") -> Stored:
        """A file with its digest, git id and pointer."""
        return self.repos[repo_id(repo)].commit(revision).files[path]

    # Who may see it

    def seen_by(self, token: str | None) -> MemorySource:
        """The same hub as a `Source` for somebody with this token."""
        return MemorySource(self, token)

    def has(self, repo: RepoId) -> bool:
        """Whether there is such a repo, under this very name."""
        return repo in self.repos

    def find(self, repo: RepoId, token: str | None) -> Repo:
        """The repo, for somebody who may see its metadata. Raises Refusal, Moved."""
        if token is not None and token not in self._logins:
            raise refusals.bad_token(repo)
        known = self.repos.get(repo)
        if known is None:
            self._look_elsewhere(repo)
        if known is None or (known.access.private and token not in known.access.tokens):
            raise refusals.no_repo(repo, logged_in=token is not None)
        if known.access.disabled:
            raise refusals.disabled(repo)
        return known

    def knows_token(self, token: str) -> bool:
        """Whether it was given to anybody."""
        return token in self._logins

    def admit(self, repo: Repo, token: str | None) -> None:
        """To the bytes as well, not the metadata only. Raises Refusal."""
        if repo.access.gated and token not in repo.access.tokens:
            raise refusals.gated(repo.id, logged_in=token is not None)

    def _look_elsewhere(self, repo: RepoId) -> None:
        folded = (repo.kind, repo.name.lower())
        for old, new in list(self._renamed.items()):
            if (old.kind, old.name.lower()) == folded:
                raise refusals.Moved(new)
        for known in list(self.repos):
            if (known.kind, known.name.lower()) == folded:
                raise refusals.Moved(known)

    # Signed addresses

    def sign(self, repo: RepoId, commit: Commit, stored: Stored, faults: Faults | None) -> str:
        """Path and query of a file's address at the CDN."""
        lives = faults.expire_s if faults and faults.expire_s is not None else _SIGNED_FOR_S
        uses = faults.expire_after_uses if faults else None
        deadline = self.clock() + lives
        facts = {
            "r": str(repo),
            "c": commit.id,
            "p": stored.path,
            "t": deadline,
            "u": uses,
            "n": time.monotonic_ns(),
        }
        policy = urlsafe_b64encode(json.dumps(facts).encode()).decode()
        return (
            f"/xet-bridge-us/{commit.id[:24]}/{stored.xet_hash}?response-content-disposition=inline"
            f"&user_id=public&X-Xet-Cas-Uid=public&Expires={int(deadline) + 1}&Policy={policy}"
            f"&Signature={_signature(stored.xet_hash, policy)}&Key-Pair-Id=SIMULATED"
        )

    def check(self, xet_hash: str, policy: str, signature: str) -> tuple[Stored | None, str]:
        """The file a signed address stands for, or None and why not."""
        if not hmac.compare_digest(signature, _signature(xet_hash, policy)):
            return None, "Access denied"
        facts: dict[str, Any] = json.loads(urlsafe_b64decode(policy))
        with self._lock:
            used = self._uses[signature] = self._uses.get(signature, 0) + 1
        if self.clock() >= facts["t"] or (facts["u"] is not None and used > facts["u"]):
            return None, "Request has expired"
        repo = self.repos.get(repo_id(facts["r"]))
        commit = repo.commits.get(CommitId(facts["c"])) if repo else None
        return (commit.files.get(facts["p"]) if commit else None), "Access denied"

    def signed_path(self, policy: str) -> str:
        """The file a signed address speaks of, whether or not it is genuine."""
        return _told(policy, "p")

    def signed_repo(self, policy: str) -> str:
        """The repo a signed address speaks of, whether or not it is genuine."""
        return _told(policy, "r")

    # What goes wrong

    @contextmanager
    def failing(self, faults: Faults | None = None, **fields: Any) -> Iterator[Armed]:
        """Faults in force inside the `with`; the result counts its `strikes`."""
        armed = Armed(faults if faults is not None else Faults(**fields))
        self.weather.add(armed)
        self._open_gates()
        try:
            yield armed
        finally:
            self.weather.remove(armed)
            self._open_gates()

    def _open_gates(self) -> None:
        for gate in list(self.gates):
            gate()

    # What was asked

    @property
    def requests(self) -> list[Record]:
        """All since the last reset, in the order of arrival."""
        return self.ledger.records

    def count(
        self,
        kind: str | None = None,
        *,
        origin: str | None = None,
        method: str | None = None,
        status: int | None = None,
        file: str | None = None,
        repo: str | None = None,
        token: str | None = None,
    ) -> int:
        """How many requests fit; `file` is a pattern. The records: `hub.ledger.select`."""
        found = self.ledger.select(
            kind=kind, origin=origin, method=method, status=status, file=file, repo=repo, token=token
        )
        return len(found)

    @property
    def bytes_served(self) -> int:
        """Bytes of files' content that were sent."""
        return self.ledger.bytes_served

    def reset_counts(self) -> None:
        """Forget what was asked so far."""
        self.ledger.reset()

    def settle(self, timeout_s: float = 5.0) -> None:
        """Wait until no answer is under way, so that the counts are final."""
        if not self.ledger.settle(timeout_s):
            raise TimeoutError("an answer is still under way")


def _told(policy: str, name: str) -> str:
    try:
        return str(json.loads(urlsafe_b64decode(policy))[name])
    except (ValueError, KeyError):
        return ""


def _signature(xet_hash: str, policy: str) -> str:
    return hmac.new(_SECRET, f"{xet_hash} {policy}".encode(), hashlib.sha256).hexdigest()
