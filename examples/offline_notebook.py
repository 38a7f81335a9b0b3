#!/usr/bin/env python3
"""The cells of a notebook that loads from the store, offline.

    python examples/offline_notebook.py owner/name config.json

What it loads must have been pulled before (`hfmirror pull owner/name`).
"""

from __future__ import annotations

import sys

import hfmirror

# First cell: before any Hub client is imported, because they read their settings on import.
hfmirror.enable()


def main(words: list[str]) -> int:
    """The other cells."""
    from huggingface_hub import hf_hub_download  # noqa: PLC0415 - after `enable`, as in a notebook
    from huggingface_hub.errors import LocalEntryNotFoundError  # noqa: PLC0415 - as above

    if len(words) != 2:
        print("usage: offline_notebook.py REPO FILE", file=sys.stderr)
        return 2
    repo, file = words
    try:
        print(hf_hub_download(repo, file))
    except LocalEntryNotFoundError:
        print(f"{file} of {repo} is not here; pull it while online: hfmirror pull {repo}", file=sys.stderr)
        return 6
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
