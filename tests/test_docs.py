"""The documentation does what it says: every example runs, every picture is drawn by the commands beside it, every table is current.

Trainings are cut to a twentieth of the steps that a page says, so what only the whole training shows is not compared here: the blocks
marked `learned`, which `python docs/refresh.py --pictures` compares.
"""

from __future__ import annotations

import doctest
import pkgutil
import re
from pathlib import Path

import imports
import pytest
import refresh

from pofx import models
from pofx.train import Training

SHARE, LEAST = 20, 10  # trainings are so many times shorter here, and so many steps at least
WHOLE = ("docs/adversarial.md", "docs/models/denoising_autoencoder.md", "docs/models/recurrent_lm.md")  # short enough as they are


def name(page: Path) -> str:
    return str(page.relative_to(refresh.ROOT))


def has_examples(page: Path) -> bool:
    return any(block.language in {"python", "sh"} for block in refresh.blocks(page))


@pytest.mark.parametrize("page", refresh.PAGES, ids=name)
def test_blocks_are_run_or_said_to_be_text(page: Path) -> None:
    for block in refresh.blocks(page):
        assert block.language in {"python", "sh", "text", "{toctree}"}, (
            f"{name(page)}:{block.line}: a block of {block.language or 'no language'}"
        )
    assert page.read_text().count("```") == 2 * len(refresh.blocks(page)), "a fence that the examples' reader does not see"


@pytest.fixture
def short(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> bool:
    """Every training of a page that goes by gradients is short; and classifiers so trained are kept from all other tests."""
    if name(request.getfixturevalue("page")) in WHOLE:
        return False
    total = Training.total

    def few(training: Training, examples: int, *, closed: bool = False) -> int:
        asked = total(training, examples, closed=closed)
        return asked if closed else min(asked, max(LEAST, asked // SHARE))

    monkeypatch.setattr(Training, "total", few)
    monkeypatch.setenv("POFX_CACHE", str(tmp_path_factory.getbasetemp() / "cache-of-docs"))
    return True


@pytest.mark.parametrize("page", [page for page in refresh.PAGES if page != refresh.KOREAN and has_examples(page)], ids=name)
def test_examples_run_and_draw_the_pictures_shown(page: Path, tmp_path: Path, short: bool) -> None:
    refresh.run(page, tmp_path, short=short)
    for picture in refresh.pictures(page):
        assert picture.is_file(), f"{name(page)} shows {picture.name}: python docs/refresh.py --pictures"
        assert refresh.drawn(tmp_path, picture), f"{name(page)} shows {picture.name}, which its commands do not draw"


def test_the_korean_page_has_the_examples_and_pictures_of_the_english_one_and_make_demo_runs_them() -> None:
    readme = refresh.ROOT / "README.md"
    assert [p.resolve() for p in refresh.pictures(refresh.KOREAN)] == [p.resolve() for p in refresh.pictures(readme)]
    korean, english = ([re.sub(r"#.*", "", b.text) for b in refresh.blocks(page)] for page in (refresh.KOREAN, readme))
    assert korean == english
    demo = (refresh.ROOT / "Makefile").read_text().replace("$(BIN)/", "").replace("$(DEMO)", "runs/demo")
    commands = next(block for block in refresh.blocks(readme) if block.language == "sh").text.splitlines()
    assert [line.strip() for line in demo.splitlines() if line.startswith("\tpofx ")] == commands


@pytest.mark.parametrize("page", refresh.PAGES, ids=name)
def test_generated_parts_are_current(page: Path) -> None:
    assert page.read_text() == refresh.refreshed(page), "python docs/refresh.py"


@pytest.mark.parametrize("file", refresh.FILES, ids=name)
def test_generated_files_are_current(file: Path) -> None:
    assert file.read_text() == refresh.FILES[file](), "python docs/refresh.py"


def test_the_picture_of_the_rooms_has_every_room() -> None:
    assert doctest.testmod(imports).failed == 0
    rooms = {path.stem for path in imports.PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    assert set(re.findall(r">(\w+)</text>", imports.svg())) == rooms - imports.HIDDEN


def mentioned(text: str) -> tuple[list[str], list[str]]:
    """The dotted names of pofx, and the files of the package, that a page's own words mention."""
    own = refresh.PART.sub("", text)
    files = re.findall(r"`([a-z_]+(?:/[a-z_]+)*\.py|[a-z_]+(?:/[a-z_]+)*/)`", own)
    return re.findall(r"`(pofx(?:\.\w+)+)`", own), [file for file in files if file.split("/")[0] not in ("tests", "benchmarks", "state")]


@pytest.mark.parametrize("page", refresh.PAGES, ids=name)
@pytest.mark.filterwarnings("error::FutureWarning")  # no page teaches an old word
def test_names_and_files_that_pages_mention_are_there(page: Path) -> None:
    names, files = mentioned(page.read_text())
    for dotted in names:
        pkgutil.resolve_name(dotted)
    if page.stem in ("architecture", "reading", "glossary") or page.parent.name == "decisions":
        for file in files:
            assert (imports.PACKAGE / file).exists(), f"{name(page)} mentions {file}"


def test_a_name_and_a_file_that_are_gone_are_seen() -> None:
    assert mentioned("`pofx.run.Gone`, `gone/file.py`, `gone/`") == (["pofx.run.Gone"], ["gone/file.py", "gone/"])


def test_a_stale_part_and_a_failing_example_are_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refresh, "ROOT", tmp_path)
    page = tmp_path / "page.md"
    page.write_text("<!-- made: options pca -->\nold\n<!-- end -->\n```python\n>>> 1 + 1\n3\n```\n")
    assert "`--latent`" in refresh.refreshed(page)
    with pytest.raises(AssertionError, match=r"page.md:4"):
        refresh.run(page, tmp_path)
    page.write_text("```sh\nfalse | true\nexit 3\n```\n")
    with pytest.raises(AssertionError, match="exit status 3"):
        refresh.run(page, tmp_path)


def test_every_model_has_a_page_with_equation_picture_numbers_and_options() -> None:
    for model in models.files():
        page = refresh.ROOT / "docs" / "models" / f"{model}.md"
        assert page.is_file(), f"docs/models/{model}.md is missing"
        text = page.read_text()
        assert "$$" in text, f"{name(page)} has no equation"
        assert refresh.pictures(page), f"{name(page)} has no picture"
        assert "<!-- made: numbers " in text, f"{name(page)} has no measured numbers"
        assert f"<!-- made: options {model} -->" in text, f"{name(page)} does not list the model's options"


@pytest.mark.parametrize("page", refresh.PAGES, ids=name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), f"{name(page)} links to {target}"


def test_site_builds_without_a_warning(tmp_path: Path) -> None:
    build = pytest.importorskip("sphinx.cmd.build", reason="the docs extra is not installed")
    assert build.main(["-W", "-q", "-d", str(tmp_path / "trees"), str(refresh.ROOT / "docs"), str(tmp_path / "site")]) == 0
    assert "<h1>" in (tmp_path / "site" / "index.html").read_text()
