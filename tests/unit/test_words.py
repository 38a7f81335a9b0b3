"""A repo the way people paste it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfmirror.errors import UsageError
from hfmirror.model import Kind, RepoId
from hfmirror.words import parse_repo


@pytest.mark.parametrize(
    ("text", "kind", "name", "revision"),
    [
        ("acme/tiny", Kind.MODEL, "acme/tiny", None),
        ("gpt2", Kind.MODEL, "gpt2", None),
        ("  acme/tiny\n", Kind.MODEL, "acme/tiny", None),
        ("acme/tiny@v1.0", Kind.MODEL, "acme/tiny", "v1.0"),
        ("acme/tiny@refs/pr/1", Kind.MODEL, "acme/tiny", "refs/pr/1"),
        ("acme/tiny@refs%2Fpr%2F1", Kind.MODEL, "acme/tiny", "refs/pr/1"),
        ("models/acme/tiny", Kind.MODEL, "acme/tiny", None),
        ("datasets/acme/tiny", Kind.DATASET, "acme/tiny", None),
        ("datasets/squad", Kind.DATASET, "squad", None),
        ("spaces/acme/tiny@main", Kind.SPACE, "acme/tiny", "main"),
        ("hf://acme/tiny", Kind.MODEL, "acme/tiny", None),
        ("hf://datasets/acme/tiny@v1", Kind.DATASET, "acme/tiny", "v1"),
        ("https://huggingface.co/acme/tiny", Kind.MODEL, "acme/tiny", None),
        ("https://huggingface.co/acme/tiny/", Kind.MODEL, "acme/tiny", None),
        ("https://huggingface.co/gpt2/tree/main", Kind.MODEL, "gpt2", "main"),
        ("https://huggingface.co/acme/tiny/tree/v1.0/sub", Kind.MODEL, "acme/tiny", "v1.0"),
        ("https://huggingface.co/acme/tiny/blob/main/config.json?download=true", Kind.MODEL, "acme/tiny", "main"),
        ("https://huggingface.co/acme/tiny/resolve/refs%2Fpr%2F1/a", Kind.MODEL, "acme/tiny", "refs/pr/1"),
        ("https://huggingface.co/datasets/acme/tiny/viewer", Kind.DATASET, "acme/tiny", None),
        ("http://127.0.0.1:8090/spaces/acme/tiny/discussions/3", Kind.SPACE, "acme/tiny", None),
    ],
)
def test_every_usual_spelling_is_understood(text: str, kind: Kind, name: str, revision: str | None) -> None:
    assert parse_repo(text) == (RepoId(kind, name), revision)


@pytest.mark.parametrize(
    "text",
    ["", " ", "/", "acme/tiny@", "a/b/c", "acme//tiny", "../x", "https://huggingface.co/", "a b", "acme/tiny.git"],
)
def test_what_names_no_repo_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_repo(text)
    assert caught.value.hint()


@given(st.sampled_from(Kind), st.sampled_from(["gpt2", "acme/tiny", "datasets-x/y", "spaces/x"]))
def test_a_repo_as_it_is_printed_is_understood(kind: Kind, name: str) -> None:
    repo = RepoId.of(kind, name)
    if kind is Kind.MODEL and name.startswith("spaces/"):
        return  # an owner that is called `spaces` must be written with its kind
    assert parse_repo(str(repo)) == (repo, None)


@given(st.text(max_size=40))
def test_any_text_is_a_repo_or_a_usage_error(text: str) -> None:
    try:
        repo, _ = parse_repo(text)
    except UsageError:
        return
    assert RepoId.of(repo.kind, repo.name) == repo
