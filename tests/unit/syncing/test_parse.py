"""What a list may say, and that a slip of the pen is named."""

from __future__ import annotations

import pytest

from hfmirror.errors import UsageError
from hfmirror.model import Kind, RepoId, Selection
from hfmirror.syncing.parse import EVERY_S, NOT_YET, OF_A_REPO, TOP, Wish, parse
from hfmirror.timetable import Timetable
from hfmirror.transfer.manner import Manner
from hfmirror.transfer.patience import PATIENCE_S

NAME = RepoId(Kind.MODEL, "owner/name")
LEAST = '[[repo]]\nname = "owner/name"\n'


def test_the_least_list_means_main_and_everything() -> None:
    found = parse(LEAST, "mirror.toml")
    assert found.wishes == (Wish(NAME, "main", Selection(), None),)
    assert (found.every_s, found.manner) == (EVERY_S, Manner(None, PATIENCE_S))


def test_everything_that_can_be_said() -> None:
    found = parse(
        """
        every = "90m"
        patience = 60
        connections = 4

        [[repo]]
        name = "https://huggingface.co/datasets/owner/name"
        revisions = ["main", "refs/convert/parquet"]
        include = ["*.json", "*.parquet"]
        exclude = "old/*"
        keep = 2

        [[repo]]
        name = "owner/name@v1.0"
        """,
        "mirror.toml",
    )
    rows = RepoId(Kind.DATASET, "owner/name")
    selection = Selection(("*.json", "*.parquet"), ("old/*",))
    assert found.wishes == (
        Wish(rows, "main", selection, 2),
        Wish(rows, "refs/convert/parquet", selection, 2),
        Wish(NAME, "v1.0", Selection(), None),
    )
    assert (found.every_s, found.manner) == (5400.0, Manner(4, 60.0))


@pytest.mark.parametrize(("said", "seconds"), [('"45s"', 45), ('"1.5h"', 5400), ('"2 d"', 172_800), ("30", 30)])
def test_a_time_has_a_unit_or_is_seconds(said: str, seconds: float) -> None:
    assert parse(f"every = {said}\n{LEAST}", "mirror.toml").every_s == seconds


REFUSED = [
    ("[[repo]", "is no TOML", "keep-a-list"),
    ("", "names no repo", "[[repo]]"),
    ('repo = "owner/name"', "list of tables", "[[repo]]"),
    ("[[repo]]\nkeep = 1", "repo 1 has no name", "name ="),
    (LEAST + 'inclued = ["*.json"]', "'inclued'", "did you mean include"),
    (LEAST + "kept = 1", "'kept'", "did you mean keep"),
    (LEAST + "colour = 1", "'colour'", "known are name"),
    (LEAST + 'every = "6h"', "'every'", "above the first [[repo]]"),
    ("keep = 2\n" + LEAST, "'keep'", "below a [[repo]]"),
    (LEAST + "keep = 0", "`keep`", "keep = 2"),
    (LEAST + "keep = true", "`keep`", "keep = 2"),
    (LEAST + 'keep = "2"', "`keep`", "keep = 2"),
    (LEAST + "include = [1]", "`include`", "include ="),
    (LEAST + "revisions = []", "`revisions` is empty", "main"),
    (LEAST + 'revision = "a"\nrevisions = ["b"]', "both", "one of the two"),
    (LEAST + 'revision = "../x"', "no revision", "branch"),
    ('[[repo]]\nname = "owner/name@v1"\nrevision = "v2"', "names a revision", "one of the two"),
    ('[[repo]]\nname = "no such name"', "does not name a repo", "owner/name"),
    (LEAST + LEAST, "owner/name@main twice", "one [[repo]]"),
    ("every = 0\n" + LEAST, "`every` must be at least", "6h"),
    ('every = "6 hours"\n' + LEAST, "`every` is no time", "6h"),
    ("patience = -1\n" + LEAST, "`patience` is no time", "90s"),
    ("patience = nan\n" + LEAST, "`patience` is no time", "90s"),
    ("connections = 129\n" + LEAST, "at most 128", "leave it out"),
    ('limit_rate = "1MB"\n' + LEAST, "`limit_rate`: '1MB' is no rate", "2M"),
    ("limit_rate = 5\n" + LEAST, "`limit_rate` must be a text", "limit_rate ="),
    (LEAST + 'limit_rate = "1M"', "unknown key 'limit_rate'", "above the first"),
    ('rate = "1M"\n' + LEAST, "a rate is written otherwise", "limit_rate ="),
    ('timetable = "22-06"\n' + LEAST, "no hours but those of its rate", "cron"),
    (LEAST + 'source = "http://lab-box"', "cannot say whom to ask", "HF_ENDPOINT"),
    ("sources = [1]\n" + LEAST, "`sources` must be a text or a list", "sources ="),
    (LEAST + 'sources = ["/media/stick"]', "unknown key 'sources'", "above the first"),
]


@pytest.mark.parametrize(("text", "problem", "advice"), REFUSED, ids=[row[1] for row in REFUSED])
def test_what_makes_no_sense_is_refused_by_name(text: str, problem: str, advice: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse(text, "mirror.toml")
    assert problem in str(refused.value)
    assert advice in refused.value.hint()


def test_no_key_is_both_known_and_not_there_yet() -> None:
    assert not set(NOT_YET) & {*TOP, *OF_A_REPO}


def test_a_list_may_name_where_the_bytes_may_come_from_too() -> None:
    assert parse('sources = ["http://lab-box", "/media/stick"]\n' + LEAST, "mirror.toml").sources == (
        "http://lab-box",
        "/media/stick",
    )
    assert parse(LEAST, "mirror.toml").sources == ()


def test_a_list_may_say_how_much_may_come_and_when() -> None:
    rates = "08:00 2M, 19:00 off"
    assert parse(f'limit_rate = "{rates}"\n{LEAST}', "mirror.toml").limit == Timetable.parse(rates, "")
    assert parse(LEAST, "mirror.toml").limit is None
