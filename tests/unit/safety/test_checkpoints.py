"""What a conversion makes of a commit is decided before anything is loaded."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from hfmirror.errors import BadManifest
from hfmirror.model import Algorithm, Digest, Entry
from hfmirror.safety.checkpoints import (
    Conversion,
    Index,
    index_target,
    new_index,
    plan_conversion,
    safetensors_name,
    shards_of,
)
from hfmirror.store.scans import SAFE, SUSPICIOUS, Scan

if TYPE_CHECKING:
    from collections.abc import Callable


def entry(path: str) -> Entry:
    """A file of no matter what."""
    return Entry(path, 10, Digest.of(Algorithm.SHA256, path.encode()))


def planned(*paths: str, leave_out: Callable[[str], bool] = lambda _: False) -> Conversion:
    """The plan for a commit with these files, of which those with `raw` in the name are no pickles."""
    held = [entry(path) for path in sorted(paths)]

    def look(one: Entry) -> Scan | None:
        pickles = {".pkl": SUSPICIOUS, ".joblib": SAFE}
        return next((Scan(verdict) for end, verdict in pickles.items() if one.path.endswith(end)), None)

    return plan_conversion(held, lambda one: "raw" not in one.path and not one.path.endswith(".json"), look, leave_out)


def converted(plan: Conversion) -> dict[str, str]:
    """By the old name the new one."""
    files = {each.source.path: each.target for each in plan.checkpoints}
    return files | {each.source.path: each.target for each in plan.indexes}


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("pytorch_model.bin", "model.safetensors"),
        ("pytorch_model.fp16.bin", "model.fp16.safetensors"),
        ("pytorch_model-00001-of-00002.bin", "model-00001-of-00002.safetensors"),
        ("2_Dense/pytorch_model.bin", "2_Dense/model.safetensors"),
        ("unet/diffusion_pytorch_model.bin", "unet/diffusion_pytorch_model.safetensors"),
        ("adapter_model.bin", "adapter_model.safetensors"),
        ("pytorch_models/best.pt", "pytorch_models/best.safetensors"),
        ("v1-5-pruned.ckpt", "v1-5-pruned.safetensors"),
    ],
)
def test_names_are_those_that_transformers_and_diffusers_look_for(path: str, target: str) -> None:
    assert safetensors_name(path) == target


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("pytorch_model.bin.index.json", "model.safetensors.index.json"),
        ("pytorch_model.bin.index.fp16.json", "model.safetensors.index.fp16.json"),
        ("unet/diffusion_pytorch_model.bin.index.json", "unet/diffusion_pytorch_model.safetensors.index.json"),
        ("config.json", ""),
        ("model.safetensors.index.json", ""),
    ],
)
def test_an_index_becomes_one_of_safetensors(path: str, target: str) -> None:
    assert index_target(path) == target


def test_checkpoints_are_converted_and_the_rest_is_taken_over() -> None:
    plan = planned("config.json", "pytorch_model.bin", "vocab.txt", "extra/best.pth", "raw.bin", "table.joblib")
    assert converted(plan) == {"pytorch_model.bin": "model.safetensors", "extra/best.pth": "extra/best.safetensors"}
    assert {each.path for each in plan.kept} == {"config.json", "raw.bin", "table.joblib", "vocab.txt"}
    assert plan.left_out == ()


def test_shards_keep_their_numbers_and_bring_their_index() -> None:
    shards = [f"pytorch_model-0000{number}-of-00002.bin" for number in (1, 2)]
    plan = planned(*shards, "pytorch_model.bin.index.json")
    assert converted(plan) == {
        shards[0]: "model-00001-of-00002.safetensors",
        shards[1]: "model-00002-of-00002.safetensors",
        "pytorch_model.bin.index.json": "model.safetensors.index.json",
    }
    assert plan.kept == ()


def test_what_training_left_and_other_pickles_are_left_out() -> None:
    left = ("training_args.bin", "optimizer.pt", "run/rng_state_0.pth", "scheduler.pt", "features.pkl")
    plan = planned("pytorch_model.bin", *left)
    assert {each.entry.path for each in plan.left_out} == set(left)
    assert converted(plan) == {"pytorch_model.bin": "model.safetensors"}


def test_what_the_repo_has_as_safetensors_is_left_out() -> None:
    plan = planned("pytorch_model.bin", "model.safetensors", "sub/pytorch_model.bin")
    assert converted(plan) == {"sub/pytorch_model.bin": "sub/model.safetensors"}
    assert [(each.entry.path, each.why) for each in plan.left_out] == [
        ("pytorch_model.bin", "the repo has it as safetensors")
    ]
    in_parts = planned("pytorch_model.bin", "model.safetensors.index.json", "model-00001-of-00001.safetensors")
    assert in_parts.checkpoints == ()


def test_what_somebody_does_not_want_is_left_out() -> None:
    plan = planned("pytorch_model.bin", "big.pt", "notes.txt", leave_out=lambda path: path in ("big.pt", "notes.txt"))
    assert [each.entry.path for each in plan.left_out] == ["big.pt", "notes.txt"]
    assert plan.kept == ()


def test_two_of_one_name_are_told_apart() -> None:
    plan = planned("model.bin", "model.pt", "pytorch_model.bin")
    assert sorted(converted(plan).values()) == [
        "model.pt.safetensors",
        "model.safetensors",
        "pytorch_model.bin.safetensors",
    ]


def test_an_index_says_which_files_it_speaks_of() -> None:
    index = Index(entry("unet/model.bin.index.json"), "unet/model.safetensors.index.json")
    assert shards_of(index, '{"weight_map": {"a": "2.bin", "b": "1.bin", "c": "2.bin"}}') == [
        "unet/1.bin",
        "unet/2.bin",
    ]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"weight_map": []}', "[" * 10_000])
def test_an_index_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(BadManifest):
        shards_of(Index(entry("model.bin.index.json"), ""), text)


def test_a_new_index_says_where_each_tensor_is() -> None:
    made = json.loads(new_index(["unet/1.safetensors", "unet/2.safetensors"], {
        "unet/1.safetensors": {"b": 8, "a": 4}, "unet/2.safetensors": {"c": 16}, "other": {"d": 1},
    }))  # fmt: skip
    assert made == {
        "metadata": {"total_size": 28},
        "weight_map": {"a": "1.safetensors", "b": "1.safetensors", "c": "2.safetensors"},
    }
