"""What a conversion to safetensors makes of a commit: decided from names and first bytes, before anything is loaded."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from hfmirror.errors import BadManifest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from hfmirror.model import Entry
    from hfmirror.store.scans import Scan

CHECKPOINTS = (".bin", ".pt", ".pth", ".ckpt")
# What training leaves beside the weights: state and settings, as pickles that nobody loads to use a model.
NOT_WEIGHTS = ("training_args.bin", "optimizer*", "scheduler*", "scaler*", "rng_state*", "random_states*")

_INDEX = re.compile(r"(?P<stem>.+)\.bin\.index(?P<variant>\.[^/]+)?\.json")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One file of weights, and what its safetensors are called."""

    source: Entry
    target: str


@dataclass(frozen=True, slots=True)
class Index:
    """Which tensor is in which of several checkpoints, and what the new one is called."""

    source: Entry
    target: str


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file that the new commit does without."""

    entry: Entry
    why: str


@dataclass(frozen=True, slots=True)
class Conversion:
    """Everything a conversion is about to do; printable before it is done."""

    checkpoints: tuple[Checkpoint, ...]
    indexes: tuple[Index, ...]
    kept: tuple[Entry, ...]  # taken over as they are
    left_out: tuple[LeftOut, ...]


def plan_conversion(
    held: Sequence[Entry],
    pickled: Callable[[Entry], bool],
    look: Callable[[Entry], Scan | None],
    leave_out: Callable[[str], bool] = lambda _: False,
) -> Conversion:
    """Decide what becomes of each held file.

    `pickled` says whether a file begins like a pickle or an archive of one, `look` what a pickle would do.
    """
    there = {entry.path for entry in held}
    checkpoints: list[Checkpoint] = []
    indexes: list[Index] = []
    kept: list[Entry] = []
    left_out: list[LeftOut] = []
    for entry in held:
        index, target = index_target(entry.path), safetensors_name(entry.path)
        is_checkpoint = entry.path.lower().endswith(CHECKPOINTS) and pickled(entry)
        why = _why_not(entry, leave_out, is_checkpoint=is_checkpoint) or _twin(
            index or target, there, index=bool(index)
        )
        if why and (is_checkpoint or index or leave_out(entry.path)):
            left_out.append(LeftOut(entry, why))
        elif index:
            indexes.append(Index(entry, index))
        elif is_checkpoint:
            checkpoints.append(Checkpoint(entry, target))
        elif (scan := look(entry)) is not None and not scan.safe:
            left_out.append(LeftOut(entry, "a pickle, and no checkpoint"))
        else:
            kept.append(entry)
    return Conversion(_told_apart(checkpoints, there), tuple(indexes), tuple(kept), tuple(left_out))


def _why_not(entry: Entry, leave_out: Callable[[str], bool], *, is_checkpoint: bool) -> str:
    if leave_out(entry.path):
        return "left out as asked"
    name = entry.path.rpartition("/")[2].lower()
    if is_checkpoint and any(fnmatchcase(name, pattern) for pattern in NOT_WEIGHTS):
        return "what training left, not weights"
    return ""


def _twin(target: str, there: set[str], *, index: bool) -> str:
    """Whether the repo has the same as safetensors already: alone, or in several files with an index."""
    if target in there or (not index and f"{target}.index.json" in there):
        return "the repo has it as safetensors"
    return ""


def _told_apart(checkpoints: list[Checkpoint], there: set[str]) -> tuple[Checkpoint, ...]:
    """No two of the same name: `model.bin` and `model.pt` become `model.safetensors` and `model.pt.safetensors`."""
    taken = set(there)
    made = []
    for each in checkpoints:
        target = each.target if each.target not in taken else f"{each.source.path}.safetensors"
        taken.add(target)
        made.append(Checkpoint(each.source, target))
    return tuple(made)


def safetensors_name(path: str) -> str:
    """What transformers and diffusers call the safetensors of a checkpoint."""
    folder, slash, name = path.rpartition("/")
    stem = re.sub(r"\Apytorch_model(?=[.-]|\Z)", "model", name.rpartition(".")[0])
    return f"{folder}{slash}{stem}.safetensors"


def index_target(path: str) -> str:
    """What the index of the safetensors is called, for the index of a checkpoint in several files; else empty."""
    found = _INDEX.fullmatch(path)
    if found is None:
        return ""
    return f"{safetensors_name(found['stem'] + '.bin')}.index{found['variant'] or ''}.json"


def shards_of(index: Index, text: str) -> list[str]:
    """The files that an index speaks of, as paths in the repo. Raises BadManifest."""
    folder, slash, _ = index.source.path.rpartition("/")
    try:
        names = json.loads(text)["weight_map"].values()
        return sorted({f"{folder}{slash}{name}" for name in names})
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadManifest(index.source.path, f"is no index of a checkpoint ({error})") from None


def new_index(targets: Iterable[str], tensors: Mapping[str, Mapping[str, int]]) -> str:
    """The index of the new files; `tensors` says by file which names it has, and their bytes."""
    weight_map: dict[str, str] = {}
    size = 0
    for target in targets:
        for name, count in tensors[target].items():
            weight_map[name] = target.rpartition("/")[2]
            size += count
    document: dict[str, Any] = {"metadata": {"total_size": size}, "weight_map": dict(sorted(weight_map.items()))}
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
