"""What each commit takes for itself and with others, when it was used, and what its card says."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hfmirror import codec
from hfmirror.care import card, sets, skim
from hfmirror.care.card import Card
from hfmirror.errors import BadManifest
from hfmirror.mirror import Mirror
from hfmirror.model import CommitId, Head, Kind, Manifest, Pin, RepoId, Selection
from hfmirror.settings import Settings
from tests.contracts.scene import entry

if TYPE_CHECKING:
    from pathlib import Path

ONE, OTHER = RepoId(Kind.MODEL, "acme/one"), RepoId(Kind.DATASET, "acme/other")
CONTENTS = [bytes([65 + number]) * 10**number for number in range(4)]


def keep(mirror: Mirror, pin: Pin, *names: str, held: str = "", about: dict[str, object] | None = None) -> None:
    """A commit with a file for each letter, of the content that the letter stands for; some of them here."""
    listing = Manifest.of(pin.repo, pin.commit, [entry(CONTENTS["ABCD".index(name[0])], name) for name in names])
    mirror.store.keep(pin, listing)
    with mirror.store.batch() as batch:
        for one in listing.entries:
            if one.path[0] in held:
                batch.add(one, CONTENTS["ABCD".index(one.path[0])])
    mirror.store.publish(pin, Head(pin.commit, about or {}, "a hub"))


def pin(repo: RepoId, digit: str, *include: str, demand: bool = False) -> Pin:
    return Pin(repo, CommitId(digit * 40), "main", Selection(include), demand)


@pytest.fixture
def mirror(tmp_path: Path) -> Mirror:
    return Mirror(Settings(tmp_path / "mirror"))


def test_what_is_unique_and_what_is_shared(mirror: Mirror) -> None:
    keep(mirror, pin(ONE, "1"), "A", "B", "B2", "C", held="ABC")
    keep(mirror, pin(ONE, "2"), "B", "C", "D", held="BC")
    keep(mirror, pin(OTHER, "3"), "C", held="C")
    first, second, third = sorted(mirror.inventory(), key=lambda one: one.commit)
    assert (first.files, first.held, first.wanted, first.size) == (4, 4, 121, 121)
    assert (first.once, first.unique, first.shared, first.repo_unique) == (111, 1, 110, 11)
    assert (second.files, second.held, second.wanted, second.size) == (3, 2, 1110, 110)
    assert (second.unique, second.shared, second.repo_unique, second.complete) == (0, 110, 11, False)
    assert (third.unique, third.shared, third.repo_unique, third.complete) == (0, 100, 0, True)


def test_a_demand_wants_what_is_here(mirror: Mirror) -> None:
    keep(mirror, pin(ONE, "1", demand=True), "A", "B", held="A")
    (one,) = mirror.inventory()
    assert (one.files, one.held, one.asked, one.complete) == (1, 1, False, True)


def test_two_wishes_for_one_commit_are_one_row(mirror: Mirror) -> None:
    keep(mirror, pin(ONE, "1", "A"), "A", "B", "C", held="AB")
    keep(mirror, pin(ONE, "1", "B", "A"), "A", "B", "C")
    (one,) = mirror.inventory()
    assert (one.files, one.size) == (2, 11)


def test_a_commit_without_its_listing_is_not_complete(mirror: Mirror) -> None:
    keep(mirror, pin(ONE, "1"), "A", held="A")
    mirror.store.layout.manifest(ONE, CommitId("1" * 40)).unlink()
    (one,) = mirror.inventory()
    assert (one.listed, one.complete, one.files) == (False, False, 0)


def test_what_was_unpinned_is_not_listed(mirror: Mirror) -> None:
    keep(mirror, pin(ONE, "1"), "A", held="A")
    mirror.unpin(ONE, ["1" * 40])  # type: ignore[list-item]
    assert mirror.inventory() == []


@pytest.mark.parametrize(
    "rows",
    [
        "nothing",
        [{"path": "a", "size": "1", "digest": "sha256:" + "0" * 64}],
        [{"path": 5, "size": 1, "digest": "sha256:" + "0" * 64}],
        [{"path": "a", "size": 1, "digest": ["x"]}],
        [{"path": "a", "size": 1}],
        ["a"],
        None,
    ],
)
def test_a_garbled_listing_is_not_believed(mirror: Mirror, rows: object) -> None:
    keep(mirror, pin(ONE, "1"), "A", held="A")
    path = mirror.store.layout.manifest(ONE, CommitId("1" * 40))
    path.chmod(0o644)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"entries": rows}))
    for look in (mirror.inventory, mirror.status, lambda: mirror.sweep(0.0, dry=False)):
        with pytest.raises(BadManifest):
            look()
    assert list(mirror.store.objects())


def test_the_listing_of_another_commit_is_not_believed(mirror: Mirror) -> None:
    keep(mirror, pin(ONE, "1"), "A", held="A")
    path = mirror.store.layout.manifest(ONE, CommitId("1" * 40))
    path.chmod(0o644)
    path.write_text(path.read_text().replace("1" * 40, "2" * 40))
    with pytest.raises(BadManifest):
        mirror.inventory()


names = st.lists(st.sampled_from(["A", "B/x", "B/y", "C", "D.json"]), min_size=1, max_size=5, unique=True)
includes = st.lists(st.sampled_from(["A", "B/", "*.json", "C", "nothing"]), max_size=3)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(names, includes, st.text("ABCD"), st.booleans()), max_size=4), st.data())
def test_a_light_look_sees_what_a_thorough_one_does(
    tmp_path_factory: pytest.TempPathFactory, commits: list[tuple[list[str], list[str], str, bool]], data: st.DataObject
) -> None:
    mirror = Mirror(Settings(tmp_path_factory.mktemp("light") / "mirror"))
    for number, (paths, patterns, held, demand) in enumerate(commits):
        keep(mirror, pin(ONE if number % 2 else OTHER, str(number), *patterns, demand=demand), *paths, held=held)
    status, pins = mirror.status(), list(mirror.store.pins())
    assert status.wanted == sets.wanted(mirror.store, pins)
    assert status.held == set(mirror.store.objects())
    inventory = mirror.inventory()
    assert [(one.repo, one.commit) for one in inventory] == [(each.repo, each.commit) for each in pins]
    for one, each in zip(inventory, pins, strict=True):
        chosen = list(sets.selected(mirror.store, each))
        here = [found for found in chosen if mirror.store.has(found.digest)]
        others = {f.digest for other in pins if other != each for f in sets.selected(mirror.store, other)}
        alone = {found.digest: found.size for found in here if found.digest not in others}
        assert (one.files, one.held) == (len(chosen), len(here))
        assert (one.wanted, one.size) == (sum(f.size for f in chosen), sum(f.size for f in here))
        assert one.unique == sum(alone.values())
    assert sum(skim.sizes(mirror.store).values()) == mirror.store.size_of(mirror.store.objects())


# The card


def test_the_hubs_word_comes_first_and_the_card_stands_in(mirror: Mirror, tmp_path: Path) -> None:
    keep(mirror, pin(ONE, "1"), "A", held="A", about={"cardData": {"license": "mit"}, "gated": "manual", "tags": ["x"]})
    assert mirror.inventory()[0].card == Card("mit", gated=True)
    readme = b"---\nlicense: apache-2.0\nextra_gated_prompt: please\n---\n# a model\n"
    one = entry(readme, "README.md")
    listing = Manifest.of(OTHER, CommitId("2" * 40), [one])
    mirror.store.keep(Pin(OTHER, listing.commit, "main"), listing)
    assert mirror.inventory()[0].card == Card(), "it is not here"
    with mirror.store.batch() as batch:
        batch.add(one, readme)
    (card_,) = [each.card for each in mirror.inventory() if each.repo == OTHER]
    assert card_ == Card("apache-2.0", gated=True)


@pytest.mark.parametrize(
    ("about", "licence"),
    [
        ({"cardData": {"license": ["mit", "apache-2.0"]}}, "mit apache-2.0"),
        ({"cardData": {"license": "other", "license_name": "qwen"}}, "other (qwen)"),
        ({"cardData": None, "tags": ["a", "license:gpl-3.0", 5]}, "gpl-3.0"),
        ({"cardData": "?", "tags": None}, ""),
        ({}, ""),
    ],
)
def test_a_description_is_read_the_same_in_both_ways(about: dict[str, object], licence: str) -> None:
    siblings = [{"rfilename": '"cardData": {"license": "no"}\n"gated": true'}]
    whole = {**about, "gated": False, "siblings": siblings}
    assert card.of_description(whole) == Card(licence)
    assert card.of_text(codec.dump(whole)) == Card(licence)


def test_a_description_that_is_torn_says_nothing() -> None:
    assert card.of_text('{\n"cardData": {"lic') == Card()


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("---\nlicense: mit\n---\n", {"license": ["mit"]}),
        ("\ufeff---\r\nlicense: 'mit' # free\r\n...\r\n", {"license": ["mit"]}),
        ("---\nlicense:\n- mit\n  - \"x y\"\ntags: [a, 'b']\n---", {"license": ["mit", "x y"], "tags": ["a", "b"]}),
        ("---\n# a remark\nbase:\n  deep: 5\nname: # none\n---\n", {"base": [], "name": []}),
        ("---\nlicense: mit\n", {}),
        ("# no front matter\n---\nlicense: mit\n---\n", {}),
        ("", {}),
    ],
)
def test_front_matter(text: str, fields: dict[str, list[str]]) -> None:
    assert card.front_matter(text) == fields


def test_a_licence_is_fit_for_a_terminal(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("---\nlicense: \x1b[31mmit\n---\n")
    assert card.of_readme(readme).licence == "?[31mmit"
    assert card.of_description({"cardData": {"license": ["a\x9b", "b\nc"]}}).licence == "a? b?c"


def test_a_card_that_cannot_be_read_says_nothing(tmp_path: Path) -> None:
    assert card.of_readme(tmp_path / "none") == Card()
