"""The field's words: what pofx was written in before is found nowhere in it outside renamed.py, neither in names nor in prose."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

import pofx
from pofx import renamed

ROOT = Path(pofx.__file__).parent
FILES = [file for file in sorted(ROOT.rglob("*.py")) if file != ROOT / "renamed.py"]

# Whole names of functions, classes, arguments, attributes, variables and what is imported
NAMES = {
    *("critic", "critics", "Critic", "MaxoutCritic", "critic_hidden", "critic_width", "critic_steps", "lr_critic", "critic_loss"),
    *("fooling", "judgement", "steepness", "recalled", "judged", "distortion", "distorted"),
    *("kept", "told", "heard", "hears"),  # English words: as names they said of a quantity where it comes from, not what it is
    *("NOTHING", "END", "Memory", "Watched", "restricted", "sometimes_its_own", "from_the_end", "depends", "sees"),
    *("things", "few", "Aloud", "aloud", "likeness", "honest", "ladder", "mend"),
}
# Names of functions and classes alone: the words are good ones for a number, a column or a flag
DEFINED = {"before", "seen", "field", "judge", "State"}
# Of train/monitor.py, which has `Thresholds` now
THRESHOLDS = {
    "ROWS",
    "CHECKS",
    "LOGGED",
    "FELL",
    "HAD",
    "ALIKE",
    "LATE",
    "PRECISE",
    "HALF",
    "RIGHT",
    "LONG",
    "FAINT",
    "GONE",
}
ALLOWED = {
    ("layers/recurrent.py", "State"),  # of a recurrent layer, whose state it is; a decoder's is its cache
}

# In docstrings, comments and messages, blanks being any white space. `say`, `take`, `leave`, `nothing`, `told`, `kept`, `things`,
# `few`, `rows`, `lines`, `known`, `given` and `look` are English: as words they are looked for only where they meant something else.
PROSE = {
    r"\bcritics?\b": "a critic of two layers",
    r"\bend marks?\b": "with its end mark",
    r"\bnothing (?:\(0\)|and the end|behind (?:it|the tokens|an? )|before the first, and)": "nothing (0) behind an end",
    r"\b(?:fooling|judgement|steepness|recalled|distort(?:ed|ion))\b": "the steepness of the scores",
    r"\bjudg(?:e|es|ed|ing)\b": "samples are judged",
    r"\bposes? (?:drawn anew|of its standard deviation)|\b(?:sees|without|in) poses\b|\banother pose\b": "in poses drawn anew",
    r"\b(?:hears?|heard)\b": "hears of the line before",
    r"\bby heart\b|\bhonest(?:ly|y)?\b|\bladder of\b|\brungs?\b": "learnt by heart",
    r"\bgames?\b(?!\.png)": "a game of two players",
    r"\bshow one thing\b|\bof one thing\b|\bfractions of the things\b": "rows that show one thing",
    r"\b(?:is|only to be|it is) watched\b(?! like)": "the error rate is watched",
    r"\baloud\b": "labels read aloud",
    r"\blikeness\b": "likeness to the data",
    r"\bmend(?:s|ed|ing)?\b": "mend it",
    r"--(?:read|critic|distortion|sees|lr-critic)\b": "made with --read english",
}
# In messages alone: what to do is said as for a program
MESSAGES = {
    r"(?:^|[:;,] (?:or )?|\bor |\bso )say (?!so\b)": "two columns: say which",
    r"(?:[:;,] (?:or )?|\bor )take ": "no labels to smooth: take non_saturating",
    r"\bleave\b(?:(?![:;]).){0,60}\bout\b": "no heads: leave --head out",
}


def strings(tree: ast.AST) -> Iterator[tuple[str, bool]]:
    """Every string, an f-string as a whole with {} for its values, and whether it is a docstring."""
    docstrings, parts = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            docstrings.add(node.value)
        if isinstance(node, ast.JoinedStr):
            parts |= {part for part in node.values if isinstance(part, ast.Constant)}
            yield "".join(part.value if isinstance(part, ast.Constant) else "{}" for part in node.values), False
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in parts:
            yield node.value, node in docstrings


def names(tree: ast.AST) -> Iterator[tuple[str, bool]]:
    """Every name that is given or imported, and whether it is that of a function, a class or an alias of a module's own."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name, True
        elif isinstance(node, ast.arg) or (isinstance(node, ast.keyword) and node.arg):
            yield node.arg, False
        elif isinstance(node, ast.Name):
            yield node.id, node.id[0].isupper()
        elif isinstance(node, ast.Attribute):
            yield node.attr, False
        elif isinstance(node, ast.Import):
            yield from ((word, True) for alias in node.names for word in (*alias.name.split("."), alias.asname or ""))
        elif isinstance(node, ast.ImportFrom):
            own = node.level > 0 or (node.module or "").startswith("pofx")
            yield from ((word, own) for alias in node.names for word in (alias.name, alias.asname or ""))


