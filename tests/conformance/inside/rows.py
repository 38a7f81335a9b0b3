"""What datasets loads from HF_ENDPOINT: parquet, csv and jsonl, with and without a card, whole and as a stream.

usage: rows.py REPOS FIRST   where REPOS is a JSON object of names, and FIRST how many rows of a stream are read
"""

from __future__ import annotations

import hashlib
import itertools
import json
import sys
from typing import Any

import datasets  # type: ignore[import-not-found,unused-ignore]  # a client's library, not ours
from datasets import get_dataset_config_names, load_dataset

repos: dict[str, str] = json.loads(sys.argv[1])
first = int(sys.argv[2])


def told(rows: Any) -> list[Any]:
    """How many rows, and what they say."""
    hasher, count = hashlib.sha256(), 0
    for row in rows:
        text = {"number": int(row["number"]), "word": row["word"], "share": float(row["share"])}
        hasher.update(json.dumps(text, sort_keys=True).encode())
        count += 1
    return [count, hasher.hexdigest()]


def splits(*words: Any, **options: Any) -> dict[str, Any]:
    """Every split of a whole data set."""
    return {name: told(split) for name, split in load_dataset(*words, **options).items()}


def stream(*words: Any, **options: Any) -> list[Any]:
    """The first rows of a stream."""
    rows = load_dataset(*words, streaming=True, **options)
    return told(itertools.islice(rows, first))


def failure(name: str) -> list[str]:
    """How loading ends."""
    try:
        load_dataset(name)
    except Exception as error:  # noqa: BLE001  # which one it is, is the answer
        return [kind.__name__ for kind in type(error).__mro__]
    return []


answer = {
    "version": datasets.__version__,
    "stream parquet": stream(repos["parquet"], split="train"),
    "stream csv": stream(repos["csv"], split="test"),
    "stream lines": stream(repos["lines"], split="train"),
    "configurations": sorted(get_dataset_config_names(repos["parquet"])),
    "parquet": splits(repos["parquet"]),
    "stars": splits(repos["parquet"], "stars"),
    "csv": splits(repos["csv"]),
    "lines": splits(repos["lines"]),
    "glob": splits("csv", data_files=f"hf://datasets/{repos['csv']}/data/*.csv"),
    "missing": failure(repos["missing"]),
}
print(json.dumps(answer))
