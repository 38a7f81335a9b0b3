"""What an address asks for: every client's spelling of it, and every stranger's."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hfmirror.errors import UnsafePath
from hfmirror.model import Kind, RepoId, entry_path
from hfmirror.serve.grammar import fields, revisions
from hfmirror.serve.grammar.questions import (
    AuthCheck,
    BadRequest,
    Blob,
    Commits,
    Harnesses,
    Health,
    Home,
    Listing,
    NoSuch,
    NoSuchEntry,
    NoSuchRepo,
    NoSuchRevision,
    Page,
    PathsInfo,
    Place,
    Preflight,
    Raw,
    Ready,
    Refs,
    Refused,
    RepoInfo,
    Resolve,
    Route,
    Telemetry,
    Tree,
    TreeSize,
    ValidateYaml,
    WhoAmI,
    resolve_path,
)
from hfmirror.serve.grammar.routes import LONGEST_TARGET, parse

if TYPE_CHECKING:
    from collections.abc import Callable

TINY = RepoId(Kind.MODEL, "acme/tiny")
GPT2 = RepoId(Kind.MODEL, "gpt2")
SQUAD = RepoId(Kind.DATASET, "squad")
DATA = RepoId(Kind.DATASET, "acme/data")
SPACE = RepoId(Kind.SPACE, "acme/space")
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def model(name: str) -> RepoId:
    return RepoId(Kind.MODEL, name)


# -- every question --------------------------------------------------------------------------------

GETS: list[tuple[str, Route]] = [
    # files
    ("/acme/tiny/resolve/main/config.json", Resolve(TINY, "main", "config.json")),
    ("/acme/tiny/resolve/main/sub/deep/x.bin", Resolve(TINY, "main", "sub/deep/x.bin")),
    ("/acme/tiny/resolve/main/x.bin?download=true", Resolve(TINY, "main", "x.bin")),
    ("/gpt2/resolve/main/config.json", Resolve(GPT2, "main", "config.json")),
    ("/datasets/acme/data/resolve/main/x.csv", Resolve(DATA, "main", "x.csv")),
    ("/datasets/squad/resolve/main/x.csv", Resolve(SQUAD, "main", "x.csv")),
    ("/spaces/acme/space/resolve/main/app.py", Resolve(SPACE, "main", "app.py")),
    (f"/acme/tiny/resolve/{COMMIT}/a", Resolve(TINY, COMMIT, "a")),
    ("/acme/tiny/resolve/abcdef0/a", Resolve(TINY, "abcdef0", "a")),
    (f"/api/resolve-cache/models/acme/tiny/{COMMIT}/a/b?%2Fx=&etag=%22e%22", Resolve(TINY, COMMIT, "a/b")),
    (f"/api/resolve-cache/models/gpt2/{COMMIT}/a/b", Resolve(GPT2, COMMIT, "a/b")),
    (f"/api/resolve-cache/datasets/squad/{COMMIT}/a", Resolve(SQUAD, COMMIT, "a")),
    ("/acme/tiny/raw/main/a", Raw(TINY, "main", "a")),
    ("/acme/tiny/blob/main/a", Blob(TINY, "main", "a")),
    # a repo
    ("/api/models/acme/tiny", RepoInfo(TINY)),
    ("/api/models/acme/tiny/", RepoInfo(TINY)),
    ("/api/models/gpt2", RepoInfo(GPT2)),
    ("/api/datasets/squad", RepoInfo(SQUAD)),
    ("/api/spaces/acme/space", RepoInfo(SPACE)),
    ("/api/models/acme%2Ftiny", RepoInfo(TINY)),
    ("/api/models/acme/tiny?blobs=True&securityStatus=true", RepoInfo(TINY, blobs=True, security=True)),
    ("/api/models/acme/tiny?expand=sha&expand=tags&expand=sha", RepoInfo(TINY, expand=("sha", "tags"))),
    ("/api/models/acme/tiny?expand%5B%5D=likes", RepoInfo(TINY, expand=("likes",))),
    ("/api/models/acme/tiny?expand[]=likes", RepoInfo(TINY, expand=("likes",))),
    ("/api/models/acme/tiny/revision/v1", RepoInfo(TINY, "v1")),
    ("/api/models/gpt2/revision/v1?blobs=true", RepoInfo(GPT2, "v1", blobs=True)),
    ("/api/models/acme/tiny/revision/HEAD?expand=sha", RepoInfo(TINY, "main", expand=("sha",))),
    ("/api/models/acme/tiny/revision/refs%2Fpr%2F1", RepoInfo(TINY, "refs/pr/1")),
    ("/api/models/acme/tiny/revision/refs/pr/1", RepoInfo(TINY, "refs/pr/1")),
    ("/api/models/acme/tiny/revision/feature/new/thing", RepoInfo(TINY, "feature/new/thing")),
    # its folders
    ("/api/models/acme/tiny/tree/main", Tree(TINY, "main")),
    ("/api/models/acme/tiny/tree/main/", Tree(TINY, "main")),
    ("/api/models/gpt2/tree/main", Tree(GPT2, "main")),
    ("/api/models/acme/tiny/tree/main?recursive=True&expand=False", Tree(TINY, "main", recursive=True)),
    ("/api/models/acme/tiny/tree/main?recursive=false&expand=true", Tree(TINY, "main", expand=True)),
    ("/api/models/acme/tiny/tree/main/sub%20dir%2Fx?recursive=1", Tree(TINY, "main", "sub dir/x", recursive=True)),
    ("/api/models/acme/tiny/tree/main/sub%20dir/x", Tree(TINY, "main", "sub dir/x")),
    ("/api/models/acme/tiny/tree/refs/pr/1", Tree(TINY, "refs/pr/1")),
    ("/api/models/gpt2/tree/refs/pr/1/sub", Tree(GPT2, "refs/pr/1", "sub")),
    ("/api/models/acme/tiny/tree/main?limit=20&cursor=a%2Bb%3D", Tree(TINY, "main", limit=20, cursor="a+b=")),
    ("/api/models/acme/tiny/tree/main?limit=0", Tree(TINY, "main", limit=1)),
    ("/api/models/acme/tiny/tree/main?limit=" + "9" * 99, Tree(TINY, "main", limit=1000)),
    ("/api/models/acme/tiny/tree/main?limit=-3&cursor=", Tree(TINY, "main")),
    ("/api/models/acme/tiny/tree/main?limit=%D9%A3", Tree(TINY, "main")),
    ("/api/models/acme/tiny/treesize/main/sub", TreeSize(TINY, "main", "sub")),
    ("/api/models/acme/tiny/treesize/main/", TreeSize(TINY, "main")),
    # its history
    ("/api/models/acme/tiny/refs", Refs(TINY)),
    ("/api/models/gpt2/refs?include_prs=1", Refs(GPT2, include_prs=True)),
    ("/api/models/acme/tiny/commits/main", Commits(TINY, "main")),
    ("/api/models/acme/tiny/commits/refs%2Fpr%2F1?limit=7&p=2", Commits(TINY, "refs/pr/1", 7, 2)),
    ("/api/models/acme/tiny/auth-check", AuthCheck(TINY)),
    ("/api/models/gpt2/auth-check", AuthCheck(GPT2)),
    # lists
    ("/api/models", Listing(Kind.MODEL)),
    ("/api/datasets/?limit=30", Listing(Kind.DATASET, limit=30)),
    (
        "/api/models?search=ber+t&author=acme&filter=en&filter=license%3Amit&sort=last_modified&direction=-1&full=True",
        Listing(Kind.MODEL, ("ber t",), "acme", ("en", "license:mit"), "lastModified"),
    ),
    ("/api/datasets?search=a&search=b", Listing(Kind.DATASET, ("a", "b"))),
    ("/api/models?sort=created_at&direction=1", Listing(Kind.MODEL, sort="createdAt", descending=False)),
    ("/api/spaces?sort=trending_score&cursor=x", Listing(Kind.SPACE, sort="trendingScore", cursor="x")),
    ("/api/models?sort=beauty&colour=red", Listing(Kind.MODEL)),
    ("/api/models?pipeline_tag=fill-mask&library=pytorch", Listing(Kind.MODEL, filters=("fill-mask", "pytorch"))),
    ("/api/models?search=%E4%B8%AD", Listing(Kind.MODEL, ("中",))),
    ("/api/models?search=" + "中".encode().decode("latin-1"), Listing(Kind.MODEL, ("中",))),
    # small ones
    ("/api/whoami-v2", WhoAmI()),
    ("/api/agent-harnesses", Harnesses()),
    ("/api/telemetry/datasets/load/a", Telemetry()),
    ("/healthz", Health()),
    ("/health", Health()),
    ("/readyz", Ready()),
    # pages
    ("/", Home()),
    ("/models", Home(Kind.MODEL)),
    ("/datasets/", Home(Kind.DATASET)),
    ("/acme/tiny", Page(TINY, "main")),
    ("/gpt2", Page(GPT2, "main")),
    ("/datasets/acme/data", Page(DATA, "main")),
    ("/acme/tiny/tree/v1", Page(TINY, "v1")),
    ("/acme/tiny/tree/v1/sub/", Page(TINY, "v1", "sub")),
    # nothing
    ("/robots.txt", NoSuch()),
    ("/favicon.ico", NoSuch()),
    ("/acme/tiny/media/main/a", NoSuch()),
    ("/acme/tiny/discussions", NoSuch()),
    ("/a/b/c/d", NoSuch()),
    ("/acme/tiny/tree/v1/../x", NoSuch()),
]


@pytest.mark.parametrize(("target", "route"), GETS, ids=[ascii(target[:80]) for target, _ in GETS])
def test_an_address_asks_one_question_with_or_without_a_prefix_and_by_head_too(target: str, route: Route) -> None:
    assert parse("GET", target) == route
    assert parse("HEAD", target) == route
    assert parse("GET", f"/{target}") == route  # an endpoint written with a slash at its end
    assert parse("GET", f"/hf{target}", "/hf") == route
    assert parse("GET", target, "/hf") == route


@pytest.mark.parametrize("target", ["/hf", "/hf/", "/hf?x=1"])
def test_the_prefix_alone_is_the_home_page(target: str) -> None:
    assert parse("GET", target, "/hf") == Home()


def test_a_prefix_is_no_beginning_of_a_longer_name() -> None:
    assert parse("GET", "/hfx/tiny/resolve/main/a", "/hf") == Resolve(model("hfx/tiny"), "main", "a")


@pytest.mark.parametrize(
    ("target", "route"),
    [
        ("/api/models/acme/tiny/paths-info/main", PathsInfo(TINY, "main")),
        ("/api/models/gpt2/paths-info/refs%2Fpr%2F1", PathsInfo(GPT2, "refs/pr/1")),
        ("/api/datasets/acme/data/paths-info/feature/x?expand=1", PathsInfo(DATA, "feature/x")),
        ("/api/validate-yaml", ValidateYaml()),
        ("/api/telemetry/x", Telemetry()),
    ],
)
def test_a_post_asks_a_question_too(target: str, route: Route) -> None:
    assert parse("POST", target) == route


@pytest.mark.parametrize("target", ["*", "/", "/api/models/acme/tiny", "/nothing/../here", "/acme/tiny/resolve/main/a"])
def test_a_browser_may_ask_about_anything(target: str) -> None:
    assert parse("OPTIONS", target) == Preflight()


# -- names that look like something else (traps 24 and 25) -----------------------------------------


@pytest.mark.parametrize(
    ("target", "route"),
    [
        ("/resolve/resolve/main/a", Resolve(model("resolve"), "main", "a")),
        ("/acme/resolve/resolve/main/a", Resolve(model("acme/resolve"), "main", "a")),
        ("/tree/tree/resolve/main/a", Resolve(model("tree/tree"), "main", "a")),
        ("/acme/raw/resolve/main/a", Resolve(model("acme/raw"), "main", "a")),
        ("/acme/tiny/resolve/main/resolve/main/a", Resolve(TINY, "main", "resolve/main/a")),
        ("/gpt2/resolve/main/tree/a", Resolve(GPT2, "main", "tree/a")),
        ("/datasets/datasets/x/resolve/main/a", Resolve(RepoId(Kind.DATASET, "datasets/x"), "main", "a")),
        ("/datasets/resolve/resolve/main/a", Resolve(RepoId(Kind.DATASET, "resolve"), "main", "a")),
        ("/acme/tree", Page(model("acme/tree"), "main")),
        ("/acme/api/resolve/main/a", Resolve(model("acme/api"), "main", "a")),
        ("/healthz/resolve/main/a", Resolve(model("healthz"), "main", "a")),
        ("/api/models/acme/tree", RepoInfo(model("acme/tree"))),
        ("/api/models/acme/revision", RepoInfo(model("acme/revision"))),
        ("/api/models/acme/discussions", RepoInfo(model("acme/discussions"))),
        ("/api/models/acme/discussions/revision/main", RepoInfo(model("acme/discussions"), "main")),
        ("/api/datasets/acme/parquet", RepoInfo(RepoId(Kind.DATASET, "acme/parquet"))),
        ("/api/models/acme/tree/tree/main/a", Tree(model("acme/tree"), "main", "a")),
        ("/api/models/acme/refs/refs", Refs(model("acme/refs"))),
        ("/api/models/gpt2/revision/tree", RepoInfo(GPT2, "tree")),
        ("/acme/info/info/refs?service=git-upload-pack", parse("GET", "/gpt2/info/refs")),
    ],
)
def test_the_question_is_found_behind_the_name(target: str, route: Route) -> None:
    assert parse("GET", target) == route


@pytest.mark.parametrize("owner", ["api", "datasets", "spaces", "kernels", "buckets"])
def test_what_says_which_kind_follows_owns_no_model(owner: str) -> None:
    assert parse("GET", f"/api/models/{owner}/x") == NoSuchRepo(f"{owner}/x")
    route = parse("GET", f"/{owner}/x/resolve/main/a")
    assert not (isinstance(route, Place) and route.repo.kind is Kind.MODEL)


@pytest.mark.parametrize(
    "name", ["a--b", "-a", "a.", "a..b", "a.git", "a%20b", "a%00b", "é", "a%5Cb", "..", "%2E%2E", "a" * 97, "%C3%28"]
)
def test_a_name_no_repo_can_have_is_no_repo(name: str) -> None:
    assert parse("GET", f"/api/models/acme/{name}") == NoSuchRepo(f"acme/{name}")
    assert parse("GET", f"/api/models/{name}/revision/main") == NoSuchRepo(name)
    assert parse("GET", f"/acme/{name}/resolve/main/a") == NoSuchRepo(f"acme/{name}")
    assert parse("GET", f"/acme/{name}") == NoSuch()


# -- refusals ---------------------------------------------------------------------------------------

RETRIED = {408, 429, 500, 502, 503, 504}  # statuses for which clients lose 23 s


@pytest.mark.parametrize(
    "target",
    [
        "/api",
        "/api/",
        "/api/nothing",
        "/api/jobs/acme",
        "/api/jobs/hardware",
        "/api/scheduled-jobs/acme",
        "/api/buckets/acme/b",
        "/api/buckets/acme/b/tree/x",
        "/buckets/acme/b/resolve/a%2Fb",
        "/api/kernels/acme/k",
        "/kernels/acme/k/resolve/main/a",
        "/api/spaces/acme/space/runtime",
        "/api/spaces/acme/space/logs/run",
        "/api/spaces/hardware",
        "/api/spaces/templates",
        "/api/spaces/semantic-search?q=x",
        "/api/collections/acme/x-1",
        "/api/papers/2401.1",
        "/papers/2401.1.md",
        "/api/daily_papers",
        "/api/settings/webhooks",
        "/api/settings/repositories",
        "/api/users/x/overview",
        "/api/organizations/x/overview",
        "/api/models/acme/tiny/likers",
        "/api/models/acme/tiny/user-access-request/pending",
        "/api/models/acme/tiny/lfs-files",
        "/api/models/acme/tiny/xet-read-token/main",
        "/api/models/acme/tiny/paths-info/main",
        "/api/models/acme/tiny/refs/heads",
        "/api/datasets/acme/data/parquet",
        "/api/datasets/acme/data/croissant",
        "/api/datasets/acme/data/leaderboard",
        "/api/models-tags-by-type",
        "/api/event/x",
        "/api/quicksearch?q=x",
        "/api/trending",
        "/api/validate-yaml",
        "/api/whoami-v2/x",
        f"/api/resolve-cache/models/acme/tiny/{COMMIT}",
        "/api/resolve-cache/models/acme/tiny/main/a",
        "/api/resolve-cache/kernels/acme/tiny/main/a",
        "/oauth/authorize",
        "/.well-known/openid-configuration",
        "/login",
        "/settings/tokens",
        "/uploads",
        "/v2/acme/tiny/manifests/latest",
        "/acme/tiny/info/refs?service=git-upload-pack",
        "/acme/tiny.git/info/refs?service=git-upload-pack",
        "/gpt2/info/refs?service=git-upload-pack",
        "/datasets/acme/data.git/info/refs",
    ],
)
def test_what_a_mirror_does_not_do_is_refused_at_once(target: str) -> None:
    route = parse("GET", target)
    assert isinstance(route, Refused)
    assert route.status == 404
    assert route.message


@pytest.mark.parametrize("repo", ["models/acme/tiny", "models/gpt2", "datasets/acme/data"])
@pytest.mark.parametrize("rest", ["discussions?p=0", "discussions/1", "discussions?type=all&p=0"])
def test_discussions_are_forbidden_so_that_no_token_leaves_the_house(repo: str, rest: str) -> None:
    route = parse("GET", f"/api/{repo}/{rest}")
    assert isinstance(route, Refused)
    assert route.status == 403


def test_nobody_may_write() -> None:
    route = parse("GET", "/api/models/acme/tiny/auth-check/write")
    assert isinstance(route, Refused)
    assert route.status == 403


def test_the_metadata_of_tensors_are_left_to_the_files() -> None:
    route = parse("GET", "/api/models/acme/tiny/safetensors-metadata/sub/a.json")
    assert isinstance(route, Refused)
    assert (route.status, route.code) == (404, "EntryNotFound")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "PROPFIND", "TRACE", "get", ""])
@pytest.mark.parametrize(
    "target",
    [
        "/api/repos/create",
        "/api/models/acme/tiny",
        "/api/models",
        "/api/models/acme/tiny/commit/main",
        "/api/models/acme/tiny/preupload/main",
        "/api/models/acme/tiny/discussions",
        "/api/models/acme/tiny/branch/x",
        "/api/whoami-v2",
        "/acme/tiny/resolve/main/a",
        "/acme/tiny.git/info/lfs/objects/batch",
        "/acme/tiny/git-upload-pack",
        "/uploads",
        "/",
    ],
)
def test_changes_are_refused_in_a_way_nobody_tries_again(method: str, target: str) -> None:
    route = parse(method, target)
    assert isinstance(route, Refused)
    assert route.status == 501


@pytest.mark.parametrize("target", ["", "*", "acme/tiny", "http://host/acme/tiny", "?x", "/" + "a" * LONGEST_TARGET])
def test_what_is_no_address_is_a_bad_request(target: str) -> None:
    assert isinstance(parse("GET", target), BadRequest)


# -- revisions (protocol section 2.5) ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "revision"),
    [
        ("main", "main"),
        ("v1.0", "v1.0"),
        ("HEAD", "main"),
        ("refs%2Fpr%2F1", "refs/pr/1"),
        ("refs/pr/1", "refs/pr/1"),
        ("refs%2Fconvert%2Fparquet", "refs/convert/parquet"),
        ("refs/convert/parquet", "refs/convert/parquet"),
        ("refs/heads/x", "x"),
        ("refs%2Fheads%2Ffeature%2Fx", "feature/x"),
        ("refs%2Ftags%2Fv1", "v1"),
        ("feature%2Fx", "feature/x"),
        ("a%2Bb", "a+b"),
        ("a+b", "a+b"),
        ("%E4%B8%AD", "中"),
        ("100%25", "100%"),
    ],
)
def test_every_spelling_of_a_revision_is_understood(written: str, revision: str) -> None:
    assert parse("GET", f"/acme/tiny/resolve/{written}/sub/a") == Resolve(TINY, revision, "sub/a")
    assert parse("GET", f"/api/models/gpt2/tree/{written}/sub") == Tree(GPT2, revision, "sub")
    assert parse("GET", f"/api/models/acme/tiny/revision/{written}") == RepoInfo(TINY, revision)
    assert parse("POST", f"/api/models/acme/tiny/paths-info/{written}") == PathsInfo(TINY, revision)


@pytest.mark.parametrize(
    "written",
    [
        *("..", "%2E%2E", "a..b", ".a", "a%2F.b", "a.lock", "%20", "a%20b", "a%00", "a%0Ab", "a~b", "a^b", "a:b"),
        *("a%3Fb", "a*b", "a[b", "a%5Cb", "a\\b", "@%7B", "%2Fa", "a%2F", "a%2F%2Fb", "%FF", "a" * 241, "中" * 81),
        "refs%2Fheads%2F",
    ],
)
def test_what_no_revision_can_be_called_is_none(written: str) -> None:
    asked = [f"/acme/tiny/resolve/{written}/a", f"/api/models/acme/tiny/tree/{written}"]
    asked += [f"/api/models/acme/tiny/revision/{written}", f"/api/models/acme/tiny/commits/{written}"]
    assert [type(parse("GET", target)) for target in asked] == [NoSuchRevision] * 4
    assert isinstance(parse("POST", f"/api/models/acme/tiny/paths-info/{written}"), NoSuchRevision)


@pytest.mark.parametrize("question", ["tree", "treesize", "commits"])
def test_a_question_about_a_revision_needs_one(question: str) -> None:
    assert parse("GET", f"/api/models/acme/tiny/{question}") == NoSuchRevision(TINY, "")
    assert parse("GET", f"/api/models/acme/tiny/{question}//") == NoSuchRevision(TINY, "")


@pytest.mark.parametrize(
    ("target", "readings"),
    [
        ("/acme/tiny/resolve/main/a", [("main", "a")]),
        ("/acme/tiny/resolve/a/b/c", [("a", "b/c"), ("a/b", "c")]),
        ("/api/models/acme/tiny/tree/a/b", [("a", "b"), ("a/b", "")]),
        ("/api/models/acme/tiny/tree/refs/pr/1", [("refs/pr/1", "")]),
        ("/acme/tiny/resolve/refs/heads/a/b/c", [("a", "b/c"), ("a/b", "c")]),
        ("/acme/tiny/resolve/refs/x", [("refs", "x")]),
        ("/acme/tiny/resolve/a/b%20c/d/e", [("a", "b c/d/e")]),
        ("/acme/tiny/resolve/a/b.lock/c", [("a", "b.lock/c")]),
    ],
)
def test_literal_slashes_leave_other_readings(target: str, readings: list[tuple[str, str]]) -> None:
    route = parse("GET", target)
    assert isinstance(route, Place)
    assert list(route.readings()) == readings


def test_a_place_made_by_hand_has_one_reading() -> None:
    assert list(Resolve(TINY, "main", "a/b").readings()) == [("main", "a/b")]


def test_a_deep_path_has_few_readings() -> None:
    route = parse("GET", "/acme/tiny/resolve/" + "/".join("a" * 5000))
    assert isinstance(route, NoSuchEntry)
    route = parse("GET", "/acme/tiny/resolve/" + "/".join("a" * 1000))
    assert isinstance(route, Resolve)
    assert len(list(route.readings())) == revisions.READINGS + 1


# -- paths ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        *("..", "../x", "a/../b", "%2E%2E/x", "a%2F..%2Fb", "..%2f..%2Fetc%2Fpasswd", ".", "a/./b", "", "a/", "/a"),
        *("a//b", "a%2F", "%2Fa", "a%00b", "a%0Ab", "a\\b", "..%5C..%5Cx", "a%7Fb", "%FF", "a/%C3%28", "%ED%A0%80"),
        *("\xe9", "中", "a" * 4097),
    ],
)
def test_a_path_no_commit_can_hold_is_no_entry(path: str) -> None:
    assert parse("GET", f"/acme/tiny/resolve/v1/{path}") == NoSuchEntry(TINY, "v1")
    assert parse("GET", f"/acme/tiny/raw/refs%2Fpr%2F1/{path}") == NoSuchEntry(TINY, "refs/pr/1")


def test_a_revision_without_a_path_is_no_entry() -> None:
    assert parse("GET", "/acme/tiny/resolve/main") == NoSuchEntry(TINY, "main")
    assert parse("GET", "/acme/tiny/resolve/refs/pr/1") == NoSuchEntry(TINY, "refs/pr/1")


def test_a_folder_no_commit_can_hold_is_no_entry() -> None:
    assert parse("GET", "/api/models/acme/tiny/tree/main/a%2F..?recursive=true") == NoSuchEntry(TINY, "main")


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ("c++.txt", "c++.txt"),
        ("c%2B%2B.txt", "c++.txt"),
        ("100%25.txt", "100%.txt"),
        ("100%.txt", "100%.txt"),
        ("a%2520b", "a%20b"),
        ("q%3F%23.txt", "q?#.txt"),
        ("%C3%A9/%C3%BC.txt", "é/ü.txt"),
        ("e%CC%81", "e\u0301"),
        ("()!'*", "()!'*"),
        ("%28%29%21%27%2A", "()!'*"),
        ("&=;,:@$", "&=;,:@$"),
    ],
)
def test_a_path_is_decoded_once(written: str, path: str) -> None:
    assert parse("GET", f"/acme/tiny/resolve/main/{written}") == Resolve(TINY, "main", path)


def _safe(path: str) -> bool:
    try:
        return entry_path(path) != "" and len(path.encode()) < 1000
    except UnsafePath:
        return False


def _python_file(path: str) -> str:
    return quote(path)


def _python_folder(path: str) -> str:
    return quote(path, safe="")


def _javascript(path: str) -> str:
    return "/".join(quote(step, safe="!'()*-._~") for step in path.split("/"))  # encodeURIComponent


def _url_parser(path: str) -> str:
    return quote(path.replace("%", "%25"), safe="%/!$&'()*+,;=:@-._~[]|^")


def _as_it_is(path: str) -> str:
    """Curl's: the bytes of UTF-8, as the wire passes them on. Three characters have a meaning there."""
    for char in "%?#":
        path = path.replace(char, f"%{ord(char):02X}")
    return path.encode().decode("latin-1")


