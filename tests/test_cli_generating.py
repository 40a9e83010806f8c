"""Steering a generator from the command line: what is swept and what is held, ways between draws, arithmetic with samples."""

import json
import os
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

import pofx
from pofx.cli import main
from pofx.commands.sweep import chosen
from pofx.distributions.priors import Categorical, Gaussian, Joint, Ring, SwissRoll, Uniform
from pofx.inference.steering import around, between, combined, generated, swept
from pofx.kinds import Vector
from pofx.model import Model
from pofx.randomness import generator


def pofx_json(capsys, line):
    """The one JSON document that a command line prints."""
    capsys.readouterr()
    assert main([*line.split(), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def error_of(capsys, line):
    """The one line that a command line is refused with."""
    capsys.readouterr()
    assert main(line.split()) == 2
    (message,) = capsys.readouterr().err.strip().splitlines()
    return message


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with an InfoGAN and a GAN of the digits, as the working directory."""
    folder = tmp_path_factory.mktemp("generating")
    before = os.getcwd()
    os.chdir(folder)
    quick = "--steps 3 --batch-size 20"
    assert main(f"train infogan --out runs/infogan {quick} --hidden 4 6 --dense 16 --recognition 6 --latent 5 --uniform 1".split()) == 0
    assert main(f"train gan --out runs/gan {quick} --latent 3 --hidden 8".split()) == 0
    assert main(["train", "pca", "--out", "runs/pca", "--latent", "3"]) == 0
    yield folder
    os.chdir(before)


class Linear(Model):
    """x = z W.

    References:
        none
    """

    paper: ClassVar = ("nobody", 2000, "none")

    def __init__(self, x: Vector):
        super().__init__()
        self.W = torch.nn.Parameter(torch.tensor([[1.0, 0.0, 2.0], [0.0, 3.0, 1.0]]))
        self.prior = Gaussian(2)

    def generate(self, z):
        return z @ self.W


def test_arithmetic_with_codes_of_a_linear_generator_is_arithmetic_with_its_x():
    model = Linear(Vector(3))
    z = model.prior.sample(12, model.W, generator(0))
    x = generated(model, z)
    found = generated(model, combined(z, [3, 8], minus=[1, 5, 9], plus=[0]))
    np.testing.assert_allclose(found[0], x[[3, 8]].mean(0) - x[[1, 5, 9]].mean(0) + x[0], rtol=1e-5)
    np.testing.assert_allclose(generated(model, combined(z, [4])), x[[4]], rtol=1e-6)


def test_what_is_swept_changes_and_nothing_else():
    z = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    values = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    found = swept(z, slice(2, 4), values)
    for i in range(4):
        for s in range(3):
            assert found[i, s, 2:4].equal(values[s])
            assert found[i, s, [0, 1, 4, 5]].equal(z[i, [0, 1, 4, 5]])


def test_noise_around_a_code_leaves_its_classes_alone():
    prior = Joint({"noise": Gaussian(3), "c1": Categorical(4), "c2": Uniform(1)})
    z = prior.sample(1, torch.zeros(1), generator(0))
    found = around(prior, z, 500, generator=generator(1))
    assert found[:, 3:7].equal(z[:, 3:7].expand(500, 4))
    away = (found - z)[:, [0, 1, 2, 7]]
    assert 0.24 < away.abs().max() <= 0.25
    assert away.mean().abs() < 0.02


@pytest.mark.parametrize("prior", [Ring(), SwissRoll()])
def test_noise_around_a_code_in_the_plane_moves_it(prior):
    z = prior.sample(1, torch.zeros(1), generator(0))
    assert len(around(prior, z, 8, generator=generator(1)).unique(dim=0)) == 8


def test_ways_between_draws_are_round_for_gaussian_parts_and_straight_for_others():
    prior = Joint({"noise": Gaussian(5), "c1": Categorical(3), "c2": Uniform(2), "c3": Gaussian(1)})
    z0, z1 = prior.sample(4, torch.zeros(1), generator(0)), prior.sample(4, torch.zeros(1), generator(1))
    found = between(prior, z0, z1, 5)
    torch.testing.assert_close(found[:, 0], z0)
    torch.testing.assert_close(found[:, 4], z1)
    torch.testing.assert_close(found[:, 2, 5:], (z0 + z1)[:, 5:] / 2)
    a, b, middle = z0[:, :5], z1[:, :5], found[:, 2, :5]
    half_angle = torch.cosine_similarity(a, b).acos()[:, None] / 2
    torch.testing.assert_close(middle, (a + b) / (2 * half_angle.cos()), atol=1e-5, rtol=1e-4)  # longer than the chord's middle
    torch.testing.assert_close(between(prior, z0, z1, 3, spherical=True)[:, 1, 5:9], between(Gaussian(11), z0, z1, 3)[:, 1, 5:9])


def test_what_is_swept_where_nothing_is_chosen():
    joint = Joint({"noise": Gaussian(3), "c1": Categorical(4), "c2": Uniform(1)})
    found = chosen(joint, None, None, 5)
    assert list(found) == ["c1", "c2"]
    assert found["c1"][0] == slice(3, 7)
    assert found["c1"][1].equal(torch.eye(4))
    assert found["c2"][0] == slice(7, 8)
    torch.testing.assert_close(found["c2"][1], torch.tensor([[-1.0], [-0.5], [0.0], [0.5], [1.0]]))
    assert list(chosen(joint, "noise", (2,), 3)) == ["noise dimension 2"]
    assert chosen(joint, "noise", (2,), 3)["noise dimension 2"][0] == slice(2, 3)
    assert list(chosen(Gaussian(40), None, None, 3)) == [f"dimension {d}" for d in range(10)]
    torch.testing.assert_close(chosen(Gaussian(4), None, (3,), 3)["dimension 3"][1], torch.tensor([[-2.0], [0.0], [2.0]]))
    assert [found[0] for found in chosen(Ring(), None, None, 3).values()] == [slice(0, 2)]


def test_a_sweep_is_what_the_model_generates_of_the_swept_codes(runs, capsys):
    report = pofx_json(capsys, "sweep runs/infogan --code c1 --rows 3 --seed 5 --out c1.npy")
    assert (report["codes"], report["draws"]) == (["c1"], 3)
    x = np.load("c1.npy")
    assert x.shape == (3, 10, 1, 8, 8)
    model = pofx.load("runs/infogan")
    z = model.prior.sample(3, torch.zeros(1), generator(("sweep", 5)))
    for i in range(3):
        for k in range(10):
            changed = z[i].clone()
            changed[model.prior.where("c1")] = torch.eye(10)[k]
            with torch.no_grad():
                np.testing.assert_allclose(x[i, k], model.generate(changed[None])[0], atol=1e-6)
    pofx_json(capsys, "sweep runs/infogan --steps 4 --out all.npz")
    with np.load("all.npz") as arrays:
        assert {name: array.shape[:2] for name, array in arrays.items()} == {"c1": (1, 10), "c2": (1, 4)}
    report = pofx_json(capsys, "sweep runs/gan --dimensions 2 --rows 2")
    assert Pillow.open(report["out"]).width > 100


def test_a_code_that_is_not_there_is_named_with_the_nearest(runs, capsys):
    assert error_of(capsys, "sweep runs/infogan --code c21") == "pofx: there is no code 'c21': did you mean c2 or c1?"
    assert "choose with --dimensions" in error_of(capsys, "sweep runs/gan --code c1")
    assert "from 0 to 2, not 3" in error_of(capsys, "sweep runs/gan --dimensions 3")
    assert "remove --dimensions" in error_of(capsys, "sweep runs/infogan --code c1 --dimensions 0")
    assert "pass --code with" in error_of(capsys, "sweep runs/infogan --dimensions 0")
    assert "name a .npz" in error_of(capsys, "sweep runs/infogan --out x.npy")
    assert "not a model that generates" in error_of(capsys, "sweep runs/pca")


def test_a_generator_is_interpolated_between_draws(runs, capsys):
    pofx_json(capsys, "interpolate runs/gan --pairs 2 --steps 5 --seed 1 --out way.npy")
    model = pofx.load("runs/gan")
    z = model.prior.sample(4, torch.zeros(1), generator(("interpolate", 1)))
    with torch.no_grad():
        ends = model.generate(z)
    way = np.load("way.npy")
    np.testing.assert_allclose(way[:, 0], ends[0::2], atol=1e-6)
    np.testing.assert_allclose(way[:, -1], ends[1::2], atol=1e-6)
    assert "between draws of its prior" in error_of(capsys, "interpolate runs/gan --data digits")


def test_arithmetic_takes_the_samples_by_the_numbers_of_the_sheet(runs, capsys):
    report = pofx_json(capsys, "arithmetic runs/gan --n 20 --seed 4 --out sheet.npy")
    pofx_json(capsys, "sample runs/gan --n 20 --seed 4 --out samples.npy")
    np.testing.assert_allclose(np.load("sheet.npy"), np.load("samples.npy"), atol=1e-6)
    pofx_json(capsys, "arithmetic runs/gan --n 20 --seed 4 --start 3 8 --minus 1 --plus 0 19 --around 2 --out result.npy")
    model = pofx.load("runs/gan")
    z = model.prior.sample(20, torch.zeros(1), generator(("sample", 4)))
    with torch.no_grad():
        expected = model.generate((z[[3, 8]].mean(0) - z[1] + z[[0, 19]].mean(0))[None])
    found = np.load("result.npy")
    assert found.shape == (3, 1, 8, 8)
    np.testing.assert_allclose(found[:1], expected, atol=1e-6)
    for line in ("arithmetic runs/gan", "arithmetic runs/gan --start 1 2 --plus 3"):
        report = pofx_json(capsys, line)
        assert Pillow.open(report["out"]).width > 100
    assert Path("runs/gan/samples/numbered.png").exists()
    assert "they count from 0" in error_of(capsys, "arithmetic runs/gan --n 20 --start 20")
    assert "--start" in error_of(capsys, "arithmetic runs/gan --plus 2")
