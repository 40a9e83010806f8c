"""Files written by earlier versions load for ever, and the models in them say what they said then (see formats/write.py).

A run that was stopped then goes on to where it went then.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import pofx
from pofx import models
from pofx.commands.evaluate import stored_scores
from pofx.data import reload
from pofx.errors import UserError
from pofx.evaluate import differences
from pofx.run import Run
from pofx.train import Training, resume
from tests.formats.said import answers, more_answers, summaries, unlike

FORMATS = Path(__file__).parent / "formats"
KEPT = sorted(file.parent for file in FORMATS.glob("v*/*/config.json"))
FINISHED = [folder for folder in KEPT if folder.parent.name == "v1"]
STOPPED = [folder for folder in KEPT if (folder / "state").is_dir()]


def name_of(folder: Path) -> str:
    return f"{folder.parent.name}-{folder.name}"


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch):
    monkeypatch.chdir(FORMATS.parent.parent)  # from where the records of v2 name their data


def tensors(fields: dict[str, list]) -> dict[str, torch.Tensor]:
    return {name: torch.tensor(values) for name, values in fields.items()}


@pytest.mark.parametrize("folder", FINISHED, ids=name_of)
def test_a_run_of_an_earlier_version_says_what_it_said_then(folder):
    model = pofx.load(folder, trust=True)
    expected = json.loads((folder / "expected.json").read_text())
    said = answers(model, torch.tensor(expected.pop("x")))
    assert said.keys() == expected.keys()
    for what, values in expected.items():
        rtol, atol = (0, 0.5) if what == "bound" else (1e-4, 1e-5)
        np.testing.assert_allclose(said[what], values, rtol=rtol, atol=atol, err_msg=f"{what} of {folder}")


@pytest.mark.parametrize("folder", STOPPED, ids=name_of)
def test_a_run_that_was_stopped_says_what_it_said_then_and_goes_on_to_where_it_went_then(folder, tmp_path):
    expected = json.loads((folder / "expected.json").read_text())
    said = more_answers(pofx.load(folder, trust=True), tensors(expected["fields"]))
    assert said.keys() >= expected["says"].keys()
    for what, values in expected["says"].items():
        np.testing.assert_allclose(said[what], values, rtol=1e-4, atol=1e-5, err_msg=f"{what} of {folder}")
    copy = shutil.copytree(folder, tmp_path / "copy")
    before = len(Run(copy).metrics())
    resume(copy, trust=True)
    assert len(Run(copy).metrics()) > before
    for file, then in expected["resumed"].items():
        assert not unlike(then, summaries(copy / file)), f"{file} of {folder}"


@pytest.mark.parametrize("folder", KEPT, ids=name_of)
def test_the_configuration_metrics_and_scores_of_an_earlier_version_are_read(folder):
    run = Run(folder)
    rows = run.metrics()
    assert ("training" in run.config) == bool(rows)
    assert all("step" in row for row in rows)
    if "training" in run.config:
        Training(**run.config["training"])
        assert reload(run.config["data"], run.tokenizers()).record["sha256"] == run.config["data"]["sha256"]
    for score in stored_scores(run):
        assert score.protocol["split"] == "test"
        assert not differences(score.protocol, score.protocol)


@pytest.mark.parametrize("folder", FINISHED, ids=name_of)
def test_a_kept_run_that_is_damaged_is_named(folder, tmp_path):
    for file in ("model.safetensors", "config.json"):
        copy = tmp_path / file / folder.name
        shutil.copytree(folder, copy)
        whole = (copy / file).read_bytes()
        (copy / file).write_bytes(whole[: len(whole) // 2])
        with pytest.raises(UserError, match=f"{file} is damaged"):
            pofx.load(copy, trust=True)


def test_every_model_has_a_kept_run_that_was_stopped():
    kept = {models.find(folder.name.partition(".")[0]) for folder in STOPPED if not folder.name.startswith("own_")}
    assert kept == {models.find(name) for name in models.files()}
    assert {folder.parent.name for folder in KEPT} >= {"v1", "v2"}


def test_summaries_are_told_apart_and_found_under_a_new_name():
    then = {"a": [[2], 3.0, 2.5], "b": [[2], 1.0, 1.0]}
    assert not unlike(then, {"a": [[2], 3.00001, 2.5], "c": [[2], 1.0, 1.0]})
    assert unlike(then, {"a": [[2], 3.01, 2.5], "b": [[2], 1.0, 1.0]}) == ["a"]
    assert unlike(then, {"a": [[2], 3.0, 2.5], "c": [[2, 1], 1.0, 1.0]}) == ["b"]
    assert unlike(then, then | {"c": [[1], 0.0, 0.0]}) == ["c (new)"]


def test_the_kept_files_stay_small():
    sizes = {"v1": 300_000, "v2": 2_500_000}
    for version in {folder.parent.name for folder in KEPT}:
        assert sum(file.stat().st_size for file in (FORMATS / version).rglob("*") if file.is_file()) < sizes.get(version, 300_000)
