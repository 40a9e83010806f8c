"""The command line as a user meets it: the main path, its files, its reports, Ctrl-C, and the names that scripts rely on."""

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow
from pyarrow import parquet

import pofx
from pofx import commands
from pofx.cli import main

POFX = [sys.executable, "-m", "pofx"]
ALONE = {**os.environ, "OMP_NUM_THREADS": "1"}


def pofx_json(capsys, line):
    """The one JSON document that a command line prints."""
    capsys.readouterr()
    assert main([*line.split(), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def pofx_done(line):
    """Run a command line to its end."""
    assert main(line.split()) == 0


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with a VAE and a PCA of the digits, trained by real commands, as the working directory."""
    folder = tmp_path_factory.mktemp("cli")
    before = os.getcwd()
    os.chdir(folder)
    line = "train vae --data digits --out runs/vae --steps 60 --latent 3 --seed 1 --batch-size 50 --json"
    done = subprocess.run([*POFX, *line.split()], capture_output=True, text=True, env=ALONE, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["run"] == "runs/vae"
    assert report["train"]["step"] == 60
    assert "step 60/60" in done.stderr  # plain lines where there is no terminal
    pofx_done("train pca --out runs/pca --latent 3")
    yield folder
    os.chdir(before)


def test_a_run_folder_holds_what_was_asked_for_its_pictures_and_its_card(runs):
    config = json.loads((runs / "runs/vae/config.json").read_text())
    assert config["model"]["arguments"]["latent"] == 3
    assert (config["training"]["steps"], config["training"]["seed"], config["training"]["batch_size"]) == (60, 1, 50)
    card = (runs / "runs/vae/README.md").read_text()
    for picture in ("samples.png", "reconstructions.png", "loss.png"):
        assert f"samples/{picture}" in card
        assert Pillow.open(runs / "runs/vae/samples" / picture).width > 100
    assert "1312.6114" in card


def test_resuming_a_run_that_ended_before_its_pictures_draws_them(runs):
    """The last state is saved before pictures and card are made: whoever is killed in between has them made by `pofx resume`."""
    files = [Path("runs/pca") / name for name in ("README.md", "samples/reconstructions.png")]
    before = [file.read_bytes() for file in files]
    for file in files:
        file.unlink()
    pofx_done("resume runs/pca")
    assert [file.read_bytes() for file in files] == before


def test_a_card_shows_what_the_model_can_and_no_more(runs):
    assert not (runs / "runs/pca/samples/samples.png").exists()  # PCA draws no samples
    assert "samples.png" not in (runs / "runs/pca/README.md").read_text()


def test_samples_are_a_function_of_the_seed_and_of_the_model_alone(runs, capsys):
    report = pofx_json(capsys, "sample runs/vae --n 7 --out s/a.npy --seed 3")
    assert report["out"] == "s/a.npy"
    pofx_json(capsys, "sample runs/vae --n 7 --out b.npz --seed 3")
    pofx_json(capsys, "sample runs/vae --n 7 --out c.npy --seed 4")
    pofx_json(capsys, "sample runs/vae --n 7 --out d.npy --seed 3 --draw")
    a, b, c, d = np.load("s/a.npy"), np.load("b.npz")["x"], np.load("c.npy"), np.load("d.npy")
    assert a.shape == (7, 1, 8, 8)
    assert a.dtype == np.float32
    assert (a == b).all()
    assert (a != c).any()
    assert (a != d).any()
    assert np.abs(d * 16 - np.rint(d * 16)).max() < 1e-4  # a draw has the data's own levels; a mean has not
    pofx_json(capsys, "sample runs/vae --n 6 --columns 3 --out grid.png")
    assert Pillow.open("grid.png").size == (3 * 50 + 2, 2 * 50 + 2)


def test_scores_are_those_of_the_model_in_the_order_of_the_source(runs, capsys):
    report = pofx_json(capsys, "score runs/vae --samples 4 --out scores.csv --top 5")
    assert report["what"].startswith("lower bound")  # never called a likelihood
    assert report["density"] == "bound"
    assert report["asked"]["samples"] == 4
    rows = report["rows"]
    assert [row["row"] for row in rows] == list(range(1797))
    from sklearn.datasets import load_digits

    assert [row["label"] for row in rows] == load_digits().target.tolist()
    values = [row["log_p"] for row in rows]
    assert report["mean"] == pytest.approx(np.mean(values))
    assert [row["log_p"] for row in report["most_unusual"]] == sorted(values)[:5]
    assert sorted(row["rank"] for row in rows) == list(range(1, 1798))
    assert Path("scores.csv").read_text().count("\n") == 1798
    more = pofx_json(capsys, "score runs/vae --samples 40 --split test")
    fewer = pofx_json(capsys, "score runs/vae --samples 1 --split test")
    assert more["mean"] > fewer["mean"]  # the importance-weighted bound rises with samples, so the flag reached log_prob


def test_scoring_an_anomaly_ranks_it_first(runs, capsys):
    from sklearn.datasets import load_digits

    x = load_digits().images.astype(np.uint8)[:40]
    x[17] = 16 - x[17]
    np.save("odd.npy", (x * 255 // 16).astype(np.uint8))
    pofx_done("train vae --data odd.npy --out runs/odd --steps 60 --likelihood gaussian")
    assert pofx_json(capsys, "score runs/odd --data odd.npy")["most_unusual"][0]["row"] == 17


def test_an_item_that_is_a_file_is_called_by_its_name(runs, capsys):
    from sklearn.datasets import load_digits

    images, labels = load_digits().images, load_digits().target
    for i in range(40):
        Path(f"folder/{labels[i]}").mkdir(parents=True, exist_ok=True)
        Pillow.fromarray((images[i] * 255 // 16).astype(np.uint8)).save(f"folder/{labels[i]}/{i:02}.png")
    pofx_done("train vae --data folder --out runs/folder --steps 3 --likelihood gaussian")
    rows = pofx_json(capsys, "score runs/folder")["rows"]
    assert sorted(row["file"] for row in rows) == sorted(f"{labels[i]}/{i:02}.png" for i in range(40))
    assert all(row["file"].split("/")[0] == str(row["label"]) for row in rows)
    os.mkdir("single")
    Pillow.open(next(Path("folder").rglob("*.png"))).save("single/one.png")
    report = pofx_json(capsys, "score runs/folder --data single")  # one picture cannot be cut into splits, and need not be
    assert [row["file"] for row in report["rows"]] == ["one.png"]
    assert report["standard_error"] is None
    pofx_json(capsys, "embed runs/folder --split test --out files.parquet")
    table = parquet.read_table("files.parquet")
    scored = {row["row"]: row["file"] for row in rows if row["split"] == "test"}
    assert dict(zip(table["row"].to_pylist(), table["file"].to_pylist(), strict=True)) == scored


def test_codes_are_written_one_row_an_item(runs, capsys):
    import torch

    report = pofx_json(capsys, "embed runs/pca")
    table = parquet.read_table(report["out"])
    assert table.column_names == ["row", "split", "label", "code_0", "code_1", "code_2"]
    from sklearn.datasets import load_digits

    x = torch.tensor(load_digits().images / 16, dtype=torch.float32)[:, None]
    codes = np.stack([table[f"code_{i}"].to_numpy() for i in range(3)], 1)
    np.testing.assert_allclose(codes, pofx.load("runs/pca").encode(x).numpy(), atol=1e-5)


def test_reconstructions_are_decoded_codes(runs, capsys):
    report = pofx_json(capsys, "reconstruct runs/pca --n 5 --out r.npz")
    arrays = np.load("r.npz")
    assert arrays["x"].shape == arrays["reconstruction"].shape == (5, 1, 8, 8)
    assert report["mean squared error"] == pytest.approx(((arrays["x"] - arrays["reconstruction"]) ** 2).mean(), rel=1e-5)
    pofx_json(capsys, "reconstruct runs/vae --n 5 --out r.png")
    assert Pillow.open("r.png").height == 2 * 52


def test_evaluate_stores_scores_with_their_protocol_once_each(runs, capsys):
    first = pofx_json(capsys, "evaluate runs/vae --data digits")
    assert any("bound" in score["what"] and score["unit"] == "nats per example" for score in first["scores"])
    for score in first["scores"]:
        assert score["protocol"]["split"] == "test"
        assert score["protocol"]["weights"]["keep"] == "best"
    again = pofx_json(capsys, "evaluate runs/vae")
    assert [s["value"] for s in again["scores"]] == [s["value"] for s in first["scores"]]
    stored = json.loads(Path("runs/vae/scores.json").read_text())
    assert len(stored) == len(first["scores"])  # the same measurement replaces itself
    pofx_json(capsys, "evaluate runs/vae --split valid")
    assert len(json.loads(Path("runs/vae/scores.json").read_text())) == 2 * len(stored)
    assert "reconstruction MSE" in Path("runs/vae/README.md").read_text()


def test_compare_refuses_scores_of_different_protocols(runs, capsys):
    pofx_json(capsys, "evaluate runs/vae")
    pofx_json(capsys, "evaluate runs/pca --split valid")
    pofx_json(capsys, "train pca --out runs/other --latent 2")
    pofx_json(capsys, "evaluate runs/other --split test")
    assert main(["compare", "runs/pca", "runs/other", "--out", "c.png"]) == 2
    error = capsys.readouterr().err
    assert "split" in error
    assert "--any-protocol" in error
    assert not os.path.exists("c.png")
    pofx_done("compare runs/pca runs/other --out c.png --any-protocol")
    pofx_json(capsys, "evaluate runs/pca")
    report = pofx_json(capsys, "compare runs/pca runs/other runs/vae --out c.png")
    mse = report["scores"]["reconstruction MSE"]
    assert mse["runs/pca"]["value"] < mse["runs/other"]["value"]  # three components against two
    assert mse["runs/pca"]["protocol"]["split"] == "test"  # the newest that all share
    assert Pillow.open("c.png").height > 200


@pytest.mark.parametrize("line", ["traverse runs/vae --dimensions 0 2 --steps 5", "interpolate runs/vae --pairs 2 --steps 5"])
def test_walks_through_codes(runs, capsys, line):
    pofx_json(capsys, f"{line} --out walk.npy")
    assert np.load("walk.npy").shape == (2, 5, 1, 8, 8)
    pofx_done(f"{line} --out walk.png")


def test_attribute_arithmetic_moves_a_digit_to_the_other_label(runs, capsys):
    pofx_json(capsys, "train pca --out runs/pca16 --latent 16")
    report = pofx_json(capsys, "attribute runs/pca16 --has 0 --lacks 1 --n 4 --strengths 0 1 --split all --out a.npy")
    assert report["out"] == "a.npy"
    from sklearn.datasets import load_digits

    digits = load_digits()
    zero, one = (digits.images[digits.target == label].mean(0) / 16 for label in (0, 1))
    before, after = np.load("a.npy")[:, 0, 0], np.load("a.npy")[:, 1, 0]
    assert (np.square(before - one).sum((1, 2)) < np.square(before - zero).sum((1, 2))).all()
    assert (np.square(after - zero).sum((1, 2)) < np.square(after - one).sum((1, 2))).all()


def test_data_says_what_is_there(runs, capsys):
    report = pofx_json(capsys, "data digits --out digits.png --n 10")
    assert sum(report["counts"].values()) == 1797
    assert sum(report["train"]["label"].values()) == report["counts"]["train"]
    assert Pillow.open("digits.png").size == (4 * 50 + 2, 3 * 50 + 2)


def test_new_data_are_prepared_as_the_run_s_own_were(runs, capsys):
    pofx_done("train vae --out runs/bits --steps 20 --binarize threshold --latent 2")
    capsys.readouterr()
    from sklearn.datasets import load_digits

    grey = (load_digits().images[:50] * 255 // 16).astype(np.uint8)
    np.save("grey.npy", grey)
    np.save("bits.npy", grey >= 128)  # already bits: nothing is left to be done to them
    a = pofx_json(capsys, "score runs/bits --data grey.npy")
    b = pofx_json(capsys, "score runs/bits --data bits.npy")
    assert [row["log_p"] for row in a["rows"]] == [row["log_p"] for row in b["rows"]]


def test_models_are_listed_with_their_papers(capsys):
    rows = {row["name"]: row for row in pofx_json(capsys, "models")}
    assert set(rows) == set(pofx.models.files())
    vae = rows["vae"]
    assert vae["family"] == "autoencoders"
    assert vae["capabilities"] == ["samples", "scores", "encodes", "decodes"]
    assert vae["density"] == "bound"
    assert "Image" in vae["data"]["x"]
    assert vae["paper"] == {"authors": "Kingma & Welling", "year": 2013, "reference": "1312.6114", "arxiv": "1312.6114"}
    assert rows["pca"]["density"] is None


def test_verbs_are_functions_that_take_the_same_arguments(runs):
    report = commands.sample("runs/vae", n=3, out="from_python.npy", seed=3, draw=False)
    assert report["samples"] == 3
    with pytest.raises(pofx.UserError, match="latent"):
        commands.train("vae", latnt=3, out="runs/never")
    with pytest.raises(pofx.UserError, match="latent must be 1 or more"):
        commands.train("vae", latent=0, out="runs/never")
    assert not os.path.exists("runs/never")


def test_interrupting_saves_and_says_how_to_resume(runs):
    line = "train vae --out runs/long --steps 200000 --latent 2 --log-every 5 --eval-every 100000"
    process = subprocess.Popen([*POFX, *line.split()], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=ALONE)
    assert process.stderr.readline().startswith("step 5/200000")
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert error.count("\n") <= 2
    assert error.splitlines()[-1].startswith("pofx: stopped at step")
    assert "pofx resume runs/long" in error
    assert "Traceback" not in error
    step = int(error.split("stopped at step ")[1].split()[0])
    pofx_done("evaluate runs/long --rows 2")
    pofx_done(f"resume runs/long --steps {step + 10}")
    assert pofx.Run("runs/long").metrics()[-1]["step"] == step + 10
    assert not Path("runs/long/scores.json").exists()  # those were of other weights
    assert Path("runs/long/scores-before.json").exists()
    assert "None yet" in Path("runs/long/README.md").read_text()


def test_a_model_of_one_s_own_is_carried_and_runs_only_if_trusted(runs, capsys):
    with open("own.py", "w") as file:
        file.write(
            "from pofx.models.autoencoders.vae import VAE\n"
            "from pofx.kinds import Image, Size\n\n"
            "class Mine(VAE):\n"
            "    def __init__(self, x: Image, *, seed: Size = 4):\n"
            "        super().__init__(x, latent=seed)\n"
        )
    report = pofx_json(capsys, "train own.py:Mine --out runs/own --steps 3 --seed 7 --model-seed 2")
    assert report["next"][0] == "pofx sample runs/own --trust"
    config = json.loads(Path("runs/own/config.json").read_text())
    assert (config["training"]["seed"], config["model"]["arguments"]["seed"]) == (7, 2)
    os.remove("own.py")
    assert main(["sample", "runs/own"]) == 2
    assert "--trust" in capsys.readouterr().err
    pofx_done("sample runs/own --trust")


def test_several_processes_train_one_model_and_one_of_them_speaks(runs):
    line = "--nproc-per-node 2 -m pofx train pca --latent 3 --out runs/two --json"
    command = [sys.executable, "-m", "torch.distributed.run", *line.split()]
    done = subprocess.run(command, capture_output=True, text=True, env=ALONE, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["run"] == "runs/two"
    one, two = pofx.load("runs/pca"), pofx.load("runs/two")
    np.testing.assert_allclose(two.components.numpy(), one.components.numpy(), atol=1e-5)


def test_help_answers_at_once_and_imports_nothing_heavy():
    code = (
        "import sys; from pofx.cli import main; main(['--help'])\n"
        "assert not {'torch', 'numpy', 'tyro', 'rich', 'PIL', 'sklearn'} & set(sys.modules), sorted(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name in commands.VERBS:
        assert f"\n  {name} " in done.stdout
    seconds = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([*POFX, "--help"], capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(seconds) < 0.4  # of the processor, which other programs on the machine do not change


@pytest.mark.parametrize("line", ["train vae --help", "sample runs/vae --help", "evaluate runs/vae --help", "embed runs/vae --help"])
def test_help_constructs_no_model(line, runs, monkeypatch, capsys):
    """Flags are read off the class."""
    monkeypatch.setattr(pofx.Model, "__init__", lambda *_, **__: pytest.fail("constructed"))
    assert main(line.split()) == 0
    assert "--trust" in capsys.readouterr().out or "train" in line


def test_importing_pofx_imports_no_torch():
    code = "import sys, pofx; assert 'torch' not in sys.modules; pofx.load; assert 'torch' in sys.modules; print(pofx.__version__)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("verb", [name for name in commands.VERBS if name != "compare"])
def test_every_verb_explains_every_flag(runs, capsys, verb):
    """Each flag of each verb has help, with what it depends on named."""
    about = {"train": {"model": "vae"}, "data": {"spec": "digits"}}.get(verb, {"run": "runs/vae"})
    found = commands.VERBS[verb]
    groups = found.flags(**about) if found.flags else [found.own()]
    for group in groups:
        for name, option in group.options.items():
            assert option.help, f"{verb} --{name} has no help"
    assert main([verb, *([] if verb == "models" else about.values()), "--help"]) == 0
    shown = capsys.readouterr().out
    for group in groups:
        for name in group.options:
            assert f"--{name.replace('_', '-')}" in shown


def test_the_public_command_line_is_frozen(capsys):
    """Users' scripts rely on these names. A new one may be added; none may go or change its default."""
    assert list(commands.VERBS) == [
        *("models", "data", "train", "resume", "sample", "score", "embed", "reconstruct", "translate", "complete"),
        *("forecast", "evaluate", "compare", "traverse", "interpolate", "attribute", "sweep", "arithmetic", "inspect", "anneal"),
    ]
    groups = {group.title: " ".join(f"{n}={o.default}" for n, o in group.options.items()) for group in commands.VERBS["train"].flags("vae")}
    assert groups == {
        "flags": "data=digits out=None without=None",
        "training": "steps=None epochs=None batch_size=100 seed=0 lr=None schedule=constant warmup=0.0 clip=None ema=None average=None "
        "keep=best patience=None log_every=20 eval_every=None checkpoint_every=None precision=fp32 compile=False device=auto",
        "data": "binarize=none size=None channels=None label=None columns=None window=None stride=None stacked=None source=None "
        "target=None tokens=None vocabulary=None length=None shared=False spell=None valid=None test=None "
        "split_seed=0 labelled=None skip_bad=False",
        "the model vae": "latent=16 body=mlp hidden=None activation=None likelihood=None components=5 scale=None beta=1.0 free_bits=0.0 "
        "kl_warmup=0.0 samples=1",
    }
