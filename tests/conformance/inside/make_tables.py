"""Small data sets in the forms that people publish: parquet with configurations, csv, jsonl. Needs pandas, pyarrow.

usage: make_tables.py FOLDER
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

ROWS = 300  # of each split
CARD = """---
configs:
- config_name: flights
  default: true
  data_files:
  - split: train
    path: flights/train-*.parquet
  - split: test
    path: flights/test-*.parquet
- config_name: stars
  data_files: stars/*.parquet
---
# Flights
"""


def frame(rows: list[dict[str, object]]) -> Any:
    """A table of pandas."""
    import pandas  # type: ignore[import-not-found,import-untyped,unused-ignore]  # a client's library, not ours

    return pandas.DataFrame(rows)


def rows(first: int) -> list[dict[str, object]]:
    """Numbers, text with all kinds of letters, and a gap."""
    return [
        {"number": n, "word": f"row {n}, 今天天气 é", "share": n / 8, "gap": None if n % 3 else f"{n}"}
        for n in range(first, first + ROWS)
    ]


def parquet(folder: Path) -> None:
    """Two configurations, one of them in shards."""
    for name, first, shards in (("flights/train", 0, 2), ("flights/test", 1000, 1), ("stars/all", 2000, 1)):
        made, size = rows(first), ROWS // shards
        for shard in range(shards):
            path = folder / f"{name}-{shard:05}-of-{shards:05}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            # Several groups of rows, so that a reader of a few rows need not read the whole file.
            frame(made[shard * size : (shard + 1) * size]).to_parquet(path, row_group_size=50)
    (folder / "README.md").write_text(CARD, encoding="utf-8")


def csv(folder: Path) -> None:
    """No card: what is train and what is test is told by the names."""
    (folder / "data").mkdir(parents=True)
    for split, first in (("train", 0), ("test", 1000)):
        frame(rows(first)).to_csv(folder / "data" / f"{split}.csv", index=False)


def lines(folder: Path) -> None:
    """jsonl beside a card that says nothing."""
    folder.mkdir(parents=True)
    (folder / "README.md").write_text("# Lines\n", encoding="utf-8")
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows(0))
    (folder / "train.jsonl").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    target = Path(sys.argv[1])
    parquet(target / "parquet")
    csv(target / "csv")
    lines(target / "lines")
    print(json.dumps({"made": sorted(path.name for path in target.iterdir())}))
