"""Files written by earlier versions load for ever, and the models in them say what they said then (see formats/write.py)."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import pofx
from pofx.commands.evaluate import stored_scores
from pofx.data import reload
from pofx.errors import UserError
from pofx.evaluate import differences
from pofx.run import Run
from pofx.train import Training
from tests.formats.write import answers

KEPT = sorted(file.parent for file in (Path(__file__).parent / "formats").glob("v*/*/config.json"))


def name_of(folder: Path) -> str:
    return f"{folder.parent.name}-{folder.name}"


@pytest.mark.parametrize("folder", KEPT, ids=name_of)
def test_a_run_of_an_earlier_version_says_what_it_said_then(folder):
    model = pofx.load(folder, trust=True)
    expected = json.loads((folder / "expected.json").read_text())
    said = answers(model, torch.tensor(expected.pop("x")))
    assert said.keys() == expected.keys()
    for what, values in expected.items():
        rtol, atol = (0, 0.5) if what == "bound" else (1e-4, 1e-5)
        np.testing.assert_allclose(said[what], values, rtol=rtol, atol=atol, err_msg=f"{what} of {folder}")


@pytest.mark.parametrize("folder", KEPT, ids=name_of)
def test_the_configuration_metrics_and_scores_of_an_earlier_version_are_read(folder):
    run = Run(folder)
    rows = run.metrics()
    assert ("training" in run.config) == bool(rows)
    assert all("step" in row for row in rows)
    if "training" in run.config:
        Training(**run.config["training"])
        assert reload(run.config["data"]).record["sha256"] == run.config["data"]["sha256"]
    for score in stored_scores(run):
        assert score.protocol["split"] == "test"
        assert not differences(score.protocol, score.protocol)


@pytest.mark.parametrize("folder", KEPT, ids=name_of)
def test_a_kept_run_that_is_damaged_is_named(folder, tmp_path):
    for file in ("model.safetensors", "config.json"):
        copy = tmp_path / file / folder.name
        shutil.copytree(folder, copy)
        whole = (copy / file).read_bytes()
        (copy / file).write_bytes(whole[: len(whole) // 2])
        with pytest.raises(UserError, match=f"{file} is damaged"):
            pofx.load(copy, trust=True)


def test_there_is_a_first_version():
    assert {folder.parent.name for folder in KEPT} >= {"v1"}


def test_the_kept_files_stay_small():
    assert sum(file.stat().st_size for folder in KEPT for file in folder.iterdir()) < 300_000 * len({folder.parent for folder in KEPT})
