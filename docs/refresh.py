"""The parts of the documentation that a program writes: `python docs/refresh.py` writes them, `--check` says which are not current.

A generated part stands between `<!-- made: NAME ARGUMENT ... -->` and `<!-- end -->` and comes from the function of that name here;
a generated file (`FILES`) comes whole from its function.
A page's examples are its blocks of `python` and `sh`; they run in order in one folder. `--pictures` runs them all and keeps the pictures
that the pages show, so each picture is what the commands beside it draw. The tests run them with short trainings, and what a block marked
`learned` shows takes the whole training: only `--pictures` compares it.
"""

from __future__ import annotations

import argparse
import contextlib
import doctest
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import imports

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "README.ko.md", *sorted((ROOT / "docs").rglob("*.md"))]
KOREAN = ROOT / "README.ko.md"  # the examples of README.md again, so they are compared and not run twice

WORDS = {
    "ko": {
        "model": "모델", "family": "계열", "can": "할 수 있는 일", "density": "p(x)", "data": "데이터", "paper": "논문",
        "exact": "정확", "bound": "하한", "none": "없음",
        "samples": "샘플 생성", "scores": "점수 매기기", "encodes": "인코딩", "decodes": "디코딩", "completes": "빈 곳 채우기",
        "generates": "코드에서 생성", "clusters": "군집 찾기", "translates": "변환", "classifies": "분류", "hashes": "이진 해시",
    }
}  # fmt: skip


# Generated parts


def models(language: str = "en") -> str:
    """The zoo, as `pofx models` lists it."""
    from pofx import commands

    say = WORDS.get(language, {})

    def word(text: str) -> str:
        return say.get(text, text)

    rows = []
    for model in commands.VERBS["models"]():
        page = f"docs/models/{model['name']}.md"
        paper = model["paper"]
        rows.append([
            f"[{model['name']}]({page})",
            model["family"],
            ", ".join(word(capability) for capability in model["capabilities"]),
            word(model["density"] or "none"),
            "; ".join(f"{field}: {', '.join(kinds)}" for field, kinds in model["data"].items()),
            f"{paper['authors']}, {paper['year']}",
        ])  # fmt: skip
    return _table([word(title) for title in ("model", "family", "can", "density", "data", "paper")], rows)


def taxonomy() -> str:
    """Which models know what of p(x)."""
    from pofx import commands

    what = {
        "explicit": "log p(x) is computed exactly",
        "bounded": "log p(x) is bounded from below",
        "implicit": "x can be drawn, but log p(x) cannot be computed",
        "none": "neither: codes, or labels",
    }
    zoo = commands.VERBS["models"]()
    return _table(
        ["p(x)", "what that means", "models"],
        [[kind, meaning, ", ".join(m["name"] for m in zoo if m["p(x)"] == kind) or "none yet"] for kind, meaning in what.items()],
    )


def options(model: str) -> str:
    """The hyper-parameters of a model, as `pofx train MODEL --help` lists them."""
    from pofx.models import find

    rows = [
        [f"`--{option.name.replace('_', '-')}`", _values(option.annotation), _default(option.default), option.help]
        for option in find(model).hyper_parameters()
    ]
    return _table(["flag", "values", "default", "what it is"], rows)


def help(*words: str) -> str:  # named as the flag is
    """What `pofx WORDS --help` prints."""
    os.environ["COLUMNS"] = "110"  # what the help is wrapped at
    status, output = command(shlex.join(["pofx", *words, "--help"]))
    if status:
        raise AssertionError(output)
    return f"```text\n{output.strip()}\n```"


def numbers(*names: str) -> str:
    """The measured rows of benchmarks from `benchmarks/results`; where none is named, of all of them, family by family."""
    import benchmarks
    from benchmarks import rows

    return rows.table(benchmarks.promised(names)) if names else rows.report(benchmarks.FAMILIES, benchmarks.promised())


def words() -> str:
    """Every word that was given up, and what it is now."""
    from pofx import renamed
    from pofx.models import find

    arguments: dict[tuple[str, str], list[str]] = {}  # (old, new) -> models
    for model, table in renamed.ARGUMENTS.items():
        known = {option.name for option in find(model).hyper_parameters()}
        for pair in table.items():
            if pair[1] in known:
                arguments.setdefault(pair, []).append(model)
    every: list[tuple[str, str, str]] = []  # what it is of, old, new
    every += [("model", f"`{old}`", f"`{new}`") for old, new in renamed.MODELS.items()]
    every += [(f"argument of {', '.join(models)}", f"`{old}`", f"`{new}`") for (old, new), models in arguments.items()]
    every += [("option or record of data", f"`{old}`", f"`{new}`") for old, new in renamed.DATA.items()]
    every += [("method or attribute of a model", f"`{old}`", f"`{new}`") for old, new in renamed.MEMBERS.items()]
    every += [("class, function or constant", f"`{old}`", f"`{new}`") for old, new in renamed.NAMES.items()]
    every += [("module", f"`{old}`", ", ".join(f"`{new}`" for new in homes)) for old, homes in renamed.MODULES.items()]
    return _table(["what", "old word", "now"], [list(row) for row in every])


def _values(annotation: Any) -> str:
    from pofx.options import limits

    if get_origin(annotation) is Literal:
        return ", ".join(map(str, get_args(annotation)))
    choices = next((_values(part) for part in get_args(annotation) if get_origin(part) is Literal), None)
    return choices or limits(annotation)


def _default(value: object) -> str:
    return "" if value is None else " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _table(titles: list[str], rows: list[list[str]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


