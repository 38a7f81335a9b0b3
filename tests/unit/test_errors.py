"""The vocabulary of failure."""

from __future__ import annotations

import inspect

import pytest

from hfmirror import errors
from hfmirror.cli import table
from hfmirror.cli.exits import say
from hfmirror.errors import FAMILIES, MirrorError, Unexpected, first_by_table, human

SAMPLES: list[MirrorError] = [
    errors.UsageError("no words", "say more"),
    errors.RepoNotFound("acme/x", "the hub"),
    errors.RevisionNotFound("acme/x", "v9"),
    errors.EntryNotFound("acme/x", "a.bin"),
    errors.NothingFits(3, "acme/x"),
    errors.NothingMatches("acme/x", "*.gguf", ("a.bin",)),
    errors.AccessDenied("acme/x", "go away"),
    errors.BadToken("acme/x"),
    errors.GatedRepo("acme/x", "https://hub/acme/x"),
    errors.DisabledRepo("acme/x"),
    errors.Unavailable("hub", "503"),
    errors.Unreachable("hub", "no"),
    errors.TimedOut("hub", "slow"),
    errors.RateLimited("hub", 7.0),
    errors.RateLimited("hub", None),
    errors.TooBusy("this mirror", "brings in 64 files already"),
    errors.Intercepted("hub", "a page"),
    errors.Untrusted("hub", "no trusted TLS connection"),
    errors.LinkExpired("cdn", "403"),
    errors.RangesIgnored("hub"),
    errors.OutOfPatience("hub", "503", 900.0, 10, 20),
    errors.NotHere("acme/x"),
    errors.DigestMismatch("a.bin", "sha256:0", "sha256:1", "hub"),
    errors.DamagedObject(1, 2),
    errors.DamagedObject(1, 2, "export it again"),
    errors.DamagedBundle("objects/x", "is missing"),
    errors.BadSignature("the bundle", "is not signed"),
    errors.UnsafePath("../x", "it leaves"),
    errors.UnsafePickle("owner/name", "model.pkl", "would run posix.system when it is loaded"),
    errors.BadManifest("here", "is no JSON"),
    errors.StoreError("here", "broken"),
    errors.StoreLocked("here", "held"),
    errors.StoreTooNew("here", 9),
    errors.StoreTooNew("here", 9, "2.1"),
    errors.StoreElsewhere("here", "there", arriving=False),
    errors.StoreElsewhere("here", "there", arriving=True),
    errors.DiskFull("here", 10, 1),
    errors.QuotaFull("/data", 5_000_000_000, 500_000_000_000, 20_000_000_000),
    errors.BundleFull("there", 10, 1),
    errors.DiskGone("there"),
    errors.FileTooLarge("there", 2**32),
    errors.LinkImpossible("here", "no"),
    errors.ProtocolError("hub", "no commit"),
    Unexpected(ValueError("x")),
]
CLASSES = {
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, MirrorError) and kind.__module__ == errors.__name__
}


def test_every_family_has_an_exit_code_of_its_own() -> None:
    codes = [family.exit_code for family in FAMILIES]
    assert codes == sorted(set(codes))
    assert not {0, 1, 130} & set(codes)


def test_every_error_belongs_to_one_family_and_exits_as_it_does() -> None:
    for kind in CLASSES - {MirrorError, Unexpected}:
        families = [family for family in FAMILIES if issubclass(kind, family)]
        assert len(families) == 1, kind
        assert kind.exit_code == families[0].exit_code


def test_every_error_is_tried_here() -> None:
    assert {type(error) for error in SAMPLES} | {MirrorError, errors.NotFound, errors.IntegrityError} >= CLASSES


@pytest.mark.parametrize("error", SAMPLES, ids=lambda error: type(error).__name__)
def test_every_error_is_a_sentence_on_one_line(error: MirrorError) -> None:
    for text in (str(error), error.hint()):
        assert "\n" not in text
        assert "None" not in text
        assert "object at 0x" not in text
    assert str(error)


def test_what_strangers_wrote_cannot_steer_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    say("a\x1b[2J\x9b\x07\rb\n\tc 中")
    table.show(("HEAD",), [("x\x1b\ny\x85z",)])
    out, err = capsys.readouterr()
    assert err == "hfmirror: a?[2J???b\n\tc 中\n"
    assert out == "HEAD\nx? y?z\n"


def test_only_what_may_pass_is_worth_trying_again() -> None:
    assert {kind for kind in CLASSES if kind.retryable} == {
        kind for kind in CLASSES if issubclass(kind, errors.Unavailable) and kind is not errors.Untrusted
    }


def test_the_first_in_the_table_names_the_exit_code() -> None:
    assert first_by_table([SAMPLES[-2], SAMPLES[18], SAMPLES[1]]) is SAMPLES[1]


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (1_500_000_000, "1.5 GB"), (999_600, "1 MB"), (2.5e12, "2.5 TB")],
)
def test_sizes_are_written_as_the_hubs_pages_do(size: float, text: str) -> None:
    assert human(size) == text
