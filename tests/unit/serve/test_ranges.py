"""Which bytes are sent, for every way to ask for them (RFC 9110; protocol appendix A)."""

from __future__ import annotations

from email import message_from_bytes

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hfmirror.model import Span
from hfmirror.serve.grammar.ranges import (
    LONGEST,
    MOST_PARTS,
    Parts,
    Unsatisfiable,
    Whole,
    content_range,
    matches,
    multipart,
    wanted,
)

ETAG = '"0123"'


def parts(*bounds: tuple[int, int], open_ended: bool = False) -> Parts:
    return Parts(tuple(Span(start, stop) for start, stop in bounds), open_ended)


@pytest.mark.parametrize(
    ("header", "answer"),
    [
        ("bytes=0-0", parts((0, 1))),
        ("bytes=2-5", parts((2, 6))),
        ("bytes=0-99", parts((0, 100))),
        ("bytes=0-100", parts((0, 100))),
        ("bytes=90-9999999", parts((90, 100))),
        ("bytes=0-" + "9" * 3000, parts((0, 100))),
        ("bytes=99-99", parts((99, 100))),
        ("bytes=007-0009", parts((7, 10))),
        ("bytes=-8", parts((92, 100))),
        ("bytes=-100", parts((0, 100))),
        ("bytes=-500", parts((0, 100))),
        ("bytes=5-", parts((5, 100), open_ended=True)),
        ("bytes=0-", parts((0, 100), open_ended=True)),
        ("bytes=99-", parts((99, 100), open_ended=True)),
        ("Bytes=1-2", parts((1, 3))),
        (" bytes=1-2 ", parts((1, 3))),
        # several
        ("bytes=0-1,5-6", parts((0, 2), (5, 7))),
        ("bytes=5-6, 0-1", parts((5, 7), (0, 2))),
        ("bytes=0-1 ,\t5-6,,", parts((0, 2), (5, 7))),
        ("bytes=0-1,-2", parts((0, 2), (98, 100))),
        ("bytes=0-1,90-", parts((0, 2), (90, 100))),
        ("bytes=0-4,3-9", parts((0, 10))),
        ("bytes=0-4,5-9", parts((0, 10))),
        ("bytes=5-9,50-59,0-4", parts((0, 10), (50, 60))),
        ("bytes=0-4,20-24,3-21", parts((0, 25))),
        ("bytes=0-1,200-300", parts((0, 2))),
        ("bytes=200-,5-6", parts((5, 7))),
        # nothing there
        ("bytes=100-", Unsatisfiable()),
        ("bytes=100-200", Unsatisfiable()),
        ("bytes=" + "9" * 3000 + "-", Unsatisfiable()),
        ("bytes=-0", Unsatisfiable()),
        ("bytes=100-,-0,200-300", Unsatisfiable()),
        # ignored
        ("", Whole()),
        ("bytes", Whole()),
        ("bytes=", Whole()),
        ("bytes=,", Whole()),
        ("bytes=-", Whole()),
        ("bytes=--5", Whole()),
        ("bytes=5", Whole()),
        ("bytes=5-2", Whole()),
        ("bytes=0-1,5-2", Whole()),
        ("bytes=0-1,x", Whole()),
        ("bytes=a-b", Whole()),
        ("bytes=0-1-2", Whole()),
        ("bytes=0x1-2", Whole()),
        ("bytes=+1-2", Whole()),
        ("bytes=1_0-20", Whole()),
        ("bytes=1 - 2", Whole()),
        ("bytes=\u0663-\u0664", Whole()),
        ("bytes =0-1", Whole()),
        ("bytes: 0-1", Whole()),
        ("items=0-1", Whole()),
        ("0-1", Whole()),
        ("bytes=0-1;q=1", Whole()),
        # out of all proportion
        ("bytes=0-,0-", Whole()),
        ("bytes=0-99,0-0", Whole()),
        ("bytes=" + ",".join(f"{at}-{at}" for at in range(0, 100, 2)), Whole()),
        ("bytes=" + "0-0," * 90, Whole()),
        ("bytes=" + "," * 90 + "0-0", Whole()),
        ("bytes=0-" + "9" * LONGEST, Whole()),
        ("bytes=0-0" + " " * LONGEST, Whole()),
    ],
    ids=lambda value: ascii(value)[:50],
)
def test_a_range_of_a_hundred_bytes(header: str, answer: object) -> None:
    assert wanted(header, None, ETAG, 100) == answer


def test_without_a_range_the_file_is_wanted_whole() -> None:
    assert wanted(None, None, ETAG, 100) == Whole()
    assert wanted(None, '"other"', ETAG, 100) == Whole()


@pytest.mark.parametrize("header", ["bytes=0-0", "bytes=0-", "bytes=-1", "bytes=5-9", "nonsense"])
def test_an_empty_file_is_sent_whole_whatever_is_asked(header: str) -> None:
    assert wanted(header, None, ETAG, 0) == Whole()