@pytest.mark.parametrize("spelled", [_python_file, _python_folder, _javascript, _url_parser, _as_it_is])
@given(path=st.text(min_size=1, max_size=30).filter(_safe))
@example(path="a b/c+d%2F/é?#.txt")
@example(path="resolve/main/tree")
def test_any_lawful_path_comes_through_every_clients_spelling(spelled: Callable[[str], str], path: str) -> None:
    assert parse("GET", f"/acme/tiny/resolve/main/{spelled(path)}?download=true") == Resolve(TINY, "main", path)
    assert parse("HEAD", f"/hf/gpt2/raw/{COMMIT}/{spelled(path)}", "/hf") == Raw(GPT2, COMMIT, path)
    assert parse("GET", f"/api/datasets/squad/tree/refs%2Fpr%2F1/{spelled(path)}") == Tree(SQUAD, "refs/pr/1", path)


@given(
    st.text(min_size=1, max_size=30).filter(_safe),
    st.text(min_size=1, max_size=30).filter(lambda text: revisions.lawful(text) and revisions.named(text) == text),
    st.sampled_from([TINY, GPT2, SQUAD, DATA, SPACE]),
)
def test_the_address_of_a_file_leads_back_to_it(path: str, revision: str, repo: RepoId) -> None:
    address = resolve_path(Blob(repo, revision, path))
    assert address.isascii()
    assert not address.startswith("//")
    assert parse("GET", address) == Resolve(repo, revision, path)


