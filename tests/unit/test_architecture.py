"""Rules of the house that a reader of one file cannot see broken."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import hfmirror

if TYPE_CHECKING:
    from collections.abc import Iterator

HOUSE = Path(hfmirror.__file__).parent
DOORS = {"replace", "rename", "renames", "link", "symlink", "fsync", "fdatasync", "sync"}
PATH_DOORS = {"symlink_to", "hardlink_to"}
NETWORK = {"requests": "sources/http.py", "urllib3": "sources/http.py", "pycurl": "sources/curl.py"}
modules = {str(path.relative_to(HOUSE).as_posix()): ast.parse(path.read_text("utf-8")) for path in HOUSE.rglob("*.py")}


def calls(tree: ast.Module) -> Iterator[tuple[str, str, int]]:
    """What is called on what, and in which line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = node.func.value.id if isinstance(node.func.value, ast.Name) else ""
            yield owner, node.func.attr, node.lineno


def imported(tree: ast.Module) -> Iterator[str]:
    """The packages a module imports, wherever it does."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


ALONE = "bundle/verify.py"  # travels without the rest of the house, and so has doors of its own


@pytest.mark.parametrize("module", sorted(modules.keys() - {"store/files.py", ALONE}))
def test_one_door_leads_to_the_disk(module: str) -> None:
    found = [
        f"line {line}: {owner}.{name}"
        for owner, name, line in calls(modules[module])
        if (owner == "os" and name in DOORS) or name in PATH_DOORS
    ]
    assert found == []


@pytest.mark.parametrize(("package", "home"), NETWORK.items())
def test_one_module_knows_each_network_library(package: str, home: str) -> None:
    assert {module for module, tree in modules.items() if package in imported(tree)} == {home}


def test_importing_a_module_reads_no_environment_and_opens_nothing() -> None:
    for module, tree in modules.items():
        for node in [] if module.startswith("cli/") else tree.body:  # commands are registered when imported
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
                pytest.fail(f"{module}:{node.lineno} does something when it is imported")


def test_every_module_says_what_it_is_for() -> None:
    assert [module for module, tree in modules.items() if not ast.get_docstring(tree)] == []
