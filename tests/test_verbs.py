"""A verb is one file, which gives a result and writes nothing itself; a session is a run's model, loaded once."""

import ast
import copy
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import pofx
from pofx import commands, models
from pofx.capabilities import Decodes, Encodes, Samples, Scores, Translates, can, require
from pofx.cli import main
from pofx.commands import Verb, files
from pofx.kinds import Binary, Image, Kind, Tokens, Vector
from pofx.progress import progress
from pofx.session import Arrays, Result, Session, Table, TextFile, refusal_hint
from pofx.testing.cases import cases

SOURCE = Path(pofx.__file__).parent
NORM = '''
"""`pofx norm`: how long the codes of items are."""

from pofx.capabilities import Encodes, require
from pofx.commands.verb import verb
from pofx.options import Positive
from pofx.session import Result, Session


@verb(Encodes, data=True, json_only=("norms",))
def norm(run, *, times: Positive = 1.0, trust: bool = False, **asked):
    """The length of every item's code.

    Args:
        run: a run folder
        times: what each is multiplied by
        trust: execute the model file that the run carries
        asked: how the data are read
    """
    session = Session.load(run, trust=trust)
    x = session.read_rows().read([0, 1])["x"]
    norms = (times * require(session.model, Encodes).encode(x).norm(dim=1)).tolist()
    return Result({"run": str(session.run.path), "norms": norms})
'''


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("session")
    assert main(["train", "vae", "--data", "digits", "--steps", "3", "--hidden", "8", "--latent", "2", "--out", str(folder / "run")]) == 0
    return folder / "run"


def test_a_verb_is_one_file(run, tmp_path, monkeypatch, capsys):
    """A file in the folder of verbs is all: it is in help, its arguments are flags with their limits, its report is printed."""
    (tmp_path / "norm.py").write_text(NORM)
    monkeypatch.setattr(commands, "__path__", [*commands.__path__, str(tmp_path)])
    try:
        commands.find()
        capsys.readouterr()
        assert main(["--help"]) == 0
        assert "\n  norm         The length of every item's code." in capsys.readouterr().out
        assert list(commands.VERBS)[:2] == ["models", "data"], "those of pofx come first"
        assert main(["norm", str(run), "--times", "2", "--json"]) == 0
        found = json.loads(capsys.readouterr().out)["norms"]
        model, rows = pofx.load(run), Session.load(run).read_rows().read([0, 1])["x"]
        np.testing.assert_allclose(found, (2 * model.encode(rows).norm(dim=1)).tolist(), rtol=1e-6)
        assert main(["norm", str(run), "--times", "0"]) == 2
        assert "--times must be above 0" in capsys.readouterr().err
    finally:
        commands.VERBS.pop("norm", None)
        vars(commands).pop("norm", None)
        sys.modules.pop("pofx.commands.norm", None)


