"""A kind is one file: one that a model's own file defines goes through every verb, and nothing in the package knows of it."""

import json
import math
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
import pytest
from PIL import Image as Pillow

from pofx import models
from pofx.cli import main
from pofx.kinds import Kind
from pofx.render.pictures import grid
from pofx.testing import check_model

FILE = Path(__file__).parent / "dice.py"
SHARES = (0.5, 0.1, 0.1, 0.1, 0.1, 0.1)  # of a die that is loaded


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dice")
    throws = np.random.default_rng(0).choice(6, size=(1000, 3), p=SHARES).astype(np.int8)
    np.save(folder / "throws.npy", throws)
    line = ["train", f"{FILE}:Throws", "--data", str(folder / "throws.npy"), "--out", str(folder / "run"), "--steps", "150", "--lr", "0.05"]
    assert main(line) == 0
    return folder


@pytest.fixture
def ask(folder, capsys):
    def asking(verb, *flags):
        capsys.readouterr()
        assert main([verb, str(folder / "run"), "--trust", "--json", *map(str, flags)]) == 0
        return json.loads(capsys.readouterr().out)

    return asking


def test_it_is_trained_on_and_keeps_the_contract(folder):
    found = json.loads((folder / "run" / "config.json").read_text())
    assert found["data"]["fields"] == {"x": {"kind": "Dice", "dice": 3}}
    check_model(models.find(f"{FILE}:Throws"))


def test_samples_are_drawn_and_written(folder, ask, tmp_path):
    ask("sample", "--n", 500, "--out", tmp_path / "x.npy")
    x = np.load(tmp_path / "x.npy")
    assert (x.dtype, x.shape) == (np.int64, (500, 3))
    assert (x == 0).mean() == pytest.approx(SHARES[0], abs=0.06)
    ask("sample", "--n", 500, "--out", tmp_path / "x.rolls")
    assert (tmp_path / "x.rolls").read_text().splitlines() == ["".join(str(1 + face) for face in row) for row in x.tolist()]
    ask("sample", "--n", 500, "--out", tmp_path / "x.png", "--columns", 20)
    kind = Kind.from_json({"kind": "Dice", "dice": 3})
    assert Pillow.open(tmp_path / "x.png").convert("RGB").tobytes() == grid(x, kind, columns=20).tobytes()
    assert (folder / "run" / "samples" / "samples.png").is_file()


def test_scores_are_those_of_the_shares(ask, tmp_path):
    report = ask("score", "--out", tmp_path / "scores.parquet")
    assert report["mean"] == pytest.approx(3 * sum(share * math.log(share) for share in SHARES), abs=0.15)
    table = parquet.read_table(tmp_path / "scores.parquet").to_pydict()
    assert table["row"] == list(range(1000))
    x = np.load(Path(report["data"]))
    unusual = report["most_unusual"][0]["row"]
    assert 0 not in x[unusual]
    assert Path(report["picture"]).is_file()


def test_codes_are_written(ask, tmp_path):
    ask("embed", "--out", tmp_path / "codes.npy")
    assert (np.load(tmp_path / "codes.npy").sum(1) == 3).all()


def test_it_is_evaluated_and_resumed(ask, folder):
    scores = {score["what"]: score["value"] for score in ask("evaluate")["scores"]}
    assert scores["log p"] == pytest.approx(3 * sum(share * math.log(share) for share in SHARES), abs=0.4)
    assert main(["resume", str(folder / "run"), "--steps", "155", "--trust"]) == 0
