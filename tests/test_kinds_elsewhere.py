"""Outside `kinds/` nothing decides by a kind's class: what a kind is asked, it answers. Counted in the syntax tree of every file."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import pofx
from pofx.kinds import Kind

SOURCE = Path(pofx.__file__).parent
KINDS = {name for name, cls in Kind.known.items() if cls.__module__.startswith("pofx.kinds")}
MODELS = 3  # a model's own file is models/FAMILY/NAME.py: its constructor takes certain kinds, and may ask which it was given


def decisions(code: str) -> list[str]:
    """The expressions that decide by the class of a kind, as they stand in `code`."""
    tree = ast.parse(code)
    names = _names(tree)
    return [ast.unparse(node) for node in ast.walk(tree) if _decides(node, names)]


def _names(tree: ast.AST) -> set[str]:
    """What kinds are called in a file: by their own names unless these were imported from elsewhere, and by others that were given them."""
    names = set(KINDS)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                called = alias.asname or alias.name
                if (node.module or "").startswith("pofx.kinds") and alias.name in KINDS:
                    names.add(called)
                elif called in KINDS and not (node.module or "").startswith("pofx"):
                    names.discard(called)
    return names


def _decides(node: ast.AST, names: set[str]) -> bool:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("isinstance", "issubclass"):
        return any(_is_kind(each, names) for each in _options(node.args[1]))
    if isinstance(node, ast.MatchClass):
        return _is_kind(node.cls, names)
    if isinstance(node, ast.Compare):
        sides = [each for side in (node.left, *node.comparators) for each in _options(side)]
        by_name = any(isinstance(each, ast.Attribute) and each.attr in ("__name__", "__qualname__") for each in sides)
        return any(_is_kind(each, names) or (by_name and _is_word(each)) for each in sides)
    if isinstance(node, ast.Dict):  # a table of classes
        return any(key is not None and _is_kind(key, names) for key in node.keys)
    return False


def _options(node: ast.expr) -> Iterator[ast.expr]:
    """The classes that `(A, B)`, `[A, B]`, `{A, B}` or `A | B` names."""
    if isinstance(node, (ast.Tuple, ast.List, ast.Set)):
        for each in node.elts:
            yield from _options(each)
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        yield from _options(node.left)
        yield from _options(node.right)
    else:
        yield node


def _is_kind(node: ast.expr, names: set[str]) -> bool:
    if isinstance(node, ast.Attribute):  # pofx.kinds.Image, but not PIL.Image
        return node.attr in KINDS and ast.unparse(node.value).rpartition(".")[2] == "kinds"
    return isinstance(node, ast.Name) and node.id in names


def _is_word(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value in KINDS


def elsewhere() -> dict[str, list[str]]:
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        file = path.relative_to(SOURCE)
        if file.parts[0] == "kinds" or (file.parts[0] == "models" and len(file.parts) == MODELS):
            continue
        if some := decisions(path.read_text()):
            found[file.as_posix()] = some
    return found


def test_nothing_decides_by_a_kind_s_class():
    assert elsewhere() == {}, "ask the kind (levels, dtype, classes, text, ragged, picture, ...) instead of its class"


@pytest.mark.parametrize(
    "code",
    [
        "isinstance(x, Image)",
        "isinstance(x, (int, Binary))",
        "isinstance(x, Vector | Series)",
        "not isinstance(self.kind, kinds.Category)",
        "isinstance(x, pofx.kinds.Tokens)",
        "issubclass(type(x), Series)",
        "match x:\n    case Image(1, height, width):\n        pass",
        "match x:\n    case int() | Vector():\n        pass",
        "type(x) is Image",
        "type(x) is not Image",
        "Tokens in wanted",
        "found in (Series, Vector)",
        "found is Image",
        "type(x).__name__ == 'Image'",
        "'Tokens' != x.__class__.__name__",
        "from pofx.kinds import Image as Picture\nisinstance(x, Picture)",
        "type(x) == Image",
        "type(x).__name__ in ('Image', 'Binary')",
        "{Image: 1, Binary: 2}[type(x)]",
    ],
)
def test_every_form_of_it_is_found(code):
    assert len(decisions(code)) == 1


@pytest.mark.parametrize(
    "code",
    [
        "isinstance(x, PIL.Image.Image)",
        "isinstance(feature, datasets.Image)",
        "from PIL import Image\nisinstance(x, Image)",
        "x == Vector(2)",
        "Image(1, 2, 3)",
        "def f(x: Image | Binary) -> Tokens: ...",
        "cast(Tokens, kind)",
        "isinstance(stored, Ragged)",
        "if __name__ == '__main__': pass",
        "kind.classes in (2, 10)",
        "cls.__name__ == 'VAE'",
        "{'x': Image}",
    ],
)
def test_nothing_else_is_taken_for_it(code):
    assert decisions(code) == []


# Who names a kind of pofx's own makes one: sources of data do, and pictures of what is not known. Whoever has none at hand decides by none
MAKERS = {"render/pictures.py"}


def test_who_names_a_concrete_kind_makes_one():
    found = set()
    for path in sorted(SOURCE.rglob("*.py")):
        file = path.relative_to(SOURCE)
        if file.parts[0] in ("kinds", "data", "bases", "testing") or (file.parts[0] == "models" and len(file.parts) == MODELS):
            continue
        tree = ast.parse(path.read_text())
        guards = [node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)]
        typed = {id(node) for guard in guards for node in ast.walk(guard)}
        imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and id(node) not in typed]
        if any((node.module or "").startswith("pofx.kinds") and {alias.name for alias in node.names} & KINDS for node in imports):
            found.add(file.as_posix())
    assert found == MAKERS