def test_a_handful_of_ranges_is_a_wish_and_more_are_none() -> None:
    def asked(count: int) -> str:
        return "bytes=" + ",".join(f"{10 * at}-{10 * at}" for at in range(count))

    some = wanted(asked(MOST_PARTS), None, ETAG, 10_000)
    assert isinstance(some, Parts)
    assert len(some.spans) == MOST_PARTS
    assert wanted(asked(MOST_PARTS + 1), None, ETAG, 10_000) == Whole()


def test_ranges_that_join_count_as_one() -> None:
    header = "bytes=" + ",".join(f"{10 * at}-{10 * at + 9}" for at in range(40))
    assert wanted(header, None, ETAG, 10_000) == parts((0, 400))


@pytest.mark.parametrize(
    ("condition", "still_the_same"),
    [
        (None, True),
        (ETAG, True),
        (f" {ETAG} ", True),
        (f"W/{ETAG}", False),
        ('"other"', False),
        ("0123", False),
        ("Tue, 02 Jan 2024 03:04:05 GMT", False),
        ("*", False),
        ("", False),
    ],
)
def test_a_part_is_sent_only_of_the_file_the_client_began(condition: str | None, still_the_same: bool) -> None:
    answer = wanted("bytes=5-", condition, ETAG, 100)
    assert answer == (parts((5, 100), open_ended=True) if still_the_same else Whole())


specs = st.one_of(
    st.builds("{}-{}".format, st.integers(0, 300), st.integers(0, 300)),
    st.builds("{}-".format, st.integers(0, 300)),
    st.builds("-{}".format, st.integers(0, 300)),
)
headers = st.one_of(
    st.text(),
    st.text().map("bytes=".__add__),
    st.text("0123456789-, ").map("bytes=".__add__),
    st.lists(specs, max_size=70).map(lambda texts: "bytes=" + ",".join(texts)),
)


@given(headers, st.integers(0, 200))
@example("bytes=0-0,-1", 1)
def test_nothing_is_sent_twice_or_beyond_the_end(header: str, size: int) -> None:
    answer = wanted(header, None, ETAG, size)
    if isinstance(answer, Parts):
        assert 0 < len(answer.spans) <= MOST_PARTS
        assert all(0 <= span.start < span.stop <= size for span in answer.spans)
        held = [at for span in answer.spans for at in range(span.start, span.stop)]
        assert len(held) == len(set(held))
        if answer.open_ended:
            assert answer.spans[0].stop == size
            assert len(answer.spans) == 1
    if isinstance(answer, Unsatisfiable):
        assert size > 0


@given(st.lists(specs, min_size=1, max_size=5), st.integers(1, 200))
def test_all_that_is_asked_for_and_there_is_sent(texts: list[str], size: int) -> None:
    answer = wanted("bytes=" + ",".join(texts), None, ETAG, size)
    if isinstance(answer, Parts):
        sent = {at for span in answer.spans for at in range(span.start, span.stop)}
        assert sent == set().union(*(_asked(text, size) for text in texts))


def _asked(text: str, size: int) -> set[int]:
    first, _, last = text.partition("-")
    if not first:
        return set(range(max(size - int(last), 0), size))
    return set(range(int(first), min(int(last) + 1, size) if last else size))


# -- what the client has already -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "same"),
    [
        (None, False),
        (ETAG, True),
        (f"W/{ETAG}", True),
        (f'"a", {ETAG}', True),
        (f'"a",W/{ETAG} , "b"', True),
        ("*", True),
        (" * ", True),
        ('"other"', False),
        ('"a", "b"', False),
        ("0123", False),
        ("", False),
        ('"01234"', False),
        (f'"x, {ETAG}' + '"' * 3, False),
        (f"{ETAG}," + '"a",' * LONGEST, False),
    ],
    ids=lambda value: ascii(value)[:50],
)
def test_what_the_client_has_need_not_be_sent(header: str | None, same: bool) -> None:
    assert matches(header, ETAG) is same


# -- several parts in one body ---------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 50)), min_size=1, max_size=5))
def test_a_body_of_parts_reads_back(bounds: list[tuple[int, int]]) -> None:
    content = bytes(33 + at % 90 for at in range(100))
    spans = [Span(start, start + size) for start, size in bounds]
    frame = multipart(spans, len(content), "text/plain", "MARK")
    body = b"".join(head + content[span.start : span.stop] for head, span in zip(frame.heads, spans, strict=True))
    body += frame.tail
    assert len(body) == frame.length

    message = message_from_bytes(b"Content-Type: multipart/byteranges; boundary=MARK\r\n\r\n" + body)
    assert message.is_multipart()
    assert not message.defects
    read = [part for part in message.walk() if not part.is_multipart()]
    assert [part.get_content_type() for part in read] == ["text/plain"] * len(spans)
    assert [part["Content-Range"] for part in read] == [content_range(span, len(content)) for span in spans]
    assert [part.get_payload() for part in read] == [
        content[span.start : span.stop].decode("latin-1") for span in spans
    ]


def test_the_place_of_a_part_and_of_none() -> None:
    assert content_range(Span(2, 6), 100) == "bytes 2-5/100"
    assert content_range(None, 100) == "bytes */100"
