"""The Hub's JSON and header text, made from the values of the house. Pure: no clock, no disk, no network."""

from hfmirror.serve.forms.about import last_modified, listed, repo_info
from hfmirror.serve.forms.listings import listing
from hfmirror.serve.forms.security import file_status, repo_status
from hfmirror.serve.forms.small import commits, harnesses, refs, validate_yaml, whoami
from hfmirror.serve.forms.text import Row, content_disposition, date_of, dump, plain, printable_latin1
from hfmirror.serve.forms.trees import page, paths_info, rows, tree, tree_size, within

__all__ = [
    "Row",
    "commits",
    "content_disposition",
    "date_of",
    "dump",
    "file_status",
    "harnesses",
    "last_modified",
    "listed",
    "listing",
    "page",
    "paths_info",
    "plain",
    "printable_latin1",
    "refs",
    "repo_info",
    "repo_status",
    "rows",
    "tree",
    "tree_size",
    "validate_yaml",
    "whoami",
    "within",
]
