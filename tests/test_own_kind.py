"""A kind is one file: one that a model's own file defines goes through every verb, and nothing in the package knows of it."""

import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
import pytest
from PIL import Image as Pillow

import pofx
from pofx import models
from pofx.cli import main
from pofx.errors import UserError
from pofx.kinds import Kind
from pofx.render.pictures import grid
from pofx.testing import check_model

FILE = Path(__file__).parent / "dice.py"
COIN = """
from dataclasses import dataclass

from pofx.kinds.kind import Kind


@dataclass(frozen=True)
class Coin(Kind):
    shape = ()
"""
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
    unusual = [row["row"] for row in report["most_unusual"]]
    assert 0 not in x[unusual]
    shown = grid(x[unusual], Kind.from_json({"kind": "Dice", "dice": 3}), columns=10)
    assert Pillow.open(report["picture"]).convert("RGB").tobytes() == shown.tobytes()


def test_codes_are_written(ask, tmp_path):
    ask("embed", "--out", tmp_path / "codes.npy")
    assert (np.load(tmp_path / "codes.npy").sum(1) == 3).all()


def test_it_is_reconstructed_completed_and_walked_through(ask, folder, tmp_path, capsys):
    ask("reconstruct", "--n", 9, "--out", tmp_path / "r.npz")
    with np.load(tmp_path / "r.npz") as found:
        assert (found["reconstruction"] == np.sort(found["x"], 1)).all()
    report = ask("complete", "--n", 5, "--draws", 2, "--out", tmp_path / "c.npz")
    with np.load(tmp_path / "c.npz") as found:
        assert (report["known"], found["completion"].dtype, found["completion"].shape) == ("first", np.int64, (5, 2, 3))
        assert (found["completion"][:, :, 0] == found["x"][:, None, 0]).all()
        assert not (found["completion"][:, 0] == found["completion"][:, 1]).all()
    ask("complete", "--n", 5)
    ask("interpolate", "--pairs", 2, "--steps", 3, "--out", tmp_path / "i.npy")
    assert np.load(tmp_path / "i.npy").shape == (2, 3, 3)
    ask("reconstruct")
    for name in ("completions.png", "reconstructions.png"):
        assert (folder / "run" / "samples" / name).is_file()
    for verb in ("reconstruct", "complete", "interpolate"):  # an ending of its own is for examples alone
        assert main([verb, str(folder / "run"), "--trust", "--out", str(tmp_path / "x.rolls")]) == 2
        assert "x.rolls: the name must end in .png or .npy or .npz" in capsys.readouterr().err


def test_it_is_evaluated_and_resumed(ask, folder):
    scores = {score["what"]: score["value"] for score in ask("evaluate")["scores"]}
    assert scores["log p"] == pytest.approx(3 * sum(share * math.log(share) for share in SHARES), abs=0.4)
    assert main(["resume", str(folder / "run"), "--steps", "155", "--trust"]) == 0


def test_a_kind_of_pofx_s_own_is_one_file_too(tmp_path):
    """A file in the folder of kinds is found by where it lies."""
    copy = tmp_path / "pofx"
    shutil.copytree(Path(pofx.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "kinds" / "coin.py").write_text(COIN)
    code = "from pofx.kinds import Coin, Kind; assert Kind.from_json({'kind': 'Coin'}) == Coin()"
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": str(tmp_path)})


def test_a_kind_of_pofx_s_own_keeps_its_name():
    with pytest.raises(UserError, match="Image is a kind of pofx's own, as which stored runs are read: call yours otherwise"):
        type("Image", (Kind,), {})
    assert Kind.known["Image"].__module__ == "pofx.kinds.image"
