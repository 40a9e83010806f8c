"""`python -m benchmarks same COMMIT`: whether the code here computes what that of another commit does, bit for bit.

A worktree of the commit is made in a temporary folder, and this file runs as a script in two processes, one a code, with one thread each.
It uses of pofx only what users use: the command line, `pofx.load`, `pofx.models.find`, and what a model can be asked. Every model of the
commit is trained for a few steps in its small configuration, on small data of each kind that it takes, and asked; training goes on; the
run folders that the commit keeps are loaded, asked, and gone on with where they can be. Names may differ: what has another name here must
be found under its old one, and numbers are told by what they are.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import numpy as np

Numbers = dict[str, np.ndarray]  # by a name each

ROOT = Path(__file__).parent.parent
HALF, WHOLE = 4, 8  # steps
ROWS, DRAWN = 4, 2  # rows that a small model is asked about, and samples drawn; of a kept run as many rows as samples
ROWS_MADE = 800  # of pictures and tables: a tenth of them is tested on
SLOW = 100  # tokens or pixels: of larger x not more than one is drawn


# Comparing


def compared(old: Numbers, new: Numbers) -> tuple[list[str], list[str]]:
    """What differs between two sets of named arrays, and what has only another name.

    Example:
        >>> compared({"a": np.ones(2), "b": np.zeros(1)}, {"a": np.ones(2), "c": np.zeros(1)})
        ([], ['b -> c'])
        >>> compared({"a": np.float32([0.1])}, {"a": np.float64([0.1])})
        (['a'], [])
    """
    different = [name for name in old if name in new and _digest(old[name]) != _digest(new[name])]
    left = defaultdict(list)
    for name in new:
        if name not in old:
            left[_digest(new[name])].append(name)
    renamed, gone = [], []
    for name in old:
        if name not in new:
            found = left[_digest(old[name])]
            if found:
                renamed.append(f"{name} -> {found.pop(0)}")
            else:
                gone.append(f"{name} is gone")
    return [*different, *gone, *(f"{name} is new" for names in left.values() for name in names)], renamed


def _digest(values: np.ndarray) -> str:
    values = np.asarray(values)
    return hashlib.sha256(f"{values.dtype} {values.shape}".encode() + values.tobytes()).hexdigest()


def numbers_in(value: Any, name: str = "") -> Numbers:
    """Every number in a nested value, by the way to it; what is text, true or false is left out.

    Example:
        >>> numbers_in({"a": [1, 2.5], "b": {"c": None, "d": "x"}})
        {'a.0': array(1), 'a.1': array(2.5)}
    """
    if isinstance(value, Mapping):
        return {key: number for part, inner in value.items() for key, number in numbers_in(inner, f"{name}.{part}".strip(".")).items()}
    if isinstance(value, (list, tuple)):
        return numbers_in(dict(enumerate(value)), name)
    return {name: np.array(value)} if isinstance(value, (int, float)) and not isinstance(value, bool) else {}


def report(old: dict[str, dict[str, Numbers]], new: dict[str, dict[str, Numbers]], line: Callable[[str], None] = print) -> int:
    """A line for each model or run folder, and how many differ; both are what was found: "model, how" -> what was done -> numbers."""
    groups = defaultdict(list)
    for job in old:
        groups[job.partition(", ")[0]].append(job)
    bad = 0
    for group, jobs in groups.items():
        different, renamed = [], dict[str, None]()
        for job in jobs:
            for part, numbers in old[job].items():
                if job not in new or part not in new[job]:
                    different.append(f"{job}: {part}: not there")
                    continue
                wrong, names = compared(numbers, new[job][part])
                different += [f"{job}: {part}: {name}" for name in wrong]
                renamed |= dict.fromkeys(names)
            if job in new and "error" in new[job] and "error" not in old[job]:
                different.append(f"{job}: {' '.join(str(new[job]['error']['error']).split())}")
        failed = [job for job in jobs if "error" in old[job]]
        shown = f"; failed in the old code: {', '.join(failed)}" if failed else ""
        shown += f"; {len(renamed)} with other names: {', '.join(list(renamed)[:3])}" if renamed else ""
        times = f"{len(jobs)} times" if len(jobs) > 1 else "once"
        told = f"DIFFERENT in {len(different)}: {'; '.join(different[:4])}" if different else f"same, {times}"
        line(f"{group:34} {told}{shown}")
        bad += bool(different)
    line(f"{bad} of {len(groups)} differ" if bad else f"all {len(groups)} are the same")
    return bad


# The two processes


def same(commit: str, *, real: bool = False, only: str = "") -> int:
    """Compare the working tree with `commit`; 1 when anything differs.

    Args:
        commit: any git revision
        real: also measure the kept run folders on rows of their own data, in $POFX_DATA
        only: models and run folders whose name has this in it
    """
    from pofx.errors import UserError

    if subprocess.run(["git", "rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}"], cwd=ROOT, stdout=subprocess.DEVNULL).returncode:
        raise UserError(f"no commit is called {commit!r}")
    with tempfile.TemporaryDirectory(prefix="pofx-same-") as place, worktree(commit, Path(place) / "tree") as tree:
        write_data(Path(place) / "data")
        found = []
        for name, source in (("old", tree), ("new", ROOT)):
            print(f"{name}: {source if name == 'new' else commit}", file=sys.stderr, flush=True)
            asked = {"name": name, "place": place, "source": str(source), "tree": str(tree), "real": real, "only": only}
            environment = os.environ | {
                "PYTHONPATH": str(source / "src"), "OMP_NUM_THREADS": "1", "POFX_CACHE": f"{place}/cache-{name}", "MPLBACKEND": "Agg",
            }  # fmt: skip
            subprocess.run([sys.executable, "-P", __file__, json.dumps(asked)], cwd=tree, env=environment, check=True)
            found.append(pickle.loads((Path(place) / f"{name}.pickle").read_bytes()))
        return int(bool(report(*found)))


@contextlib.contextmanager
def worktree(commit: str, path: Path) -> Iterator[Path]:
    """The files of `commit` below `path`, which goes away again."""
    subprocess.run(["git", "worktree", "add", "--quiet", "--detach", str(path), commit], cwd=ROOT, check=True)
    try:
        yield path
    finally:
        subprocess.run(["git", "worktree", "remove", "--force", str(path)], cwd=ROOT, check=True)


def write_data(folder: Path) -> None:
    """Small made-up data of every kind."""
    folder.mkdir()
    source = np.random.default_rng(0)
    labels = np.arange(ROWS_MADE) % 3
    for name, shape in (("pictures", (ROWS_MADE, 1, 8, 8)), ("tiny", (ROWS_MADE, 1, 2, 2)), ("colour", (ROWS_MADE, 3, 4, 4))):
        np.savez(folder / f"{name}.npz", x=source.integers(0, 256, shape).astype(np.uint8), label=labels)
    rows = [",".join(f"{value:.3f}" for value in row) for row in source.standard_normal((ROWS_MADE, 4)).cumsum(1)]
    (folder / "table.csv").write_text("\n".join(["a,b,c,d", *rows]) + "\n")
    rows = [",".join(f"{value:.3f}" for value in row) for row in source.standard_normal((ROWS_MADE, 2)).cumsum(0)]
    (folder / "series.csv").write_text("\n".join(["high,low", *rows]) + "\n")
    words = ["red", "green", "blue", "bird", "sings", "runs"]
    lines = [" ".join(words[i] for i in source.integers(0, 6, n)) for n in source.integers(1, 6, 60)]
    (folder / "lines.txt").write_text("\n".join(lines) + "\n")
    (folder / "pairs.tsv").write_text("".join(f"{line}\t{line[::-1]}\n" for line in lines))


# What each process does: below, nothing but what users of pofx use


class Driver:
    """Everything that is asked of one code.

    Args:
        asked: as `same` says
    """

    def __init__(self, asked: dict[str, Any]):
        self.place, self.tree, self.name = Path(asked["place"]), Path(asked["tree"]), asked["name"]
        self.real, self.only = asked["real"], asked["only"]
        self.runs = self.place / f"runs-{self.name}"
        self.found: dict[str, dict[str, Numbers]] = {}

    def run(self) -> None:
        """Do all, and write what was found."""
        jobs = self.place / "jobs.json"
        if self.name == "old":
            jobs.write_text(json.dumps(self.trainings()))
        else:
            for job, words, further in json.loads(jobs.read_text()):
                self.training(job, words, further)
        for folder in sorted([*self.tree.glob("benchmarks/runs/*"), *self.tree.glob("tests/formats/v*/*")]):
            job = str(folder.relative_to(self.tree))
            if (folder / "config.json").is_file() and self.only in job:
                self.kept(job, folder)
        (self.place / f"{self.name}.pickle").write_bytes(pickle.dumps(self.found))

    # Models

    def trainings(self) -> list[tuple[str, list[str], bool]]:
        """Train every model on each kind of data and with each choice that it has, and say how, for the other code to do likewise."""
        from pofx import models

        done = []

        def attempt(job: str, words: list[str], further: bool) -> bool:
            worked = self.training(job, words, further)
            if worked:
                done.append((job, words, further))
            else:
                del self.found[job]
            return worked

        files = {str(file): file for file in sorted(self.tree.glob("tests/formats/v*/own_*/model.py"))}
        for name in [*models.files(), *files]:
            if self.only not in name:
                continue
            cls = models.find(name)
            called = str(files[name].relative_to(self.tree)) if name in files else name
            _, known, _ = command("train", name, "--help")
            small = flags(getattr(cls, "small", {}), known)
            kinds = {field: ([kind.__name__ for kind in taken], needed) for field, (taken, needed) in cls.needs().items()}
            ways = data_for(kinds, self.place / "data")
            worked = [way for way in ways if attempt(f"{called}, {way}", [name, *ways[way], *small], True)]
            if not worked:
                print(f"{called}: trained on nothing", file=sys.stderr)
                continue
            for option in cls.hyper_parameters():
                for value in choices(option.annotation, getattr(cls, "small", {}).get(option.name, option.default)):
                    words = [*small, *flags({option.name: value}, known)]
                    attempt(f"{called}, {worked[0]}, {option.name}={value}", [name, *ways[worked[0]], *words], False)
        return done

    def training(self, job: str, words: list[str], further: bool) -> bool:
        """Train, ask, and go on if `further`; whether training worked."""
        import torch

        out = self.runs / hashlib.sha256(job.encode()).hexdigest()[:16]
        found = self.found[job] = {}
        often = ["--batch-size", "6", "--log-every", "2", "--eval-every", "2", "--seed", "1", "--device", "cpu"]
        status, _, said = command("train", *words, *often, "--steps", str(HALF), "--out", str(out))
        if status:
            found["error"] = {"error": np.array(said.strip()[-300:])}
            return False
        found |= trained(out, f"after {HALF} steps")
        try:
            model = load(out)
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(3)
                fresh = type(model)(**model.config)
            found["initial weights"] = {name: tensor.numpy().copy() for name, tensor in fresh.state_dict().items()}
            found["answers"] = answers(model, inputs(out, ROWS))
            if further:
                for verb, rest in (("sample", ["--n", "3", "--seed", "5"]), ("complete", ["--n", "2", "--draws", "2", "--seed", "5"])):
                    file = out / f"{verb}.npy"
                    code, _, _ = command(verb, str(out), *rest, "--out", str(file), "--trust")
                    found[verb] = {"status": np.array(code)} | ({"x": np.load(file)} if file.is_file() else {})
                several = ["--rows", "70", "--draws", "70", "--features", "pixels"]  # more than a picture has pixels
                for name, verb, rest in (
                    ("score", "score", ["--split", "valid"]),
                    ("evaluate", "evaluate", ["--rows", "3", "--draws", "0"]),
                    ("evaluate samples", "evaluate", several),
                ):
                    code, text, _ = command(verb, str(out), *rest, "--seed", "5", "--json", "--trust")
                    found[name] = {"status": np.array(code)} | (numbers_in(json.loads(text)) if code == 0 else {})
                if hasattr(model, "translate"):
                    code, text, _ = command("translate", str(out), *(["--text", "red bird"] if "pairs" in job else ["--n", "3"]))
                    found["translate"] = {"status": np.array(code), "said": np.array(text)}
                code, _, _ = command("resume", str(out), "--steps", str(WHOLE), "--trust")
                found |= trained(out, f"after {WHOLE} steps") | {"resume": {"status": np.array(code)}}
        except Exception:
            found["error"] = {"error": np.array(traceback.format_exc()[-300:])}
        return True

    # Run folders

    def kept(self, job: str, folder: Path) -> None:
        """Load a run folder, ask its model, and go on with its training where it was stopped half-way."""
        found = self.found[job] = {}
        try:
            found["answers"] = answers(load(folder), inputs(folder, DRAWN))
            if (folder / "state").is_dir():
                copy = shutil.copytree(folder, self.runs / job)
                code, _, said = command("resume", str(copy), "--trust")
                found["resume"] = {"status": np.array(code)} | ({} if code == 0 else {"said": np.array(said[-300:])})
                found |= trained(copy, "resumed")
            elif self.real and "data" in json.loads((folder / "config.json").read_text()):
                copy = shutil.copytree(folder, self.runs / job)
                words = ["--rows", "20", "--draws", "0", "--seed", "5", "--json", "--trust"]
                code, text, _ = command("evaluate", str(copy), *words)
                found["evaluate"] = {"status": np.array(code)} | (numbers_in(json.loads(text)) if code == 0 else {})
        except Exception:
            found["error"] = {"error": np.array(traceback.format_exc()[-300:])}


def without_curves() -> None:
    """Let matplotlib draw one empty pixel for every figure: curves are not compared, and would take most of the time."""
    from matplotlib.figure import Figure
    from PIL import Image

    def savefig(self: Figure, file: Any, **options: Any) -> None:
        Image.new("RGB", (1, 1)).save(file, format="png")

    Figure.savefig = savefig  # type: ignore[assignment, method-assign]


def command(*words: str) -> tuple[int, str, str]:
    """Run a command line in this process: its status, what it prints, and what it says beside."""
    from pofx.cli import main

    printed, said = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(said):
        try:
            status = main(list(words))
        except Exception:
            said.write(traceback.format_exc())
            status = 99
    return status, printed.getvalue(), said.getvalue()


def load(folder: Path) -> Any:
    """The model of a run folder."""
    import pofx

    return pofx.load(folder, trust=True)


def flags(arguments: Mapping[str, Any], known: str = "") -> list[str]:
    """Hyper-parameters as the command line has them, whose help is `known`: one that is called as an option of the data says model- first.

    Example:
        >>> flags({"hidden": (6, 5), "cached": False, "size": 2}, "--hidden --cached --size --model-size")
        ['--hidden', '6', '5', '--no-cached', '--model-size', '2']
    """
    words = []
    for name, value in arguments.items():
        flag = name.replace("_", "-")
        flag = f"model-{flag}" if f"--model-{flag}" in known else flag
        if isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            words += [f"--{flag}", *map(str, value if isinstance(value, tuple) else [value])]
    return words


def choices(annotation: Any, chosen: Any) -> list[Any]:
    """What a hyper-parameter could be instead, where it is a choice of words, or yes or no.

    Example:
        >>> choices(Literal["mlp", "conv"] | None, "mlp"), choices(bool, True), choices(int, 3)
        (['conv'], [False], [])
    """
    if annotation is bool:
        return [not chosen]
    if get_origin(annotation) is Literal:
        return [value for value in get_args(annotation) if value != chosen]
    return [value for part in get_args(annotation) if get_origin(part) is Literal for value in choices(part, chosen)]


def data_for(kinds: Mapping[str, tuple[list[str], bool]], folder: Path) -> dict[str, list[str]]:
    """Flags of data, by what they are called, for a model that takes these fields: field -> (names of kinds, whether it needs it)."""
    taken, others = kinds["x"][0], {name: needed for name, (_, needed) in kinds.items() if name != "x"}
    label = ["--labelled", "12"] if "x_labelled" in others else []
    found: dict[str, list[str]] = {}
    if "Image" in taken:
        found["pictures"] = ["--data", f"{folder}/pictures.npz", *label]
        found["digits"] = ["--data", "digits", *label]
        found["colour"] = ["--data", f"{folder}/colour.npz", *label]
    if "Binary" in taken:
        found["bits"] = ["--data", f"{folder}/pictures.npz", "--binarize", "dynamic", *label]
        found["few bits"] = ["--data", f"{folder}/tiny.npz", "--binarize", "threshold", *label]
    if found and others.get("label") is False:
        found |= {f"{name} without labels": [*words, "--without", "label"] for name, words in list(found.items())[:1]}
    if "Vector" in taken:
        found["table"] = ["--data", f"{folder}/table.csv"]
        found["ring"] = ["--data", "ring"]
    if "Series" in taken:
        found["series"] = ["--data", f"{folder}/series.csv", "--window", "8"]
    if "Tokens" in taken and "source" in others:
        if "Tokens" in kinds["source"][0]:
            found["pairs"] = ["--data", f"{folder}/pairs.tsv"]
            found["pairs of words"] = ["--data", f"{folder}/pairs.tsv", "--tokens", "words", "--shared"]
        if "Image" in kinds["source"][0]:
            found["digits spelled"] = ["--data", "digits", "--read", "english"]  # --spell today; an older commit knows this word alone
    elif "Tokens" in taken:
        found["lines"] = ["--data", f"{folder}/lines.txt"]
        found["running words"] = ["--data", f"{folder}/lines.txt", "--tokens", "words", "--window", "6", "--stride", "6"]
    return found


def trained(out: Path, when: str) -> dict[str, Numbers]:
    """The numbers in a run folder: weights, what resume needs, and metrics."""
    from safetensors.numpy import load_file

    found: dict[str, Numbers] = {}
    for file in ("model.safetensors", "state/training.safetensors"):
        found[f"{file} {when}"] = load_file(out / file)
    header = (out / "state/training.safetensors").read_bytes()
    record = json.loads(header[8 : 8 + int.from_bytes(header[:8], "little")]).get("__metadata__", {})
    for key, text in record.items():
        told = json.loads(text)
        told.pop("metrics", None)  # how many bytes they take, which names change
        found[f"state {key} {when}"] = numbers_in(told)
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    found[f"metrics {when}"] = numbers_in(rows)
    return found


def inputs(folder: Path, rows: int) -> dict[str, Any]:
    """Made-up rows for each field that a run's model was made for, as config.json has them."""
    import torch

    source, found = np.random.default_rng(1), {}
    values: Any
    for name, kind in json.loads((folder / "config.json").read_text())["model"]["kinds"].items():
        match kind["kind"]:
            case "Binary":
                values = source.integers(0, 2, (rows, *kind["dims"])).astype(np.float32)
            case "Image":
                shape = (rows, kind["channels"], kind["height"], kind["width"])
                values = (source.integers(0, kind["levels"], shape) / (kind["levels"] - 1)).astype(np.float32)
            case "Vector":
                values = source.standard_normal((rows, kind["dims"])).astype(np.float32)
            case "Series":
                values = source.standard_normal((rows, kind["length"], kind["channels"])).astype(np.float32)
            case "Category":
                values = np.arange(rows) % kind["classes"]
            case "Tokens":
                length = kind["length"] if not kind["ends"] else min(kind["length"], 12)
                values = source.integers(2, kind["vocabulary"], (rows, length))
                if kind["ends"]:
                    values[:, -1] = 1
                    values[0, length // 2 :] = [1] + [0] * (length - length // 2 - 1)
        found[name] = torch.from_numpy(values)
    return found


def answers(model: Any, fields: dict[str, Any]) -> Numbers:
    """What the model says of rows of its fields."""
    import torch

    def drawn() -> torch.Generator:
        return torch.Generator().manual_seed(7)

    x, found = next(iter(fields.values())), dict[str, Any]()
    ways: dict[str, dict[str, Any]] = {"": {}}
    if "source" in fields:
        ways = {"": {"given": fields["source"]}}
    elif "label" in fields and not model.needs()["label"][1]:
        ways["given label"] = {"given": fields["label"]}
    draws = 1 if x[0].numel() > SLOW else DRAWN
    with torch.no_grad():
        for method in ("encode", "classify", "cluster", "hash"):
            if hasattr(model, method):
                found[method] = getattr(model, method)(x)
        if hasattr(model, "decode") and "encode" in found:
            found["decode"] = model.decode(found["encode"])
        if hasattr(model, "translate"):
            found["translate"] = model.translate(fields["source"])
        if hasattr(model, "generate"):
            found["generate"] = model.generate(model.prior.sample(DRAWN, x, drawn()))
        if hasattr(model, "complete"):
            known = (torch.arange(x[0].numel()) < x[0].numel() * 3 // 4).view(x.shape[1:]).expand_as(x)
            found["complete"] = model.complete(x[:draws], known[:draws], generator=drawn())
        for way, given in ways.items():
            some = {name: values[:draws] for name, values in given.items()}
            if hasattr(model, "log_prob"):
                extra = {"samples": 5, "generator": drawn()} if model.density == "bound" else {}
                found[f"log_prob {way}"] = model.log_prob(x, **given, **extra)
            if hasattr(model, "sample"):
                found[f"sample {way}"] = model.sample(draws, **some, generator=drawn())
    return {name: np.asarray(values) for name, values in found.items()}


if __name__ == "__main__":
    import torch

    import pofx

    asked = json.loads(sys.argv[1])
    assert Path(pofx.__file__).is_relative_to(Path(asked["source"]) / "src"), f"pofx is imported from {pofx.__file__}"
    torch.set_num_threads(1)
    without_curves()
    Driver(asked).run()
