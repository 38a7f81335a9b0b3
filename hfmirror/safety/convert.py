"""A commit of one's own beside the original, in which checkpoints are safetensors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfmirror import codec
from hfmirror.errors import StoreError, UnsafePickle, UsageError
from hfmirror.model import LOCAL, Algorithm, Digest, Entry, Head, Manifest, Pin
from hfmirror.safety import names, to_safetensors
from hfmirror.safety.checkpoints import Checkpoint, Conversion, new_index, plan_conversion, shards_of
from hfmirror.safety.guard import told
from hfmirror.store import files
from hfmirror.store.adopting import Adopter, Linking, Unfit, digests_of, opened
from hfmirror.store.scans import DANGEROUS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from hfmirror.model import CommitId, RepoId
    from hfmirror.safety.guard import Guard
    from hfmirror.store.disk import DiskStore

IN_GIT = 10 * 2**20  # bytes; the Hub keeps no larger file in git itself
HOW_TO = "pip install 'hfmirror-cli[convert]', or name a Python that has them: --python path/to/bin/python"
# What is said of the original and holds for its copy.
_SAME = ("id", "author", "private", "gated", "cardData", "tags", "pipeline_tag", "library_name", "lastModified")


@dataclass(frozen=True, slots=True)
class Wish:
    """What the words of the command ask for."""

    repo: RepoId
    revision: str
    name: str = ""  # of the new revision; empty: the old one's with -safetensors
    leave_out: Callable[[str], bool] = lambda _: False  # which paths the new commit shall do without
    python: str = sys.executable  # one that has torch and safetensors

    @property
    def new(self) -> str:
        """What the new revision is called."""
        old = self.revision[:12] if len(self.revision) == 40 else self.revision
        return self.name or f"{old}-safetensors"


@dataclass(frozen=True, slots=True)
class Converted:
    """What came of it."""

    pin: Pin
    manifest: Manifest
    conversion: Conversion
    tied: Mapping[str, Mapping[str, str]]  # by file: names that are left to another name for the same tensor


class Converter:
    """One conversion in one store."""

    def __init__(self, wish: Wish, store: DiskStore, guard: Guard) -> None:
        self._wish, self._store, self._guard = wish, store, guard

    def plan(self) -> Conversion:
        """What would be done. Raises NotHere, UsageError, UnsafePickle."""
        wish, store = self._wish, self._store
        asked = store.asked(wish.repo, wish.new)
        if asked is not None and asked[1] != LOCAL:
            raise UsageError(f"{wish.new} is a revision of the Hub's", "choose another name: --revision NAME")
        manifest = store.manifest(wish.repo, self._commit())
        held = [entry for entry in manifest.entries if store.has(entry.digest)]
        plan = plan_conversion(held, self._pickled, self._guard.look, wish.leave_out)
        if not plan.checkpoints:
            raise UsageError(
                f"{wish.repo}@{wish.revision} has no checkpoint here to convert",
                "its weights are safetensors already, or not here: hfmirror info says which",
            )
        for each in plan.checkpoints:
            scan = self._guard.look(each.source)
            if scan is not None and scan.verdict == DANGEROUS:
                raise self._refused(each, told(scan))
        return plan

    def run(self, plan: Conversion, told: Callable[[Checkpoint], None] = lambda _: None) -> Converted:
        """Do it. Raises UnsafePickle for what needs more than weights, UsageError, DiskFull, StoreError."""
        self._store.prepare()
        self._store.room_for([each.source for each in plan.checkpoints])
        with ExitStack() as stack:
            drafts = {each.target: stack.enter_context(self._store.drafts.draft()) for each in plan.checkpoints}
            made = self._made(plan.checkpoints, drafts, told)
            texts = self._indexes(plan, {target: answer["tensors"] for target, answer in made.items()})
            entries = {target: _entry_of_file(target, draft) for target, draft in drafts.items()}
            entries |= {target: _entry_of_text(target, text) for target, text in texts.items()}
            manifest = self._manifest([*plan.kept, *entries.values()])
            pin = Pin(self._wish.repo, manifest.commit, self._wish.new)
            self._store.keep(pin, manifest)  # before the bytes have their names, so that gc spares them
            self._take_in(entries, drafts, texts)
        self._store.publish(pin, self._head(manifest.commit))
        return Converted(pin, manifest, plan, {target: answer["tied"] for target, answer in made.items()})

    def _commit(self) -> CommitId:
        return self._store.commit(self._wish.repo, self._wish.revision)

    def _pickled(self, entry: Entry) -> bool:
        path = self._store.path(entry.digest)
        if path is None or not entry.size:
            return False
        with os.fdopen(files.open_quietly(path), "rb") as stream:
            return names.begun(stream.read(names.HEAD))

    def _refused(self, checkpoint: Checkpoint, why: str) -> UnsafePickle:
        path = checkpoint.source.path
        return UnsafePickle(self._wish.repo, path, why, f"leave it out if the rest is enough: --exclude '{path}'")

    # -- making -------------------------------------------------------------------------------

    def _made(
        self, checkpoints: Sequence[Checkpoint], drafts: Mapping[str, str], told: Callable[[Checkpoint], None]
    ) -> dict[str, Any]:
        """By target, which tensors its draft holds now."""
        work = [{"source": self._place(each.source), "target": drafts[each.target]} for each in checkpoints]
        made: dict[str, Any] = {}
        for each, answer in zip(checkpoints, _answers(self._wish.python, work), strict=False):
            if "refused" in answer:
                raise self._refused(each, str(answer["refused"]))
            made[each.target] = answer
            told(each)
        if len(made) < len(checkpoints):
            path = checkpoints[len(made)].source.path
            raise StoreError(path, "the process that was to convert it died, perhaps for want of memory")
        return made

    def _place(self, entry: Entry) -> str:
        return str(self._store.path(entry.digest))

    def _indexes(self, plan: Conversion, tensors: Mapping[str, Mapping[str, int]]) -> dict[str, str]:
        """The new indexes. Raises UsageError when one speaks of a file that is not here."""
        targets = {each.source.path: each.target for each in plan.checkpoints}
        made = {}
        for index in plan.indexes:
            shards = shards_of(index, Path(self._place(index.source)).read_text(encoding="utf-8"))
            lacking = [path for path in shards if path not in targets]
            if lacking:
                raise UsageError(f"{lacking[0]} is not here, and {index.source.path} speaks of it", "pull it first")
            made[index.target] = new_index((targets[path] for path in shards), tensors)
        return made

    # -- taking in ----------------------------------------------------------------------------

    def _manifest(self, entries: Sequence[Entry]) -> Manifest:
        return Manifest.of(self._wish.repo, codec.own_commit(self._wish.repo, entries), entries, origin=LOCAL)

    def _head(self, commit: CommitId) -> Head:
        """What is said of the new commit: what it is made of, and that it is nobody's but ours."""
        repo = self._wish.repo
        original = self._store.about(repo, self._commit())
        about: dict[str, object] = {name: original[name] for name in _SAME if name in original}
        about |= {"origin": LOCAL, "convertedFrom": self._commit()}
        return Head(commit, about, LOCAL, self._store.public(repo))

    def _take_in(self, entries: Mapping[str, Entry], drafts: Mapping[str, str], texts: Mapping[str, str]) -> None:
        adopter = Adopter(self._store.layout, self._store.drafts)
        for target, draft in drafts.items():
            wanted = entries[target].digest
            try:
                with opened(draft) as offered:
                    taken = adopter.take(offered, (wanted.algorithm,), lambda digest: digest == wanted, Linking.ALWAYS)  # noqa: B023 - called at once
            except Unfit as error:
                raise StoreError(draft, str(error)) from error
            if taken.kept is None:
                raise StoreError(draft, "it changed while it was read; run the command again")
        with self._store.batch() as batch:
            for target, text in texts.items():
                batch.add(entries[target], text.encode())