def test_a_verb_gives_a_result_and_writes_nothing(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    drawn = commands.VERBS["sample"].result(str(run), n=3, out="x.npz")
    coded = commands.VERBS["embed"].result(str(run), split="test", out="codes.csv")
    scored = commands.VERBS["score"].result(str(run), split="test")
    assert list(tmp_path.iterdir()) == []
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before
    assert isinstance(drawn, Result)
    assert drawn.values["x"].shape == (3, 1, 8, 8)
    assert {path.name: type(artefact) for path, artefact in drawn.artefacts.items()} == {"x.npz": Arrays}
    assert {path.name: type(artefact) for path, artefact in coded.artefacts.items()} == {"codes.csv": Table}
    assert coded.ids["row"] == sorted(coded.ids["row"])
    assert len(coded.values["code"]) == len(coded.ids["label"]) == len(scored.values["log_p"]) == 180
    assert [path.name for path in scored.artefacts] == ["unusual.png"]
    report = commands.VERBS["sample"](str(run), n=3, out="x.npz")
    np.testing.assert_array_equal(np.load("x.npz")["x"], drawn.values["x"])
    assert report == drawn.report


def test_sampling_constructs_the_model_once(run, monkeypatch, tmp_path):
    made, original = [], pofx.Model.__init__

    def counted(self, *args, **given):
        made.append(type(self))
        original(self, *args, **given)

    monkeypatch.setattr(pofx.Model, "__init__", counted)
    assert main(["sample", str(run), "--n", "2", "--out", str(tmp_path / "x.npy")]) == 0
    assert [cls.title() for cls in made] == ["vae"]


def test_what_a_model_can_be_asked_a_session_can_be_asked(run, tmp_path):
    model, session = pofx.load(run), Session.load(run)
    x = torch.rand(2, 1, 8, 8)
    assert torch.equal(session.encode(x), model.encode(x))
    assert torch.equal(session.decode(session.encode(x)), model.decode(model.encode(x)))
    generators = [torch.Generator().manual_seed(0) for _ in range(2)]
    assert torch.equal(session.sample(2, generator=generators[0]), model.sample(2, generator=generators[1]))
    assert (session.title(), session.capabilities(), session.config) == (model.title(), model.capabilities(), model.config)
    assert list(session.state_dict()) == list(model.state_dict())
    assert not session.training
    with pytest.raises(AttributeError, match="nothing_such"):
        _ = session.nothing_such
    assert Session.load(session) is session
    assert all(can(session, asked) for asked in (Samples, Scores, Encodes, Decodes))
    assert not can(session, Translates)
    assert require(session, Encodes).codes == model.codes
    with pytest.raises(pofx.UserError, match="vae has no translate"):
        require(session, Translates)
    assert torch.equal(copy.deepcopy(session).encode(x), model.encode(x))
    data = pofx.data.load("digits")
    found = [score.value for score in pofx.evaluate.evaluate(session, data, rows=20)]
    assert found == [score.value for score in pofx.evaluate.evaluate(model, data, rows=20)]
    assert torch.equal(pofx.load(pofx.run.save(session, tmp_path / "again")).encode(x), model.encode(x))


def test_a_session_trains_its_run_on_and_saves_what_it_has_learned(tmp_path):
    line = ["train", "vae", "--data", "digits", "--hidden", "8", "--latent", "2"]
    for name, steps in (("three", "3"), ("five", "5")):
        assert main([*line, "--steps", steps, "--out", str(tmp_path / name)]) == 0
    session = Session.load(tmp_path / "three")
    assert (session.steps_done, session.steps_total) == (3, 3)
    session.train_on(2)
    assert (session.steps_done, session.steps_total) == (5, 5)
    for name, value in pofx.load(tmp_path / "five").state_dict().items():
        assert torch.equal(session.state_dict()[name], value)
    saved = Session.load(session.save(tmp_path / "saved"))
    x = saved.read_rows(split="test").read([7])["x"]
    assert torch.equal(saved.encode(x), session.encode(x))
    assert (saved.steps_done, saved.steps_total) == (0, 0)
    with pytest.raises(pofx.UserError, match="exists already"):
        session.save(tmp_path / "saved")


def test_what_a_model_of_text_reads_is_its_own(tmp_path):
    (tmp_path / "lines.txt").write_text("abc\nbca\ncab\n" * 10)
    line = ["train", "ngram", "--data", tmp_path / "lines.txt", "--out", tmp_path / "run"]
    assert main([*map(str, line)]) == 0
    session = Session.load(tmp_path / "run")
    assert session.read(None) == session.model.read(None)
    assert session.texts(session.read_rows(split="valid").read([0])["x"])[0] in ("abc", "bca", "cab")
    assert session.batch([[2, 3, 1], [2, 1]]).tolist() == [[2, 3, 1], [2, 1, 0]]


def test_numbers_are_those_that_the_kind_has(run):
    found = Session.load(run).numbers([torch.zeros(2, 1, 8, 8, dtype=torch.float64), torch.ones(1, 1, 8, 8, dtype=torch.bfloat16)])
    assert (found.dtype, found.shape, found[2].mean()) == (np.float32, (3, 1, 8, 8), 1)


def test_a_verb_shows_how_far_long_work_is(monkeypatch):
    shown = []

    def watch(items, total, what):
        shown.append((total, what))
        yield from items

    monkeypatch.setattr("pofx.commands.verb.counted", watch)
    made = Verb(lambda: sum(progress([1, 2], 2, "adding")), None, (), "")
    assert made() == 3
    assert shown == [(2, "adding")]
    assert made.result() == 3
    assert len(shown) == 1, "only the command layer shows it"


def test_a_file_holds_what_its_ending_says(tmp_path):
    for name, artefact in {"x.txt": Arrays({"x": np.zeros(1)}, "x"), "x.png": Table({"a": [1]}), "x.npz": TextFile(["a"], ())}.items():
        with pytest.raises(ValueError, match="cannot hold"):
            files.save(tmp_path / name, artefact)
    assert list(tmp_path.iterdir()) == []


def test_a_session_reads_data_as_the_run_did(run):
    session = Session.load(run)
    test, whole = session.read_rows(split="test"), session.read_rows()
    assert (len(test), len(whole)) == (180, 1797)
    np.testing.assert_array_equal(test.read([5])["x"], whole.read([whole.source.tolist().index(test.source[5])])["x"])
    assert session.codec() is None


def test_below_the_commands_nobody_prints():
    """Nor writes to standard output or error: what is to be said is returned, raised, warned of, or told to `pofx.progress`."""
    found = []
    for file in sorted(SOURCE.rglob("*.py")):
        room = file.relative_to(SOURCE).parts[0]
        if room in ("commands", "cli.py", "testing"):
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("print", "sys.stdout.write", "sys.stderr.write"):
                found.append(f"{file.relative_to(SOURCE)}: line {node.lineno}")
    assert found == []


@pytest.mark.parametrize(
    ("kind", "found", "said"),
    [
        (Binary(1, 8, 8), Image(1, 8, 8), "; make it binary with --binarize dynamic or --binarize threshold"),
        (Image(1, 8, 8), Image(1, 9, 9), "; pass --size 8"),
        (Binary(1, 8, 8), Binary(1, 9, 9), "; pass --size 8"),
        (Image(1, 8, 8), Vector(3), "; pictures are uint8, from 0 to 255"),
        (Tokens(9, 5), Tokens(9, 7), "; pass --length 5"),
        (Tokens(9, 5, ends=False), Tokens(9, 7, ends=False), "; pass --window 5"),
        (Tokens(9, 5), Tokens(9, 5, tokenizer="other"), "; its text was made into other tokens"),
        (Vector(3), Vector(4), ""),
    ],
)
def test_what_is_refused_says_what_to_write(kind: Kind, found: Kind, said: str):
    assert kind.accepts(kind) == ()
    assert kind.accepts(found) != ()
    assert refusal_hint(kind.accepts(found)) == said


def test_levels_of_a_picture_do_not_matter():
    assert Image(1, 8, 8).accepts(Image(1, 8, 8, levels=17)) == ()


@pytest.mark.parametrize("name", [Path(file).stem for file in models.files()])
def test_no_name_of_a_session_s_own_hides_a_model_s(name):
    model = cases(models.find(name))[0].model()
    hidden = {word for word in vars(Session) if not word.startswith("_")} | {"run", "data", "trust"}
    assert {word for word in hidden if hasattr(model, word)} == set()