def comments(text: str) -> Iterator[str]:
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.string


def old_names(text: str, file: str = "") -> set[str]:
    old = NAMES | THRESHOLDS if file == "train/monitor.py" else NAMES
    found = {name for name, defined in names(ast.parse(text)) if name in old or (defined and name in DEFINED)}
    return {name for name in found if (file, name) not in ALLOWED}


def old_prose(text: str) -> list[str]:
    said = [(string, not docstring) for string, docstring in strings(ast.parse(text))] + [(line, False) for line in comments(text)]
    found = []
    for words, message in said:
        words = " ".join(words.split())
        if words == "critic":  # a key of noise
            continue
        if "asserstein" in words:  # whose discriminator is a critic
            words = re.sub(r"\bcritics?\b", "", words)
        found += [f"{words[max(0, at.start() - 30) : at.end() + 30]!r}" for pattern in PROSE for at in re.finditer(pattern, words)]
        found += [
            f"{words[max(0, at.start() - 30) : at.end() + 30]!r}" for pattern in MESSAGES for at in re.finditer(pattern, words) if message
        ]
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_old_word(file):
    text, name = file.read_text(), str(file.relative_to(ROOT))
    assert (old_names(text, name), old_prose(text)) == (set(), [])


def test_no_file_has_the_name_of_an_old_module():
    """Nor of a model as it was called: only one that has become a package may be where a module was."""
    here = {".".join(("pofx", *file.relative_to(ROOT).with_suffix("").parts)) for file in FILES}
    old = {path for path in renamed.MODULES if path in here}
    assert old == set()
    models = {file.stem for file in (ROOT / "models").rglob("*.py")}
    assert models & renamed.MODELS.keys() == set()
    named = [string for file in FILES for string, _ in strings(ast.parse(file.read_text()))]
    assert set(named) & (renamed.MODELS.keys() - {"attention"}) == set()  # which is also the name of a layer and of a capability


def test_the_table_of_old_names_is_covered():
    """What renamed.py reads under an old name is among the names that are looked for."""
    known = NAMES | DEFINED
    assert renamed.NAMES.keys() - {"cache"} <= known  # which is a module's name now
    assert renamed.MEMBERS.keys() <= known
    assert {old for arguments in renamed.ARGUMENTS.values() for old in arguments} <= known
    assert renamed.DATA.keys() - {"read"} <= known  # which every split and every source does


@pytest.mark.parametrize(("pattern", "example"), [*PROSE.items(), *MESSAGES.items()])
def test_each_phrase_is_found(pattern, example):
    where = [f"raise UserError(f'{{x}} is wrong: {example}')" if pattern in PROSE else f"raise UserError({example!r})"]
    where += [] if pattern in MESSAGES else [f'"""{example.replace(" ", chr(10), 1)}"""', f"x = 1  # {example}"]
    for text in where:
        assert len(old_prose(text)) == 1, text
    assert old_prose('x = "loss wasserstein needs a critic whose slope is bounded"') == []


def test_each_name_is_found():
    for text in ("def told(x): ...", "told = 1", "x.told = 1", "f(told=1)", "from x import told", "import x.told", "def f(told): ..."):
        assert old_names(text) == {"told"}, text
    assert old_names("def before(x): ...") == {"before"}
    assert old_names("before = 1") == set()