def _entry_of_file(target: str, draft: str) -> Entry:
    try:
        with opened(draft) as offered:
            (digest,) = digests_of(offered, (Algorithm.SHA256,))
            return Entry(target, offered.size, digest)
    except Unfit as error:
        raise StoreError(draft, str(error)) from error


def _entry_of_text(target: str, text: str) -> Entry:
    data = text.encode()
    return Entry(target, len(data), Digest.of(Algorithm.SHA256 if len(data) > IN_GIT else Algorithm.GIT_SHA1, data))


def _answers(python: str, work: Sequence[Mapping[str, str]]) -> Iterator[dict[str, Any]]:
    """What the converting process says of each file, as it says it. Raises UsageError."""
    command = [python, to_safetensors.__file__]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
    try:
        process = subprocess.Popen(  # noqa: S603 - the user's own Python, and our own script
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
        )
    except OSError as error:
        raise UsageError(f"{python} cannot be started: {error.strerror}", HOW_TO) from None
    with process:
        try:
            assert process.stdin is not None and process.stdout is not None  # noqa: S101 - asked for above
            with suppress(BrokenPipeError):  # it did not even listen: it will have nothing to say, either
                process.stdin.write(json.dumps({"work": list(work)}).encode())
            with suppress(BrokenPipeError):  # what was not written yet
                process.stdin.close()
            lines = map(_answer, process.stdout)
            _check(next(lines, {}), python)
            yield from takewhile(bool, lines)
        finally:
            process.kill()


def _answer(line: bytes) -> dict[str, Any]:
    """One line of the process; nothing for what is none of ours."""
    try:
        document = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _check(first: Mapping[str, Any], python: str) -> None:
    """See that the process has what it needs. Raises UsageError."""
    if "torch" in first:
        return
    if "old" in first:
        raise UsageError(f"torch {first['old']} is too old: loading weights alone could be tricked before 2.6", HOW_TO)
    lacking = f"{first['missing']} is missing" if "missing" in first else f"{python} does not run"
    raise UsageError(f"converting needs torch, safetensors and numpy: {lacking}", HOW_TO)
