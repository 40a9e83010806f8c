"""What users do with models that draw one number after another: complete, give a class, watch a picture grow, score."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

import pofx
from pofx import commands
from pofx.cli import main
from pofx.commands.masks import mask
from pofx.kinds import Binary, Image, Series, Vector
from pofx.render.pictures import GAP, UNKNOWN

OWN = f"{Path(__file__).parent}/games/labelled.py:Labelled"


def pofx_json(capsys, line):
    """The one JSON document that a command line prints."""
    capsys.readouterr()
    assert main([*line.split(), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A working directory with a model of bits, and a conditional one of small coloured pictures in two class folders."""
    folder = tmp_path_factory.mktemp("autoregressive")
    before = os.getcwd()
    os.chdir(folder)
    random = np.random.default_rng(0)
    for name, low, high in (("cat", 0, 120), ("dog", 130, 256)):
        Path("pets", name).mkdir(parents=True)
        for i in range(30):
            Pillow.fromarray(random.integers(low, high, (3, 2, 3), dtype=np.uint8)).save(f"pets/{name}/{i:02}.png")
    for line in (
        "train fvsbn --data digits --binarize threshold --steps 40 --out bits",
        f"train {OWN} --data pets --steps 150 --lr 0.3 --keep last --out pets-run",
        f"train {OWN} --data pets --steps 2 --out plain --without label",
    ):
        assert main(line.split()) == 0
    yield folder
    os.chdir(before)


def test_completing_keeps_what_is_known_and_draws_the_rest(runs, capsys):
    report = pofx_json(capsys, "complete bits --known left --n 5 --draws 3 --out c.npz --seed 2")
    arrays = np.load("c.npz")
    x, known, drawn = arrays["x"], arrays["known"], arrays["completion"]
    assert drawn.shape == (5, 3, 1, 8, 8)
    assert known[..., :4].all()
    assert not known[..., 4:].any()
    assert (drawn == x[:, None])[:, :, :, :, :4].all()
    assert (drawn[:, 0] != drawn[:, 1]).any()
    assert report["known_share"] == 0.5
    assert "before" in report["each_draw_depends_on"]
    test_split = pofx.data.load("digits", binarize="threshold").splits["test"]
    assert (x == test_split.read(range(5))["x"].numpy()).all()
    model = pofx.load("bits")
    with torch.no_grad():
        again = model.complete(
            torch.from_numpy(x).repeat(3, 1, 1, 1),
            torch.from_numpy(known).repeat(3, 1, 1, 1),
            generator=pofx.randomness.generator(("complete", 2)),
        )
    assert (again.numpy().reshape(3, 5, 1, 8, 8).swapaxes(0, 1) == drawn).all()


def test_a_completion_s_picture_shows_what_is_known_and_what_not(runs, capsys):
    report = pofx_json(capsys, "complete bits --n 3 --draws 2")
    sheet = np.asarray(Pillow.open(report["out"]))
    assert sheet.shape[0] == 4 * 52  # original, known, two drawn
    known = sheet[52 + GAP : 104 - GAP, -3 * 50 - GAP :]
    unknown = (known == UNKNOWN).all(2)
    assert not unknown[:24].any()
    assert unknown[24:48].sum() == 24 * 3 * 48  # the lower half of three digits


def test_masks_from_files_and_from_nan(runs, capsys):
    where = np.random.default_rng(1).random((8, 8)) < 0.4
    Pillow.fromarray((where * 255).astype(np.uint8)).save("mask.png")
    np.save("mask.npy", where)
    np.save("each.npy", np.stack([where, ~where])[:, None])
    for file in ("mask.png", "mask.npy"):
        pofx_json(capsys, f"complete bits --known {file} --n 2 --out m.npz")
        assert (np.load("m.npz")["known"] == where).all()
    pofx_json(capsys, "complete bits --known each.npy --n 2 --out m.npz")
    arrays = np.load("m.npz")
    assert (arrays["known"][:, 0] == [where, ~where]).all()
    np.save("holes.npy", np.where(arrays["known"], arrays["x"], np.nan)[:, 0])
    report = pofx_json(capsys, "complete bits --data holes.npy --n 2 --out h.npz")
    assert report["known"] == "what is not NaN"
    holes = np.load("h.npz")
    assert (holes["known"] == arrays["known"]).all()
    assert np.array_equal(holes["x"], np.where(arrays["known"], arrays["x"], np.nan), equal_nan=True)
    assert (holes["completion"] == arrays["completion"]).all()  # the same seed, and what is not known is not looked at