# -- whatever comes -----------------------------------------------------------------------------------

words = st.sampled_from(
    [
        *("api", "models", "datasets", "spaces", "acme", "tiny", "gpt2", "resolve", "raw", "tree", "revision", "refs"),
        *("pr", "1", "main", "paths-info", "commits", "discussions", "resolve-cache", COMMIT, "..", "%2e%2e", "%2F"),
        *("", "%00", "%FF", "\xff", "+", "info", "hf", "auth-check", "treesize", "HEAD"),
    ]
)
targets = st.one_of(
    st.text(),
    st.text().map("/".__add__),
    st.lists(words, max_size=9).map(lambda segments: "/" + "/".join(segments)),
    st.tuples(st.lists(words, max_size=9), st.text()).map(lambda pair: "/" + "/".join(pair[0]) + "?" + pair[1]),
    st.binary().map(lambda raw: "/acme/tiny/resolve/" + raw.decode("latin-1")),
)


@given(st.sampled_from(["GET", "HEAD", "POST", "OPTIONS", "PUT"]), targets, st.sampled_from(["", "/hf"]))
def test_whatever_is_asked_has_an_answer_that_is_safe(method: str, target: str, prefix: str) -> None:
    route = parse(method, target, prefix)
    if isinstance(route, Refused):
        assert route.status not in RETRIED
    if isinstance(route, Place):
        for revision, path in route.readings():
            assert revisions.lawful(revision)
            assert path == "" or entry_path(path) == path
            assert path or not route.least
    if hasattr(route, "repo"):
        assert RepoId.of(route.repo.kind, route.repo.name) == route.repo


