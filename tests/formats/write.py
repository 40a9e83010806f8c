"""Writes the run folders that every later version of pofx must load: `python -m tests.formats.write v2`, at the root of the repository.

Run once, when a format is new; what it wrote is kept for ever and never written again. A folder is a short training, and `expected.json`
beside its files holds a few rows, and what the model says of them (see said.py). Those of v1 were trained to their end on the built-in
digits and have no `state/`. Those of v2 were stopped half-way: their `expected.json` also says what resuming ended with.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

import pofx
from pofx import data, models
from pofx.cli import main as command
from pofx.errors import Interrupted
from pofx.model import bind
from pofx.run import Run, seeded
from pofx.train import Training, resume, train
from tests.formats.said import more_answers, rounded, summaries

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
DATA = Path("tests/formats/data")  # as the records have it: relative to the root of the repository
ROWS = 3
HALF = 3  # steps; in all twice as many

BITS: dict[str, Any] = {"spec": "digits", "binarize": "dynamic"}
DIGITS: dict[str, Any] = {"spec": "digits"}
TINY: dict[str, Any] = {"spec": f"{DATA}/pictures.npy", "binarize": "threshold"}
TABLE: dict[str, Any] = {"spec": f"{DATA}/table.csv"}
SERIES: dict[str, Any] = {"spec": f"{DATA}/series.csv", "window": 8, "stride": 2}
PAIRS: dict[str, Any] = {"spec": f"{DATA}/numbers.tsv"}
LINES: dict[str, Any] = {"spec": f"{DATA}/lines.txt"}

# folder, which is the model's name and perhaps more after a dot -> data, hyper-parameters beside the small ones, training
RUNS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "dcgan": (DIGITS, {}, {}),
    "gan": ({"spec": "ring"}, {"packing": 2, "penalty": "wgan_gp", "loss": "wasserstein", "critic_steps": 2}, {"ema": 0.5}),
    "gan.pool": (DIGITS, {"pool": 12, "spectral_norm": True, "smoothing": 0.1, "distortion": 0.1}, {}),
    "infogan": (DIGITS, {}, {}),
    "aae": (DIGITS, {}, {}),
    "aae_clustering": (DIGITS, {}, {}),
    "aae_semi_supervised": (DIGITS | {"labelled": 50}, {}, {}),
    "autoencoder": (DIGITS, {}, {"average": 2, "eval_every": 1}),
    "autoencoder.series": (SERIES, {"body": "recurrent"}, {}),
    "denoising": (DIGITS, {}, {"ema": 0.5}),
    "pca": (DIGITS, {}, {}),
    "stacked_denoising": (DIGITS, {}, {"steps": 4 * HALF}),
    "vae": (BITS, {}, {"schedule": "cosine", "warmup": 0.4}),
    "vae.table": (TABLE, {"kl_warmup": 0.5}, {}),
    "ar": (BITS, {}, {}),
    "ar_table": (BITS, {}, {}),
    "conv_nade": (DIGITS, {}, {}),
    "deep_nade": (BITS, {}, {}),
    "diagonal_bilstm": (BITS, {}, {}),
    "full_table": (TINY, {}, {}),
    "fvsbn": (BITS, {}, {}),
    "gated_pixelcnn": (DIGITS, {"hidden": 8}, {}),
    "independent": (DIGITS, {}, {}),
    "markov": (BITS, {}, {}),
    "multi_scale": (DIGITS | {"binarize": "threshold"}, {}, {}),
    "nade": (BITS, {}, {"clip": 1.0}),
    "pixelcnn": (DIGITS, {}, {}),
    "rnade": (TABLE, {}, {}),
    "row_lstm": (BITS, {}, {}),
    "series_ar": (SERIES, {}, {}),
    "series_latent": (SERIES, {}, {}),
    "series_markov": (SERIES, {}, {}),
    "convnet": (DIGITS, {}, {}),
    "ngram": (LINES | {"window": 6, "stride": 6}, {}, {}),
    "recurrent_lm": (LINES | {"tokens": "words"}, {}, {}),
    "transformer_lm": (LINES | {"tokens": "bpe", "vocabulary": 270, "window": 8}, {}, {"average": 2, "eval_every": 1}),
    "attention": (PAIRS, {}, {}),
    "reader": (DIGITS | {"read": "english"}, {}, {}),
    "seq2seq": (PAIRS | {"tokens": "words"}, {}, {}),
    "sequence_autoencoder": (LINES, {}, {}),
    "transformer": (PAIRS | {"tokens": "bpe", "vocabulary": 270, "shared": True}, {}, {"schedule": "inverse_sqrt", "warmup": 0.2}),
    "own_mixture": (BITS, {}, {}),
    "own_chain": (BITS, {}, {}),
    "own_game": ({"spec": "grid"}, {}, {"steps": 4 * HALF}),
}
SCORED = ("vae",)


def own() -> Iterator[tuple[str, str]]:
    """The models of the user's own: folder -> code. The first two are those that the documentation teaches."""
    page = (ROOT / "docs" / "add-a-model.md").read_text()
    for folder, file in (("own_mixture", "bernoulli_mixture"), ("own_chain", "two_before")):
        code = re.search(rf"^```python file={file}\.py\n(.*?)^```$", page, re.M | re.S)
        assert code is not None
        yield folder, code[1]
    yield "own_game", (HERE / "own_game.py.txt").read_text()


