"""What is left of the Hub's quota decides when the next request goes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfmirror.errors import RateLimited
from hfmirror.sources.quota import GAP_S, LOW, MARGIN_S, SOON_S, Quotas
from hfmirror.sources.reply import Headers

HUB, OTHER = "https://hub.test", "https://other.test"
FILE, ANSWER = "/owner/name/resolve/main/a.bin", "/api/models/owner/name"
QUOTA, WINDOW_S = 3000, 300


def told(left: int, reset_s: int, bucket: str = "resolvers", quota: int | None = QUOTA) -> Headers:
    fields = {"ratelimit": f'"{bucket}";r={left};t={reset_s}'}
    if quota is not None:
        fields["ratelimit-policy"] = f'"fixed window";"{bucket}";q={quota};w={WINDOW_S}'
    return Headers(fields)


@pytest.fixture
def quotas() -> Quotas:
    return Quotas()


def heard(quotas: Quotas, headers: Headers, now: float = 0.0, path: str = FILE) -> None:
    quotas.heard(HUB, HUB + path, headers, now)


def claim(quotas: Quotas, now: float = 0.0, path: str = FILE, place: str = HUB) -> float:
    return quotas.claim(place, place + path, now)


def test_nothing_is_waited_for_before_anything_is_told(quotas: Quotas) -> None:
    assert claim(quotas) == 0.0


def test_while_much_is_left_nothing_is_waited_for(quotas: Quotas) -> None:
    heard(quotas, told(2999, 300))
    assert {claim(quotas) for _ in range(2500)} == {0.0}


def test_what_is_left_at_the_end_is_spread_over_the_window(quotas: Quotas) -> None:
    """Whoever asks as fast as he may is at the end of the window before he is at the end of the quota."""
    heard(quotas, told(300, 299))
    now, asked = 0.0, 0
    while now < 299.0:
        now += claim(quotas, now)
        asked += 1
    assert 200 <= asked <= 300
    assert now >= 299.0


def test_many_at_once_are_spread_as_well(quotas: Quotas) -> None:
    heard(quotas, told(100, 99))
    waits: list[float] = []
    with pytest.raises(RateLimited) as caught:
        waits.extend(claim(quotas) for _ in range(16))
    assert waits == sorted(waits)
    assert waits[0] == 0.0
    assert len(waits) == pytest.approx(GAP_S, abs=1.5), "about one a second"
    assert caught.value.retry_after_s is not None
    assert GAP_S < caught.value.retry_after_s < GAP_S + 2, "nobody sleeps for long; who comes later is told when"


def test_a_single_request_is_not_made_to_wait(quotas: Quotas) -> None:
    heard(quotas, told(5, 290))
    assert claim(quotas) == 0.0
    assert claim(quotas) == GAP_S, "nor the next for so long that one takes it for hanging"
    assert claim(quotas, now=100.0) == 0.0


def test_with_none_left_nothing_is_asked_until_the_reset(quotas: Quotas) -> None:
    heard(quotas, told(0, 23))
    for now in (0.0, 10.0, 23.5):
        with pytest.raises(RateLimited) as caught:
            claim(quotas, now)
        assert caught.value.retry_after_s == 23 + MARGIN_S - now
    assert claim(quotas, 23 + MARGIN_S) == 0.0


def test_it_counts_by_itself_what_is_under_way(quotas: Quotas) -> None:
    heard(quotas, told(3, 100, quota=3))
    for _ in range(3):
        claim(quotas)
    with pytest.raises(RateLimited):
        claim(quotas)


def test_answers_that_overtake_each_other_give_nothing_back(quotas: Quotas) -> None:
    heard(quotas, told(2, 100, quota=10))
    heard(quotas, told(5, 101, quota=10))
    claim(quotas)
    claim(quotas)
    with pytest.raises(RateLimited):
        claim(quotas)


def test_what_others_take_is_heeded(quotas: Quotas) -> None:
    heard(quotas, told(2000, 200))
    heard(quotas, told(0, 199))
    with pytest.raises(RateLimited):
        claim(quotas)


def test_a_new_window_begins_anew(quotas: Quotas) -> None:
    heard(quotas, told(0, 20))
    heard(quotas, told(2999, 300), now=25.0)
    assert claim(quotas, now=25.0) == 0.0


def test_each_bucket_and_each_origin_has_its_own(quotas: Quotas) -> None:
    heard(quotas, told(0, 100))
    heard(quotas, told(400, 100, "api", 500), path=ANSWER)
    assert claim(quotas, path=ANSWER) == 0.0
    assert claim(quotas, path="/") == 0.0
    assert claim(quotas, place=OTHER) == 0.0
    with pytest.raises(RateLimited):
        claim(quotas)


def test_the_name_that_is_told_decides_what_is_shared(quotas: Quotas) -> None:
    heard(quotas, told(50, 100, "all", 50), path=ANSWER)
    heard(quotas, told(0, 99, "all", 50))
    with pytest.raises(RateLimited):
        claim(quotas, path=ANSWER)


def test_without_the_policy_a_usual_quota_is_assumed(quotas: Quotas) -> None:
    heard(quotas, told(499, 100, quota=None))
    assert {claim(quotas) for _ in range(400)} == {0.0}
    assert [claim(quotas) for _ in range(51)][-1] > 0.0


@pytest.mark.parametrize("text", ["", "nonsense", '"x";r=;t=5', '"x";r=-1;t=5', "r=0;t=9", '"x";r=0;t=99999999999'])
def test_a_header_that_makes_no_sense_is_passed_over(quotas: Quotas, text: str) -> None:
    heard(quotas, Headers({"ratelimit": text}))
    assert claim(quotas) == 0.0


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 60), st.floats(0, 30)), max_size=30))
def test_no_wait_is_longer_than_the_window_or_the_queue(reports: list[tuple[int, int, float]]) -> None:
    quotas, now = Quotas(), 0.0
    for asked, (left, reset_s, pause_s) in enumerate(reports, 1):
        now += pause_s
        heard(quotas, told(left, reset_s, quota=int(50 / LOW)), now)
        try:
            assert 0.0 <= claim(quotas, now) <= asked * GAP_S
        except RateLimited as error:
            assert error.retry_after_s is not None
            assert 0.0 < error.retry_after_s <= 60 + MARGIN_S


def test_what_is_under_way_may_be_all_that_is_left(quotas: Quotas) -> None:
    """The first answer of many knows nothing of the others; the next ones will tell."""
    for _ in range(10):
        claim(quotas)
    heard(quotas, told(9, 300, quota=10))
    with pytest.raises(RateLimited) as caught:
        claim(quotas)
    assert caught.value.retry_after_s == SOON_S
    for left in range(8, 3, -1):
        heard(quotas, told(left, 300, quota=10))
    with pytest.raises(RateLimited):
        claim(quotas)


def test_a_request_that_came_to_nothing_is_under_way_no_more(quotas: Quotas) -> None:
    heard(quotas, told(2, 300, quota=2))
    for _ in range(20):
        claim(quotas)
        heard(quotas, Headers({}))
    assert claim(quotas, 1000.0) == 0.0