@given(st.text(), st.text())
def test_a_query_cannot_be_wrong(name: str, query: str) -> None:
    found = fields.of_query(query)
    fields.words(found, name)
    assert fields.number(found, name, 1, 9) in {None, 1, 2, 3, 4, 5, 6, 7, 8, 9}


def test_a_query_is_read_so_far_only() -> None:
    found = fields.of_query("&".join(f"a={number}" for number in range(100_000)))
    assert len(found["a"]) == fields.MOST_FIELDS


# -- the body of paths-info (trap 15) ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "body", "paths", "expand"),
    [
        (
            "application/x-www-form-urlencoded",
            b"paths=a+b.txt&paths=%C3%A9%2Fu.txt&expand=true",
            ("a b.txt", "é/u.txt"),
            True,
        ),
        ("application/x-www-form-urlencoded", b"paths=a&expand=True", ("a",), True),
        ("application/x-www-form-urlencoded", b"paths=a&paths=a&expand=False", ("a",), False),
        ("application/x-www-form-urlencoded", b"", (), False),
        ("application/json", '{"paths":["é","a b"],"expand":true}'.encode(), ("é", "a b"), True),
        ("application/json; charset=utf-8", b'{"paths":["a"]}', ("a",), False),
        ("Application/JSON", b'{"paths":"a","expand":"True"}', ("a",), True),
        ("", b'{"paths":["a"],"expand":false}', ("a",), False),
    ],
)
def test_the_paths_asked_about_come_as_a_form_or_as_json(
    kind: str, body: bytes, paths: tuple[str, ...], expand: bool
) -> None:
    assert fields.asked_paths(kind, body) == (paths, expand)


@pytest.mark.parametrize(
    "body",
    [b"{", b"{}", b"[]", b'{"paths":3}', b'{"paths":[1]}', b'{"paths":null}', b"\xff", b'{"paths":' + b"[" * 100_000],
)
def test_a_body_that_asks_nothing_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError):
        fields.asked_paths("application/json", body)


def test_a_form_that_is_no_text_is_refused() -> None:
    with pytest.raises(ValueError):
        fields.asked_paths("application/x-www-form-urlencoded", b"paths=\xff")
