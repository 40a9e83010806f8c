"""Imports point one way: what a room may know of the others, read off every import, those inside functions too."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import pofx

SOURCE = Path(pofx.__file__).parent

# Lowest first: a room imports its own row's rooms and those of the rows before it
ROOMS = (
    ("errors", "environment", "renamed"),
    ("options",),
    ("kinds", "randomness"),
    ("plan", "capabilities"),
    ("model",),
    ("layers", "distributions"),
    ("bases",),
    ("models",),
    ("data",),
    ("metrics", "render", "inference"),
    ("run", "card"),
    ("train",),
    ("evaluate",),
    ("session",),
    ("commands", "testing"),
    ("cli", "__main__", "__init__"),
)
ROW = {room: row for row, rooms in enumerate(ROOMS) for room in rooms}

# What still points upwards, as file -> module: a list that only shrinks
EXCEPTIONS = {
    ("capabilities.py", "pofx.distributions.likelihoods"),  # these four name types only, in what a protocol promises
    ("capabilities.py", "pofx.distributions.priors"),
    ("capabilities.py", "pofx.layers.recurrent"),
    ("capabilities.py", "pofx.model"),
}


def imports(text: str) -> list[str]:
    """The modules of pofx that a source imports, those of `from pofx import x` as pofx.x."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found += [name.name for name in node.names if name.name.split(".")[0] == "pofx"]
        elif isinstance(node, ast.ImportFrom) and node.module == "pofx":
            found += [f"pofx.{name.name}" for name in node.names if name.name != "__version__"]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pofx."):
            found.append(str(node.module))
        elif isinstance(node, ast.ImportFrom) and node.level:
            found.append("." * node.level)
    return found


def upwards(file: str, text: str) -> list[tuple[str, str]]:
    """What a file imports of rooms above its own."""
    own = ROW[Path(file).parts[0].removesuffix(".py")]
    return [(file, module) for module in imports(text) if module != "pofx" and ROW[module.split(".")[1]] > own]


FILES = {str(path.relative_to(SOURCE)): path.read_text() for path in sorted(SOURCE.rglob("*.py"))}


def test_imports_point_one_way():
    found = {pair for file, text in FILES.items() for pair in upwards(file, text)}
    assert found - EXCEPTIONS == set(), "these import a room above their own"
    assert EXCEPTIONS - found == set(), "these are fixed: take them off the list"


def test_every_room_has_its_row_and_every_row_its_rooms():
    assert {Path(file).parts[0].removesuffix(".py") for file in FILES} == set(ROW)


def test_imports_are_absolute():
    assert [file for file, text in FILES.items() if "." in {module[0] for module in imports(text)}] == []


@pytest.mark.parametrize(
    "text",
    ["from pofx.cli import main", "import pofx.cli", "from pofx import cli", "def f():\n    from pofx.cli import main"],
)
def test_an_import_that_points_upwards_is_seen(text):
    assert upwards("data/loading.py", text) == [("data/loading.py", "pofx.cli")]
    assert upwards("__main__.py", text) == []


def test_the_environment_is_read_in_one_place():
    """What torchrun says of this process, and where data and caches are."""
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "POFX_DATA", "POFX_CACHE")
    found = {
        (file, node.value)
        for file, text in FILES.items()
        if file != "environment.py" and not file.startswith("testing/")  # where replicas are started
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Constant) and node.value in names
    }
    assert found == set()
