"""What the Hub has in the tests of the read side: repos with everything that is odd about repos."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.simulator import HubSimulator, Made

if TYPE_CHECKING:
    from tests.behaviour.serve.lab import Lab
    from tests.simulator.content import Given

WEIGHTS = Made(3 * 2**20 + 123, seed=7)
SIZE = WEIGHTS.size  # bytes of model.safetensors
LARGE, SMALL, EMPTY = "model.safetensors", "config.json", "empty.txt"
CONFIG = b'{"model_type":"bert","architectures":["BertModel"]}'
TABLE = b"a,b\n" + b"1,2\n" * 5000

# Names that break somewhere: in an encoder, a decoder, a router, a header, a disk: protocol 2.4, traps 16-20, 45, 55.
ODD = (
    "a b.txt",
    "c++.txt",
    "100%.txt",
    "100%25.txt",
    "%2F.txt",
    "%41.txt",
    "q?#.txt",
    "a&b=c;d,e@f$.txt",
    "(x)!'*.txt",
    "tilde~-_.x.txt",
    "at 10:30.txt",
    'quo"te.txt',
    "é/ü.txt",
    "中文/模型 卡片.txt",
    "caf\u00e9.txt",
    "cafe\u0301.txt",
    "readme.md",
    "...txt",
    "resolve/main/x.txt",
    "tree/main.txt",
    "sub/deeper/still/z.txt",
)
TINY: dict[str, Given] = {
    SMALL: CONFIG,
    LARGE: WEIGHTS,
    EMPTY: b"",
    "README.md": b"---\nlicense: mit\n---\n# tiny\n",
    "sub/vocab.txt": b"one\ntwo\n",
    **{path: f"this is {path!r}\n".encode() for path in ODD},
}
REVISIONS = ("main", "v1", "feature/x", "refs/pr/1", "refs/convert/parquet")  # besides commits
NAMED = ("acme/resolve", "acme/tree", "acme/api", "resolve", "gpt2")  # models whose names mislead a router
DATASET, SPACE, WIDE, MOVED = "datasets/acme/tiny", "spaces/acme/tiny", "acme/wide", "acme/moved"
ROWS = 1500  # files of the wide repo: more than the Hub shows on one page


@dataclass(frozen=True, slots=True)
class World:
    """A Hub, and a lab whose store was filled from it."""

    hub: HubSimulator
    lab: Lab
    first: str  # a commit of acme/tiny that `main` has left behind
    commit: str  # the commit `main` stands for

    def bytes_of(self, repo: str, path: str, revision: str = "main") -> bytes:
        """What a file holds."""
        return self.hub.content(repo, path, revision)

    def etag(self, path: str, repo: str = "acme/tiny") -> str:
        """The file's ETag: quoted, sha256 or git's blob id."""
        return f'"{self.hub.stored(repo, path).digest.hex}"'


def populate(hub: HubSimulator) -> tuple[str, str]:
    """Fill the Hub; the first and the present commit of acme/tiny."""
    first = hub.add("acme/tiny", {**TINY, SMALL: b'{"model_type":"first"}', "gone.txt": b"was here\n"})
    other = {**TINY, SMALL: b'{"model_type":"other"}'}
    hub.add("acme/tiny", other, branch="feature/x", tags=("v1",), refs=("refs/pr/1", "refs/convert/parquet"))
    commit = hub.add("acme/tiny", TINY, title="Second")
    hub.add(DATASET, {"data/train.csv": TABLE, "README.md": b"# data\n", "data/x.parquet": Made(70_000, seed=8)})
    hub.add(SPACE, {"app.py": b"print()\n"})
    for name in NAMED:
        hub.add(name, {SMALL: name.encode(), "sub/x.txt": b"x"})
    hub.add("acme/empty", {})
    hub.add("acme/old", {SMALL: b"moved"})
    hub.rename("acme/old", MOVED)
    hub.add(WIDE, {f"part-{n:04}/{n:04}.txt": b"w%d" % (n % 7) for n in range(ROWS)})
    return first, commit


PULLED = ("acme/tiny", "acme/tiny@v1", "acme/tiny@feature/x", DATASET, SPACE, WIDE, *NAMED)
