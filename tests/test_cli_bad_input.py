"""Bad input: one line that says what to write instead, status 2, no traceback, nothing half-written."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from pofx.cli import main


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A working directory with two trained runs and data with faults."""
    folder = tmp_path_factory.mktemp("bad")
    before = os.getcwd()
    os.chdir(folder)
    random = np.random.default_rng(0)
    for name, modes in (("empty", []), ("one", ["L"]), ("modes", ["L", "RGB"] * 6), ("sizes", ["L"] * 12), ("torn", ["L"] * 12)):
        os.mkdir(name)
        for i, mode in enumerate(modes):
            side = 8 + (name == "sizes" and i)
            shape = (side, side, 3) if mode == "RGB" else (side, side)
            Pillow.fromarray(random.integers(0, 256, shape, dtype=np.uint8)).save(f"{name}/{i}.png")
    torn = Path("torn/3.png").read_bytes()
    Path("torn/3.png").write_bytes(torn[: len(torn) // 2])
    Path("nan.csv").write_text("a,b,c\n" + "1,2,3\n" * 20 + "1,nan,3\n")
    np.save("plain.npy", random.integers(0, 256, (50, 8, 8), dtype=np.uint8))
    np.save("large.npy", random.integers(0, 256, (50, 16, 16), dtype=np.uint8))
    np.save("vectors.npy", random.normal(size=(50, 5)).astype(np.float32))
    np.save("wide.npy", random.integers(0, 300, (50, 8, 8)).astype(np.int16))
    np.save("wide_colour.npy", random.integers(0, 300, (50, 8, 8, 3)).astype(np.int16))
    np.save("mask.npy", np.ones((9, 9), bool))
    np.save("grey_mask.npy", np.full((8, 8), 0.5))
    np.save("holes.npy", np.where(random.random((5, 8, 8)) < 0.5, np.nan, 0.25))
    Pillow.new("L", (9, 8)).save("mask.png")
    Path("steps.csv").write_text("a,b\n" + "".join(f"{i},{i % 7}\n" for i in range(60)))
    shutil.copyfile(Path(__file__).parent / "games" / "labelled.py", "own.py")
    np.save("nan.npy", np.full((50, 5), np.nan, np.float32))
    Path("notes.txt").write_text("notes")
    Path("broken.py").write_text("1 / 0\n")
    Path("empty.py").write_text("x = 1\n")
    for line in (
        "train pca --out pca --latent 2",
        "train vae --out vae --steps 2 --latent 2",
        "evaluate vae",
        "train fvsbn --binarize threshold --steps 2 --out bits",
        "train own.py:Labelled --steps 2 --out digit",
        "train own.py:Labelled --steps 2 --out plain --without label",
        "train series_markov --data steps.csv --window 6 --out series",
    ):
        assert main(line.split()) == 0
    yield folder
    os.chdir(before)


CASES = {
    # verbs, flags, values
    "trian vae": "did you mean train",
    "--latent 3 train vae": "write pofx VERB ... --latent",
    "train": "needs MODEL",
    "train vae extra": "extra",
    "train vae --latnt 3": "did you mean --latent",
    "train vae --latent": "--latent needs a value",
    "train vae --latent x": "--latent must be a whole number, not 'x'",
    "train vae --latent 1.5": "--latent must be a whole number, not '1.5'",
    "train vae --latent 0": "--latent must be 1 or more, not 0",
    "train vae --latent -3": "--latent must be 1 or more, not -3",
    "train vae --hidden 20 0": "--hidden must be 1 or more, not 0",
    "train vae --body cnov": "did you mean conv",
    "train vae --lr nan": "--lr must be a number",
    "train vae --lr 0": "--lr must be above 0",
    "train vae --batch-size 0": "--batch-size must be 1 or more",
    "train vae --steps -5": "--steps must be 1 or more",
    "train vae --steps 5 --epochs 2": "steps or epochs, not both",
    "train vae --seed -1": "--seed must be between 0 and",
    "train vae --seed 9223372036854775808": "--seed must be between 0 and",
    "train recurrent_lm --dropout 1": "--dropout must be between 0 and 0.99, not 1.0",
    "train vae --device gpu": "device must be auto, cpu",
    "models --jsn": "did you mean --json",
    # models
    "train vea": "did you mean vae",
    "train nowhere.py:Mine": "no file nowhere.py",
    "train broken.py:Mine": "ZeroDivisionError",
    "train empty.py:Mine": "no Model called 'Mine'",
    "train vae --likelihood bernoulli": "--binarize",
    "train vae --body conv --data vectors.npy": "mlp",
    "train pca --clip 1": "pca is solved in closed form and has no use for clip: remove --clip",
    "train pca --latent 2 --ema 0.9": "no use for ema",
    # data
    "train vae --data digts": "did you mean digits",
    "train vae --data nowhere/x.npy": "nowhere/x.npy",
    "train vae --data empty": "empty",
    "train vae --data one": "too few rows",
    "train vae --data modes": "--channels grey",
    "train vae --data sizes": "--size",
    "train vae --data torn": "3.png",
    "train vae --data nan.csv": "column 'b'",
    "train vae --data nan.npy": "nan",
    "train vae --data notes.txt": "notes.txt",
    "train stacked_denoising --data plain.npy": "needs label: Category, but the data has x: Image",
    "train vae --valid 0": "--valid",
    "train vae --size -4": "--size must be 1 or more",
    "data digts": "did you mean digits",
    "data": "needs SPEC",
    "data digits --out d.gif": ".png",
    # folders
    "train vae --out vae": "pofx resume vae",
    "train vae --out notes.txt": "choose another --out",
    "train vae --out notes.txt/run": "notes.txt/run",
    "resume nowhere": "no run folder nowhere",
    "resume empty": "not a run folder",
    "resume vae": "--steps with more",
    "resume vae --steps 0": "--steps must be 1 or more",
    # asking
    "sample": "needs RUN",
    "sample nowhere": "no run folder nowhere",
    "sample pca": "pca has no sample",
    "sample vae --n 0": "--n must be 1 or more",
    "sample vae --out s.gif": ".png or .npy or .npz",
    "sample vae --drawn": "did you mean --draw",
    "score pca": "pca has no log_prob",
    "score vae --data digts": "did you mean digits",
    "score vae --data large.npy": "--size 8",
    "score vae --data vectors.npy": "made for x: Image(channels=1, height=8, width=8, levels=17), but vectors.npy has x: Vector(dims=5)",
    "score vae --samples 0": "--samples must be 1 or more",
    "score vae --split tset": "did you mean test",
    "score vae --out s.txt": ".csv or .parquet",
    "embed vae --out empty": ".csv or .parquet",
    "reconstruct vae --binarize threshold": "vae was made for x: Image",
    "traverse vae --dimensions 7": "from 0 to 1, not 7",
    "traverse vae --row 100000": "there are 180",
    "interpolate vae --steps 1": "--steps must be 2 or more",
    "attribute vae": "needs --has",
    "attribute vae --has x": "no item has the label 'x'",
    "evaluate vae --split tset": "did you mean test",
    "evaluate vae --rows 1": "between 2 and",
    # models that draw one number after another
    "train nade": "nade needs x: Binary, but the data has x: Image(channels=1, height=8, width=8, levels=17), label: Category("
    "classes=10, names=()); make it binary with --binarize dynamic",
    "train pixelcnn --likelihood bernoulli": "likelihood bernoulli is for bits, and x is Image(channels=1, height=8, width=8, levels=17); "
    "make pictures binary with --binarize dynamic",
    "train pixelcnn --data wide.npy": "pictures are uint8, from 0 to 255",
    "train pixelcnn --data wide_colour.npy": "pictures are uint8",
    "train pixelcnn --data vectors.npy": "pixelcnn needs x: Image or Binary, but the data has x: Vector(dims=5)",
    "train full_table --binarize threshold": "train ",
    "train nade --binarize threshold --order 1 1 2": "order must name each of the 64 places from 0 to 63 once",
    "train series_ar --data steps.csv --window 3 --tau 5": "tau",
    "train series_ar --data nan.csv --window 3": "column 'b'",
    "train vae --without label": "vae takes no field 'label' that it can do without",
    "train own.py:Labelled --without x": "takes no field 'x' that it can do without: known: label",
    "score bits --data large.npy": "--size 8",
    "score bits --data nan.npy": "nan",
    "score bits --data digits --binarize none": "make it binary with --binarize dynamic",
    "score bits --given 3": "fvsbn is a p(x), so nothing can be given",
    "score vae --given label": "vae is a p(x), so nothing can be given",
    "score plain --trust --given label": "was trained without label",
    "score digit --trust --given 10": "--given 10: no such class; they are 0 to 9",
    "evaluate digit --trust --given three": "no such class; they are 0 to 9",
    "sample digit --trust --given 3 x": "--given x: no such class",
    "sample vae --growing v.gif": "vae draws all of x at once",
    "sample bits --growing b.mp4": "--growing b.mp4: the name must end in .gif or .png",
    "sample series --growing s.gif": "only pictures are shown growing",
    "sample bits --sampler cahced": "did you mean cached?",
    "complete pca": "pca has no complete",
    "complete bits --known tpo": "did you mean top?",
    "complete bits --known 1.5": "a fraction from 0 to 1",
    "complete bits --known nowhere.png": "no such file",
    "complete bits --known mask.png": "a mask of shape (8, 9), but an item has (1, 8, 8): make it (8, 8)",
    "complete bits --known mask.npy": "a mask of shape (9, 9)",
    "complete bits --known grey_mask.npy": "must hold true and false",
    "complete bits --known notes.txt": "known: ",
    "complete bits --data holes.npy": "none of the 2 levels",
    "complete bits --data holes.npy --known top": "nan",
    "complete digit --trust --data holes.npy --given label": "holds no labels: name one class",
    "complete series --known left": "is for pictures",
    "complete bits --draws 0": "--draws must be 1 or more",
    "compare vae": "two different runs",
    "compare vae pca": "pofx evaluate pca",
}


@pytest.mark.parametrize("line", CASES)
def test_bad_input_is_one_line_that_says_what_to_write(folder, capsys, line):
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    status = main(line.split())
    shown = capsys.readouterr()
    assert status == 2
    assert shown.out == ""
    assert shown.err.startswith("pofx: ")
    assert shown.err.count("\n") == 1
    assert CASES[line] in shown.err
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*") if "__pycache__" not in path.parts} == before


def test_a_full_disk_is_one_line_too(folder, capsys, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert main(["sample", "vae", "--out", "new.png"]) == 2
    assert capsys.readouterr().err.count("No space left on device") == 1
    assert not any(path.name.startswith("new.png") for path in folder.iterdir())
