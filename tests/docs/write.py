"""Make the generated parts of the documentation anew: python -m tests.docs.write."""

from __future__ import annotations

from tests.docs import made
from tests.docs.pages import name, pages, read, with_made


def main() -> None:
    """Rewrite the pages whose generated parts have changed."""
    parts = made.parts()
    for page in pages():
        before = read(page)
        after = with_made(before, parts)
        if after != before:
            page.write_text(after, encoding="utf-8")
            print(f"wrote {name(page)}")


if __name__ == "__main__":
    main()
