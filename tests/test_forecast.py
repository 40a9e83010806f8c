"""Forecasts: what each draw sees, moments that are known in closed form, and `pofx forecast` as a user calls it."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

import pofx
from pofx.cli import main
from pofx.errors import UserError
from pofx.inference.forecasting import continued
from pofx.kinds import Series, Vector
from pofx.model import Model
from pofx.models.autoencoders.pca import PCA
from pofx.models.autoregressive.fvsbn import FVSBN
from pofx.models.autoregressive.series_ar import SeriesAR
from pofx.models.autoregressive.series_markov import SeriesMarkov
from pofx.randomness import generator
from pofx.run import save


class Counting(Model):
    """Completes a sequence with its last known number plus 1, plus 2, ..., and remembers what it was asked."""

    def __init__(self, x: Series):
        super().__init__()
        self.seen: list[list[float]] = []

    def complete(self, x, known, *, generator=None):
        K = int(known[:, 0].sum())
        assert known[:K].all()
        self.seen.append(x[0, :K, 0].tolist())
        return torch.where(known, x, x[:, K - 1 : K] + (torch.arange(x.shape[1])[:, None] - K + 1))


@pytest.mark.parametrize(
    ("past", "context", "seen"),
    [
        (6, None, [[4, 5, 6], [5, 6, 7], [6, 7, 8], [7, 8, 9], [8, 9, 10]]),  # all that fits but one step, one step at a time
        (6, 2, [[5, 6], [7, 8], [9, 10]]),  # two steps at a time; the sixth is not asked for
        (6, 1, [[6], [9]]),
        (2, None, [[1, 2], [2, 3, 4], [3, 4, 5], [4, 5, 6]]),  # a short past is known as far as it goes
    ],
)
def test_what_is_drawn_becomes_the_past(past, context, seen):
    model, known = Counting(Series(4)), torch.arange(1.0, past + 1)[None, :, None]
    future = continued(model, known, 5, context=context)
    assert future[0, :, 0].tolist() == [past + h for h in range(1, 6)]
    assert model.seen == seen


def chain() -> SeriesMarkov:
    """x_t = c + A x_{t-1} + e_t of two channels, set by hand."""
    model = SeriesMarkov(Series(4, 2)).double()
    with torch.no_grad():
        model.W_KK.copy_(torch.tensor([[0, 0, 0, 0], [0.3, 0, 0, 0], [0.8, 0.1, 0, 0], [-0.2, 0.5, 0.6, 0]]))
        model.b_K.copy_(torch.tensor([0.0, 0.0, 0.2, -0.1]))
        model.log_s_K.copy_(torch.tensor([0.0, 0.0, -0.5, -0.2]))
        model.mean_C.copy_(torch.tensor([10.0, -3.0]))
        model.scale_C.copy_(torch.tensor([2.0, 0.1]))
    return model


@pytest.mark.parametrize("context", [None, 1])
def test_futures_have_the_moments_of_the_recursion(context):
    """Beyond the window: mean_h = c + A mean_{h-1}, covariance_h = A covariance_{h-1} A^T + noise."""
    model, n, H = chain(), 10_000, 6
    A, c, noise = (part.detach().squeeze(0) if i == 0 else part.detach() for i, part in enumerate(model.coefficients()))
    past = torch.tensor([[9.0, -3.1], [12.0, -2.9]], dtype=torch.float64)
    future = continued(model, past.expand(n, 2, 2), H, context=context, generator=generator("moments"))
    mean, covariance = past[-1], torch.zeros(2, 2, dtype=torch.float64)
    for h in range(H):
        mean, covariance = c + A @ mean, A @ covariance @ A.T + noise
        scale = covariance.diagonal().sqrt()
        assert ((future[:, h].mean(0) - mean) / scale).abs().max() < 5 / n**0.5
        assert ((future[:, h].T.cov() - covariance) / scale.outer(scale)).abs().max() < 8 / n**0.5


def test_what_continuing_needs():
    past = torch.zeros(3, 2, 1)
    with pytest.raises(UserError, match="pca has no complete"):
        continued(PCA(Series(4), latent=1), past, 5)
    with pytest.raises(UserError, match=r"which is no sequence in time"):
        continued(FVSBN(pofx.kinds.Binary(4)), past, 5)
    with pytest.raises(UserError, match="the past has 2 steps of 1 channels: give 2 channels"):
        continued(chain(), past, 5)
    with pytest.raises(UserError, match="context must be between 1 and 3, not 4"):
        continued(Counting(Series(4)), past, 5, context=4)
    with pytest.raises(UserError, match=r"made for single steps.*train with --window 2"):
        continued(SeriesAR(Series(1), tau=0), past, 5)


# As a user calls it


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An AR(2) of two channels with a date, and a run of it."""
    folder = tmp_path_factory.mktemp("forecast")
    numbers, x = np.random.default_rng(0), np.zeros((400, 2))
    for t in range(2, 400):
        x[t] = 1.2 * x[t - 1] - 0.5 * x[t - 2] + numbers.standard_normal(2)
    rows = [f"{np.datetime64('2024-01-01') + t},{20 + a:.6f},{1000 + 50 * b:.6f}" for t, (a, b) in enumerate(x)]
    (folder / "x.csv").write_text("\n".join(["day,heat,rain", *rows]) + "\n")
    assert main(["train", "series_ar", "--tau", "2", "--data", str(folder / "x.csv"), "--window", "8", "--out", str(folder / "run")]) == 0
    return folder