PARTS: dict[str, Callable[..., str]] = {
    part.__name__: part for part in (models, taxonomy, options, help, numbers, words)
}  # fmt: skip
FILES: dict[Path, Callable[[], str]] = {ROOT / "docs" / "pictures" / "rooms.svg": imports.svg}
PART = re.compile(r"(<!-- made: (\w+)(.*?) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def refreshed(page: Path) -> str:
    """The text of `page` with its generated parts made anew."""

    def make(match: re.Match[str]) -> str:
        made = PARTS[match[2]](*match[3].split())
        made = re.sub(r"\]\((docs/[^)]+)\)", lambda link: f"]({os.path.relpath(ROOT / link[1], page.parent)})", made)
        return f"{match[1]}{made}\n{match[5]}"

    return PART.sub(make, page.read_text())


# Examples


@dataclass(frozen=True)
class Block:
    """A fenced block of a page: its language, its text, the line it begins at, and the file that it is the content of, if any.

    Args:
        learned: the output shown is what a model has learned by the whole training
    """

    language: str
    text: str
    line: int
    file: str | None
    learned: bool


def blocks(page: Path) -> list[Block]:
    """Every fenced block of `page`, in order."""
    text = page.read_text()
    fences = re.finditer(r"^```(\S*)(?: file=(\S+))?( learned)?\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [Block(fence[1], fence[4], text.count("\n", 0, fence.start()) + 1, fence[2], bool(fence[3])) for fence in fences]


def command(line: str) -> tuple[int, str]:
    """Exit status and output of a line of shell; `pofx` by itself runs in this process, which spares it the import of torch."""
    from pofx.cli import main as pofx

    words = shlex.split(line, comments=True)
    if words[:1] == ["pofx"] and "||" not in words:
        with contextlib.redirect_stdout(io.StringIO()) as output, contextlib.redirect_stderr(output):
            return pofx(words[1:]), output.getvalue()
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(["sh", "-c", line], env=os.environ | {"PATH": path}, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


class Unread(doctest.OutputChecker):
    """Takes any output for the one that is shown. An exception that is not shown is still a failure."""

    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        return True


def run(page: Path, folder: Path, *, short: bool = False) -> None:
    """Run the examples of `page` in order, in `folder`; an error names the page and the line.

    Python blocks share their names; one with `>>>` is checked against the output it shows; one with `file=NAME` is written to that file.

    Args:
        short: trainings are shorter than the page says, so the output of a block marked `learned` is not compared
    """
    names: dict[str, object] = {"__name__": "__main__"}
    with contextlib.chdir(folder):
        for block in blocks(page):
            where = f"{page.relative_to(ROOT)}:{block.line}"
            if block.file is not None:
                Path(block.file).write_text(block.text)
            elif block.language == "sh":
                for line in block.text.replace("\\\n", " ").splitlines():
                    status, output = command(line)
                    if status:
                        raise AssertionError(f"{where}: {line}: exit status {status}\n{output}")
            elif block.language == "python" and ">>> " in block.text:
                report = io.StringIO()
                test = doctest.DocTestParser().get_doctest(block.text, names, where, str(page), block.line)
                checker = Unread() if short and block.learned else None
                runner = doctest.DocTestRunner(checker, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
                runner.run(test, out=report.write, clear_globs=False)
                names.update(test.globs)
                if runner.failures:
                    raise AssertionError(f"{where}\n{report.getvalue()}")
            elif block.language == "python":
                try:
                    exec(compile(block.text, where, "exec"), names)
                except Exception as error:
                    raise AssertionError(f"{where}: {type(error).__name__}: {error}") from error


def drawn(folder: Path, picture: Path) -> Path | None:
    """The file of that name which the examples run in `folder` drew."""
    return next(folder.rglob(picture.name), None)


def pictures(page: Path) -> list[Path]:
    """The pictures that `page` shows."""
    return [page.parent / shown for shown in re.findall(r"!\[[^]]*\]\(([^):]+\.(?:png|gif))\)", page.read_text())]


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python docs/refresh.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 and name the pages that are not current")
    parser.add_argument("--pictures", action="store_true", help="run every page's examples and keep the pictures it shows")
    parser.add_argument("pages", nargs="*", type=lambda path: Path(path).resolve(), help="only these pages")
    asked = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    for page in asked.pages:
        if page not in PAGES:
            parser.error(f"{page} is no page of the documentation")
    chosen = asked.pages or PAGES
    made = {page: refreshed(page) for page in chosen} | {file: make() for file, make in FILES.items() if not asked.pages}
    stale = {file: text for file, text in made.items() if not file.is_file() or text != file.read_text()}
    for page, text in stale.items():
        print(f"{page.relative_to(ROOT)}: {'not current: python docs/refresh.py' if asked.check else 'written'}")
        if not asked.check:
            page.write_text(text)
    for page in chosen if asked.pictures else []:
        if page == KOREAN or not (pictures(page) or any(block.learned for block in blocks(page))):
            continue
        with tempfile.TemporaryDirectory() as folder:
            run(page, Path(folder))
            for picture in pictures(page):
                file = drawn(Path(folder), picture)
                if file is None:
                    raise SystemExit(f"{page.relative_to(ROOT)} shows {picture.name}, which its commands do not draw")
                shutil.copyfile(file, picture)
                print(f"{picture.resolve().relative_to(ROOT)}: drawn")
    return int(bool(stale) and asked.check)


if __name__ == "__main__":
    sys.exit(main())