def test_masks_are_what_their_names_say():
    picture = Image(3, 4, 6)
    for a, b in (("top", "bottom"), ("left", "right"), ("centre", "border")):
        first, second = mask(a, picture, 2), mask(b, picture, 2)
        assert first.shape == (2, 3, 4, 6)
        assert (first ^ second).all()
        assert first.sum() == 2 * 3 * (12 if a != "centre" else 2 * 2 * 1)
    assert mask("top", picture, 1)[:, :, :2].all()
    assert mask("left", picture, 1)[..., :3].all()
    assert mask("centre", picture, 1)[..., 1:3, 2:4].all()
    board = mask("checkerboard", picture, 1)[0, 0]
    assert (board[:, 1:] ^ board[:, :-1]).all()
    assert (board[1:] ^ board[:-1]).all()
    assert mask("first", Vector(5), 1).tolist() == [[True, True, False, False, False]]
    assert mask("first", Series(4, 2), 1)[0].tolist() == [[True, True], [True, True], [False, False], [False, False]]
    assert mask("first", Binary(2, 2), 1)[0].tolist() == [[True, True], [False, False]]
    some = mask("0.25", picture, 50, seed=1)
    assert (some.sum((2, 3)) == 6).all()  # a quarter of the pixels, exactly
    assert (some[:, 0] == some[:, 2]).all()  # a pixel's channels together
    assert (some != mask("0.25", picture, 50, seed=2)).any()
    assert len({item.tobytes() for item in some}) > 40  # each item its own


def test_a_class_can_be_given_by_name_or_number(runs, capsys):
    report = pofx_json(capsys, "sample pets-run --trust --given dog cat --n 40 --out g.npz")
    arrays = np.load("g.npz")
    assert report["given"] == ["dog", "cat"]
    assert arrays["given"].tolist() == [1] * 40 + [0] * 40
    assert arrays["x"][:40].mean() > 0.6
    assert arrays["x"][40:].mean() < 0.4
    pofx_json(capsys, "sample pets-run --trust --given 1 0 --n 40 --out n.npz")
    assert (np.load("n.npz")["x"] == arrays["x"]).all()
    mixed = pofx_json(capsys, "sample pets-run --trust --out mixed.npy")
    assert mixed["samples"] == 64
    bright = np.load("mixed.npy").mean((1, 2, 3)) > 0.5
    assert 15 < bright.sum() < 49  # both, without a class
    pofx_json(capsys, "sample pets-run --trust --given cat dog --n 5 --out rows.png")
    sheet = np.asarray(Pillow.open("rows.png")).astype(int)
    assert sheet.shape[0] == 2 * (48 + 2 * GAP)
    assert sheet[GAP:50, -150:].mean() < sheet[54:-GAP, -150:].mean()  # the first row is of cats


def test_scores_given_a_label_are_the_conditional_ones_and_without_it_the_mixture_s(runs, capsys):
    model, data = pofx.load("pets-run", trust=True), pofx.data.load("pets")
    batch = data.splits["test"].read(range(len(data.splits["test"])))
    with torch.no_grad():
        own, dog, both = (model.log_prob(batch["x"], given=g).double().numpy() for g in (batch["label"], batch["label"] * 0 + 1, None))
    line = "score pets-run --trust --split test"
    given = pofx_json(capsys, f"{line} --given label")
    assert [row["log_p"] for row in given["rows"]] == pytest.approx(own)
    assert given["what"] == "exact log-likelihood given label"
    assert [row["log_p"] for row in pofx_json(capsys, f"{line} --given dog")["rows"]] == pytest.approx(dog)
    report = pofx_json(capsys, line)
    assert [row["log_p"] for row in report["rows"]] == pytest.approx(both)
    assert report["what"] == "exact log-likelihood"
    assert report["bits_per_dimension"] == pytest.approx(-both.mean() / (18 * np.log(2)))

    scores = (
        pofx_json(capsys, "evaluate pets-run --trust")["scores"] + pofx_json(capsys, "evaluate pets-run --trust --given label")["scores"]
    )
    found = {score["what"]: score["value"] for score in scores}
    assert found["log p"] == pytest.approx(both.mean())
    assert found["log p given label"] == pytest.approx(own.mean())
    assert found["bits per dimension given label"] == pytest.approx(-own.mean() / (18 * np.log(2)))
    assert len(json.loads(Path("pets-run/scores.json").read_text())) == 4  # neither replaces the other