def told(capsys, *words) -> dict:
    capsys.readouterr()
    assert main(["forecast", *map(str, words), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_report_the_table_and_the_futures_agree(folder, capsys):
    out = folder / "out"
    asked = [folder / "run", "--horizon", 20, "--n", 300, "--quantiles", 0.1, 0.9, 0.5, "--picture", out / "fan.png"]
    report = told(capsys, *asked, "--out", out / "q.csv")
    told(capsys, *asked, "--out", out / "futures.npz")
    futures = np.load(out / "futures.npz")["future"]
    assert futures.shape == (300, 20, 2)
    with (out / "q.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["step", "channel", "mean", "quantile_0.1", "quantile_0.5", "quantile_0.9"]
    assert [(row["step"], row["channel"]) for row in rows] == [(str(h + 1), name) for h in range(20) for name in ("heat", "rain")]
    for row in rows:
        drawn = futures[:, int(row["step"]) - 1, ("heat", "rain").index(row["channel"])].astype(float)
        for level in (0.1, 0.5, 0.9):
            assert float(row[f"quantile_{level}"]) == pytest.approx(np.quantile(drawn, level), rel=1e-5)
        assert float(row["mean"]) == pytest.approx(drawn.mean(), rel=1e-5)
    assert [item["quantile_0.5"] for item in report["forecast"]] == [float(row["quantile_0.5"]) for row in rows]
    assert (report["known_steps"], report["last_known"], report["context"]) == (400, "2025-02-03", 7)
    assert 950 < float(rows[-1]["mean"]) < 1050  # of rain, in the units of the data
    picture = np.asarray(Pillow.open(out / "fan.png"))
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 20


def test_the_same_seed_gives_the_same_forecast(folder, capsys):
    asked = [folder / "run", "--horizon", 3, "--n", 50]
    first, again, other = (told(capsys, *asked, "--seed", seed)["forecast"] for seed in (1, 1, 2))
    assert first == again != other


def test_the_future_begins_where_the_data_end(folder, capsys):
    """Rows that were added since training count, and another table is read by the names of the run's columns."""
    lines = (folder / "x.csv").read_text().splitlines()
    other = folder / "other.csv"
    swapped = [",".join([line.split(",")[i] for i in (0, 2, 1)]) for line in lines[:10]]
    other.write_text("\n".join([swapped[0] + ",extra", *(f"{line},{i * i}" for i, line in enumerate(swapped[1:]))]) + "\n")
    report = told(capsys, folder / "run", "--horizon", 2, "--n", 50, "--data", other, "--out", folder / "other_out.csv")
    assert (report["known_steps"], report["last_known"]) == (9, "2024-01-09")
    assert [item["channel"] for item in report["forecast"]] == ["heat", "rain"] * 2
    own = told(capsys, folder / "run", "--horizon", 2, "--n", 50)
    assert own["forecast"] != report["forecast"]
    grown = folder / "grown.csv"
    grown.write_text("\n".join([*lines, "2025-02-04,500,1000"]) + "\n")
    jumped = told(capsys, folder / "run", "--horizon", 1, "--n", 50, "--data", grown)["forecast"]
    assert jumped[0]["mean"] > 300  # it follows the last value


def test_intervals_cover_what_they_say(folder):
    """Nine tenths of the test split's steps lie in the interval from 0.05 to 0.95, at every horizon: the model is of the data's form."""
    model, x = pofx.load(folder / "run"), pofx.data.load_series(folder / "x.csv").values
    ends = range(300, 390, 2)
    past = torch.from_numpy(np.stack([x[end - 7 : end] for end in ends]))
    truth = np.stack([x[end : end + 5] for end in ends])
    draws = [continued(model, past, 5, generator=generator(("cover", k))).numpy() for k in range(100)]
    low, high = np.quantile(draws, [0.05, 0.95], axis=0)
    covered = ((truth >= low) & (truth <= high)).mean()
    assert 0.84 < covered < 0.95


BAD = {
    "run": "needs --horizon: how many steps to draw",
    "run --horizon 0": "--horizon must be 1 or more",
    "run --horizon 2 --quantiles 0.5 1.5": "--quantiles must be between 0 and 1",
    "run --horizon 2 --context 8": "context must be between 1 and 7, not 8",
    "run --horizon 2 --out q.txt": "--out q.txt: the name must end in .csv or .parquet or .npy or .npz",
    "run --horizon 2 --data nowhere.csv": "no data 'nowhere.csv'",
    "run --horizon 2 --columns rain": "has 1 columns of numbers (rain): choose with --columns",
    "run --horizon 2 --data x.csv --columns rain wind": "has no column 'wind'",
    "vectors --horizon 2": "only series have a future: train with --window, or use pofx complete",
    "sequences --horizon 2": "was not trained on windows of one series, so there is none to continue: name one with --data",
}


@pytest.mark.parametrize("words", BAD)
def test_what_the_user_must_mend(folder, capsys, monkeypatch, words):
    monkeypatch.chdir(folder)
    if not Path("vectors").exists():
        save(FVSBN(pofx.kinds.Binary(4)), "vectors")
        save(SeriesMarkov(Series(4, 2)), "sequences")
    before = sorted(folder.rglob("*"))
    assert main(["forecast", *words.split()]) == 2
    message = capsys.readouterr().err.strip()
    assert BAD[words] in message
    assert "\n" not in message
    assert sorted(folder.rglob("*")) == before  # nothing is half-done


def test_a_model_that_does_not_complete_says_so(folder, capsys):
    save(PCA(Vector(4), latent=1), folder / "pca")
    assert main(["forecast", str(folder / "pca"), "--horizon", "2"]) == 2
    assert "has no complete" in capsys.readouterr().err
