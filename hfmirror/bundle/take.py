"""Taking a bundle in: pins before bytes, every byte proven, refs last.

What is sound is taken in, whatever is wrong beside it; what is wrong is told, file by file.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hfmirror import codec
from hfmirror.bundle.carry import SMALL
from hfmirror.bundle.reading import ANYBODY, Brought, Bundle, Trust
from hfmirror.errors import DamagedBundle, DigestMismatch, MirrorError, NotHere, UnsafePath, UsageError
from hfmirror.model import Algorithm, is_commit, unholdable
from hfmirror.moments import since_1970, utc
from hfmirror.store import files
from hfmirror.store.records import HEARSAY
from hfmirror.transfer.events import Arrived, Sealed, silent
from hfmirror.transfer.plan import refuse_clashes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from hfmirror.bundle.layout import Piece
    from hfmirror.model import Digest, Entry, Manifest, Pin
    from hfmirror.ports import Intake
    from hfmirror.store.disk import DiskStore
    from hfmirror.transfer.events import Watcher

GIT_MOST = 64 * 2**20  # bytes; what is kept in git is smaller, and is hashed twice in memory


@dataclass(slots=True)
class Taken:
    """What came of taking a bundle in."""

    signature: str = ""  # a word on who signed it
    names: list[Brought] = field(default_factory=list)  # commits that are now whole here
    objects: int = 0  # taken in
    size: int = 0  # bytes of them
    there: int = 0  # objects that were here already
    kept: list[str] = field(default_factory=list)  # names that stay as they are, because they are younger here
    problems: list[MirrorError] = field(default_factory=list)  # what is damaged, and what lacks


def take_in(folder: Path, store: DiskStore, trust: Trust = ANYBODY, watch: Watcher = silent) -> Taken:
    """Copy a bundle's commits and objects into a store.

    Raises at once, before anything is written: UsageError when `folder` is no bundle, BadSignature,
    StoreTooNew, DamagedBundle when its sums cannot be read, DiskFull. DiskGone when it is taken out
    midway: the next run goes on. All else that is wrong is in `problems`.
    """
    if store.root.exists() and files.same_file(folder, store.root):
        raise UsageError(f"{folder} is the store itself", "name the folder of a bundle")
    return _Taking(Bundle(folder), store, watch).run(trust)


class _Taking:
    """One bundle on its way in."""

    def __init__(self, bundle: Bundle, store: DiskStore, watch: Watcher) -> None:
        self._bundle, self._store, self._watch = bundle, store, watch
        self._taken = Taken()
        self._bad: set[Digest] = set()

    def run(self, trust: Trust) -> Taken:
        self._taken.signature = self._bundle.check(trust)
        names = [found for found in self._bundle.names() if self._believable(found)]
        brought = [found for found in names if isinstance(found, Brought)]
        if not brought and not self._taken.problems:
            raise DamagedBundle("pins", "tells of no repo")
        entries = {entry.digest: entry for each in brought for entry in self._meant(each)}
        lacking = {digest: entry for digest, entry in entries.items() if not self._store.has(digest)}
        self._taken.there = len(entries) - len(lacking)
        coming = [(entry, pieces) for entry in lacking.values() if (pieces := self._pieces(entry))]
        self._store.room_for([entry for entry, _ in coming])
        for each in brought:
            for pin in each.pins:
                self._store.keep(pin, each.manifest)
        self._bring(coming)
        for each in brought:
            self._publish(each)
        return self._taken

    # -- names --------------------------------------------------------------------------------

    def _believable(self, found: Brought | MirrorError) -> bool:
        try:
            if isinstance(found, MirrorError):
                raise found
            _refuse_unholdable(self._meant(found))
            if self._store.case_blind():
                refuse_clashes(self._meant(found))
            self._refuse_another_listing(found)
        except MirrorError as error:
            self._taken.problems.append(error)
            return False
        return True

    def _refuse_another_listing(self, found: Brought) -> None:
        """What a commit holds never changes: of two stories one is a lie, and ours came first."""
        try:
            ours = self._store.manifest(found.manifest.repo, found.manifest.commit)
        except MirrorError:
            return
        theirs = found.manifest
        odd = [entry.path for entry in {*ours.entries} ^ {*theirs.entries} if _both_tell(ours, theirs, entry.path)]
        if ours.origin == theirs.origin and odd:
            listing = f"the listing of {ours.repo}@{ours.commit[:12]}"
            raise DamagedBundle(listing, f"is not what the store knows: {min(odd)} differs")

    def _meant(self, each: Brought) -> list[Entry]:
        """What a commit's pins want. A demand wants whatever came along."""
        chosen = {entry for pin in each.pins if not pin.demand for entry in pin.selection.of(each.manifest)}
        if any(pin.demand for pin in each.pins):
            chosen |= {entry for entry in each.manifest.entries if self._pieces(entry)}
        return sorted(chosen)

    def _publish(self, each: Brought) -> None:
        lacking = [entry for entry in self._meant(each) if not self._store.has(entry.digest)]
        unknown = [entry for entry in lacking if entry.digest not in self._bad]
        repo = each.manifest.repo
        if unknown:
            told = f"one of {len(unknown)} files that this bundle leaves out,"
            self._taken.problems.append(NotHere(f"{unknown[0].path} of {repo}, {told}"))
        if lacking:
            return
        with self._store.locked():
            self._put_about(each)
            for pin in each.pins:
                self._put_ref(pin, each)
        self._taken.names.append(each)

    def _put_about(self, each: Brought) -> None:
        repo, commit = each.manifest.repo, each.manifest.commit
        places, drafts = self._store.layout, self._store.drafts
        if each.about and not places.description(repo, commit).exists():
            drafts.publish_text(places.description(repo, commit), codec.dump(each.about))
        if not places.standing(repo).exists():  # what is closed here is not opened by what somebody brings
            drafts.publish_text(places.standing(repo), codec.standing_text(repo, public=each.public))

    def _put_ref(self, pin: Pin, each: Brought) -> None:
        """Let a revision lead to the commit, unless it was asked for here more lately, or by a better authority."""
        told = each.refs.get(pin.revision)
        if told is None or is_commit(pin.revision):
            return
        path = self._store.layout.ref(pin.repo, pin.revision)
        text = files.read_text(path)
        ours = {} if text is None else codec.load(text, str(path))
        if ours.get("commit") == pin.commit:
            return
        checked_at, authority = _checked_at(told), str(told.get("authority", ""))
        rumour = authority == HEARSAY and ours.get("authority") != HEARSAY
        if ours and (rumour or str(ours.get("checked_at", "")) > checked_at):
            at = str(ours.get("commit"))[:12]
            self._taken.kept.append(f"{pin.repo}@{pin.revision} stays at {at}, which is known better here")
            return
        self._store.drafts.publish_text(path, codec.ref_text(pin.commit, checked_at, authority))

    # -- bytes --------------------------------------------------------------------------------

    def _pieces(self, entry: Entry) -> Sequence[Piece]:
        """The files that hold an object here; none when it is not here, or not as it should be."""
        if entry.digest in self._bad:
            return ()
        try:
            return self._bundle.pieces(entry)
        except DamagedBundle as error:
            self._refuse(entry, error)
            return ()

    def _refuse(self, entry: Entry, error: MirrorError) -> None:
        self._bad.add(entry.digest)
        self._taken.problems.append(error)

    def _bring(self, coming: Iterable[tuple[Entry, Sequence[Piece]]]) -> None:
        with self._store.batch() as batch:
            for entry, pieces in coming:
                try:
                    if entry.size <= (GIT_MOST if entry.digest.algorithm is Algorithm.GIT_SHA1 else SMALL):
                        batch.add(entry, self._whole(entry, pieces))
                        self._watch(Arrived(entry, entry.size, str(self._bundle.folder)))
                    else:
                        self._bring_large(entry, pieces)
                except (DigestMismatch, DamagedBundle) as error:
                    self._refuse(entry, self._named(entry, error, pieces))
                    continue
                self._watch(Sealed(entry))
                self._taken.objects, self._taken.size = self._taken.objects + 1, self._taken.size + entry.size

    def _whole(self, entry: Entry, pieces: Sequence[Piece]) -> bytes:
        data = b"".join(chunk for piece in pieces for chunk in self._bundle.chunks(piece))
        told = self._bundle.sum_of(entry.digest)
        if told and entry.digest.algorithm is Algorithm.GIT_SHA1 and hashlib.sha256(data).hexdigest() != told:
            raise DamagedBundle(pieces[0].name, "has changed")  # SHA-1 alone might not have told
        return data

    def _bring_large(self, entry: Entry, pieces: Sequence[Piece]) -> None:
        with self._store.receive(entry) as intake:
            for span in intake.missing():
                for piece in pieces:
                    start = max(span.start, piece.start)
                    if start < min(span.stop, piece.stop):
                        self._copy(entry, intake, piece, (start, min(span.stop, piece.stop)))
            intake.seal()

    def _copy(self, entry: Entry, intake: Intake, piece: Piece, span: tuple[int, int]) -> None:
        at, stop = span
        for chunk in self._bundle.chunks(piece, at - piece.start):
            part = chunk[: stop - at]
            if not part:
                return
            intake.write(at, part)
            at += len(part)
            self._watch(Arrived(entry, len(part), str(self._bundle.folder)))

    def _named(self, entry: Entry, error: DigestMismatch | DamagedBundle, pieces: Sequence[Piece]) -> MirrorError:
        """Which file of the bundle is to blame."""
        if isinstance(error, DamagedBundle):
            return error
        wrong = [] if len(pieces) == 1 else list(self._bundle.wrong_parts(entry.digest))
        return DamagedBundle(
            ", ".join(wrong) or pieces[0].name, f"is not {error.path}: it has the digest {error.actual}"
        )


def _checked_at(ref: codec.Document) -> str:
    """When the authority is said to have been asked: no later than now, and long ago if that is no time."""
    told = str(ref.get("checked_at"))
    try:
        asked = since_1970(told)
    except ValueError:
        asked = 0.0
    return utc(min(asked, time.time()))


def _refuse_unholdable(entries: Iterable[Entry]) -> None:
    """As a pull would."""
    for entry in entries:
        why = unholdable(entry.path)
        if why:
            raise UnsafePath(entry.path, why)


def _both_tell(ours: Manifest, theirs: Manifest, path: str) -> bool:
    return ours.reach.covers(path) and theirs.reach.covers(path)
