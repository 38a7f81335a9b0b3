"""`python -m hfmirror` is `hfmirror`."""

from hfmirror.cli import main

if __name__ == "__main__":
    main()