def test_new_data_need_no_labels_unless_they_are_to_be_given(runs, capsys):
    x = np.random.default_rng(0).integers(130, 256, (6, 3, 3, 2), dtype=np.uint8)
    np.save("unlabelled.npy", x)
    report = pofx_json(capsys, "score pets-run --trust --data unlabelled.npy --given dog")
    assert report["mean"] > pofx_json(capsys, "score pets-run --trust --data unlabelled.npy --given cat")["mean"]
    assert main(["score", "pets-run", "--trust", "--data", "unlabelled.npy", "--given", "label"]) == 2
    assert "made for label" in capsys.readouterr().err


def test_completing_a_class(runs, capsys):
    pofx_json(capsys, "complete pets-run --trust --known 0 --given dog --n 4 --draws 8 --out dogs.npy")
    assert np.load("dogs.npy").mean() > 0.6
    pofx_json(capsys, "complete pets-run --trust --given label --n 6 --draws 8 --out own.npz")
    arrays = np.load("own.npz")
    bright = arrays["x"].mean((1, 2, 3)) > 0.5
    assert ((arrays["completion"][:, :, :, 2].mean((1, 2, 3)) > 0.5) == bright).all()
    pofx_json(capsys, "complete pets-run --trust --n 6 --draws 8 --out guessed.npz")  # the class that the upper part suggests
    assert ((np.load("guessed.npz")["completion"][:, :, :, 2].mean((1, 2, 3)) > 0.5) == bright).all()


def test_a_model_that_can_take_labels_can_do_without(runs):
    assert json.loads(Path("plain/config.json").read_text())["model"]["kinds"].keys() == {"x"}
    assert json.loads(Path("pets-run/config.json").read_text())["model"]["kinds"].keys() == {"x", "label"}


def test_a_picture_grows_in_the_order_in_which_it_is_drawn(runs, capsys):
    report = pofx_json(capsys, "sample bits --n 4 --out grown.npy --growing grows.gif")
    assert report["growing"] == "grows.gif"
    film, x = Pillow.open("grows.gif"), np.load("grown.npy")
    assert film.info["loop"] == 0  # again and again
    assert film.n_frames == 65
    milliseconds = []
    for frame in range(65):
        film.seek(frame)
        milliseconds.append(film.info["duration"])
        shown = np.asarray(film.convert("RGB")).astype(int)
        for i in range(4):
            top, left = GAP + i // 2 * 50, GAP + i % 2 * 50
            tile = shown[top : top + 48 : 6, left : left + 48 : 6].reshape(64, 3)
            assert np.abs(tile[:frame] - 255 * x[i].reshape(64, 1)[:frame]).max(initial=0) < 3
            assert np.abs(tile[frame:] - UNKNOWN).max(initial=0) < 3
    assert 4000 < sum(milliseconds[:-1]) < 6000
    assert milliseconds[-1] >= 1000
    pofx_json(capsys, "sample bits --n 4 --out grown.npy --growing grows.png")
    assert Pillow.open("grows.png").size == (9 * 50 + GAP, 4 * 50 + GAP)
    pofx_json(capsys, "train deep_nade --data digits --binarize threshold --steps 2 --hidden 4 --out any-order")
    pofx_json(capsys, "sample any-order --n 4 --order 3 --growing any.gif")
    assert Pillow.open("any.gif").n_frames == 65
    pofx_json(capsys, "sample pets-run --trust --n 4 --growing pets.gif")  # in colour: a pixel is shown when all its channels are drawn
    assert Pillow.open("pets.gif").n_frames == 7  # nothing and six pixels


def test_how_to_sample_is_a_flag_with_its_help(runs, capsys):
    assert main(["sample", "bits", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "--sampler cached|naive|jacobi" in shown
    assert "All three draw the same" in " ".join(shown.split())
    drawn = []
    for sampler in ("cached", "naive", "jacobi"):
        commands.sample("bits", n=5, out=f"{sampler}.npy", sampler=sampler)
        drawn.append(np.load(f"{sampler}.npy"))
    assert (drawn[0] == drawn[1]).all()
    assert (drawn[0] == drawn[2]).all()


def test_scoring_ranks_what_is_unusual_first(runs, capsys):
    x = pofx.data.load("digits", binarize="threshold").splits["test"].read(range(40))["x"].numpy().astype(bool)[:, 0]
    x[17] = np.random.default_rng(0).random((8, 8)) < 0.5
    np.save("odd.npy", x)
    report = pofx_json(capsys, "score bits --data odd.npy")
    assert report["most_unusual"][0]["row"] == 17
    assert report["bits_per_dimension"] is None  # of bits, nats are what is reported
