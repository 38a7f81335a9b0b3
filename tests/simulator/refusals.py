"""What the Hub says when it says no: once as a status with headers, once as an error of hfmirror."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hfmirror import errors

if TYPE_CHECKING:
    from hfmirror.model import RepoId

AUTHORITY = "the simulated hub"


class Refusal(Exception):
    """A request that gets no more than an error answer."""

    def __init__(
        self,
        status: int,
        message: str,
        error: errors.MirrorError,
        *,
        code: str | None = None,
        commit: str = "",
    ) -> None:
        super().__init__(status, message)
        self.status, self.message, self.error = status, message, error
        self.code, self.commit = code, commit

    def headers(self) -> dict[str, str]:
        """The header fields that tell a client what is wrong."""
        fields = {"X-Error-Message": self.message}
        if self.code:
            fields["X-Error-Code"] = self.code
        if self.commit:
            fields["X-Repo-Commit"] = self.commit
        if self.status == 401 and not self.code:
            fields["WWW-Authenticate"] = 'Bearer realm="Authentication required", charset="UTF-8"'
        return fields


class Moved(Exception):
    """The repo has another name now, or is spelled in other case."""

    def __init__(self, repo: RepoId) -> None:
        super().__init__(repo)
        self.repo = repo


def no_repo(repo: RepoId | str, *, logged_in: bool) -> Refusal:
    """Missing, or hidden from this caller: the Hub does not say which."""
    error = errors.RepoNotFound(repo, AUTHORITY)
    if logged_in:
        return Refusal(404, "Repository not found", error, code="RepoNotFound")
    return Refusal(401, "Invalid username or password.", error)


def bad_token(repo: RepoId | str) -> Refusal:
    """A token nobody was given."""
    return Refusal(401, "Invalid credentials in Authorization header", errors.BadToken(repo))


def no_revision(repo: RepoId, revision: str) -> Refusal:
    """The repo exists, this revision does not."""
    error = errors.RevisionNotFound(repo, revision)
    return Refusal(404, f"Invalid rev id: {revision}", error, code="RevisionNotFound")


def no_entry(repo: RepoId, path: str, commit: str) -> Refusal:
    """The commit exists, this file or folder does not."""
    error = errors.EntryNotFound(repo, path)
    return Refusal(404, "Entry not found", error, code="EntryNotFound", commit=commit)


def gated(repo: RepoId, *, logged_in: bool) -> Refusal:
    """Terms to accept first; metadata stay public."""
    error = errors.GatedRepo(repo, f"https://huggingface.co/{repo}")
    start = f"Access to {repo.kind.value} {repo.name} is restricted"
    if logged_in:
        why = f"{start} and you are not in the authorized list. Visit the repo's page to ask for access."
        return Refusal(403, why, error, code="GatedRepo")
    why = f"{start}. You must have access to it and be authenticated to access it. Please log in."
    return Refusal(401, why, error, code="GatedRepo")


def disabled(repo: RepoId) -> Refusal:
    """Switched off for everybody; told by its message only."""
    return Refusal(403, "Access to this resource is disabled.", errors.DisabledRepo(repo))