def sources() -> None:
    """Small data, made up, where it is not there yet."""
    if DATA.exists():
        return
    DATA.mkdir()
    numbers = np.random.default_rng(0)
    np.save(DATA / "pictures.npy", numbers.integers(0, 256, (60, 1, 2, 2)).astype(np.uint8))
    rows = [",".join(f"{value:.3f}" for value in row) for row in numbers.standard_normal((60, 4)).cumsum(1)]
    (DATA / "table.csv").write_text("\n".join(["a,b,c,d", *rows]) + "\n")
    steps = [",".join(f"{value:.3f}" for value in row) for row in np.stack([np.sin(np.arange(120) / 3), np.cos(np.arange(120) / 5)], 1)]
    (DATA / "series.csv").write_text("\n".join(["high,low", *steps]) + "\n")
    ones = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    tens = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy"]
    eins = ["ein", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun"]
    zehn = ["zwanzig", "dreißig", "vierzig", "fünfzig", "sechzig", "siebzig"]
    said = [(f"{t} {o}", f"{e} und {z}") for t, z in zip(tens, zehn, strict=True) for o, e in zip(ones, eins, strict=True)]
    (DATA / "numbers.tsv").write_text("".join(f"{one}\t{other}\n" for one, other in said), encoding="utf-8")
    (DATA / "lines.txt").write_text("".join(f"{one}\n" for one, _ in said))


def half(name: str, source: dict[str, Any], arguments: dict[str, Any], asked: dict[str, Any], out: Path) -> None:
    """Train half of a training's steps into the run folder `out`: a signal stops it, as Ctrl-C does."""
    loaded, cls = data.load(**source), models.find(name)
    steps = asked.get("steps", 2 * HALF)
    usual = {"steps": steps, "batch_size": 8, "log_every": steps // 2, "eval_every": steps // 2, "device": "cpu"}
    training = Training(**usual | asked)
    with seeded(training.seed):
        model = cls(**bind(cls, loaded.fields), **cls.small | arguments)

    def stop(row: dict[str, Any]) -> None:
        if row["step"] == steps // 2 and "split" not in row:
            os.kill(os.getpid(), signal.SIGINT)

    with suppress(Interrupted):
        train(model, loaded, training, out, report=stop)


def finish(out: Path) -> None:
    """Keep what is loaded for ever, and what the model says of a few rows now and what resuming it ends with."""
    for extra in ("samples", "timings.jsonl", "README.md"):
        if (out / extra).is_dir():
            shutil.rmtree(out / extra)
        else:
            (out / extra).unlink(missing_ok=True)
    config = json.loads((out / "config.json").read_text())
    if str(ROOT) in config["data"]["spec"]:
        config["data"]["spec"] = str(Path(config["data"]["spec"]).relative_to(ROOT))
    (out / "config.json").write_text(json.dumps(config, indent=1) + "\n")

    expected: dict[str, Any] = {}
    model = pofx.load(out, trust=True)
    split = data.reload(config["data"], Run(out).tokenizers()).splits["valid"]
    fields = {name: values for name, values in split.read(np.arange(ROWS)).items() if name in model.inputs}
    fields = {name: fields[name] for name in model.inputs}
    expected["fields"] = {name: rounded(values) for name, values in fields.items()}
    expected["says"] = more_answers(model, fields)
    with tempfile.TemporaryDirectory() as place:
        copy = shutil.copytree(out, Path(place) / "copy")
        resume(copy, trust=True)
        expected["resumed"] = {file: summaries(copy / file) for file in ("model.safetensors", "state/training.safetensors")}
    (out / "expected.json").write_text(json.dumps(expected) + "\n")


def main(version: str) -> None:
    os.chdir(ROOT)
    sources()
    (HERE / version).mkdir()
    with tempfile.TemporaryDirectory() as place:
        files = {folder: Path(place) / f"{folder}.py" for folder, _ in own()}
        for folder, code in own():
            files[folder].write_text(code)
        for folder, (source, arguments, training) in RUNS.items():
            out = HERE / version / folder
            half(str(files.get(folder, folder.partition(".")[0])), source, arguments, training, out)
            if folder in SCORED:
                command(["evaluate", str(out), "--samples", "10"])
            finish(out)
            print(folder, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
