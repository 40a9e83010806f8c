"""A run is a folder: configuration, weights, metrics, pictures, and what resume needs. Nothing in it is a pickle.

config.json        model, data, training: every default written out
model.safetensors  the weights to use
README.md          model card
metrics.jsonl      one JSON object a line, no clock times (those are in timings.jsonl)
tokenizers/        of each field of text, what made it into tokens
samples/           pictures
state/             what only resume needs
"""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from pofx import __version__, models, renamed
from pofx.errors import UserError, nearest
from pofx.kinds import Kind
from pofx.model import Model

if TYPE_CHECKING:
    from pofx.data.tokenizer import Tokenizer

SECTIONS = ("pofx", "model", "data", "training")
MODEL_KEYS = ("name", "file", "sha256", "kinds", "arguments")


class Run:
    """A run folder that exists.

    Args:
        path: the folder

    Raises:
        UserError: the folder is not a run, or its configuration is damaged or foreign
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.config = _read_config(self.path)

    def model(self, *, trust: bool = False) -> Model:
        """The model with its weights, in evaluation mode, on the CPU.

        Args:
            trust: execute the model file that this run carries, if it carries one
        """
        model = self.blank(trust=trust)
        weights = self.path / "model.safetensors"
        if not weights.is_file():
            raise UserError(f"{weights} is not there: the run has saved no weights yet (`pofx resume {self.path}` trains it on)")
        tensors, _ = read_tensors(weights)
        match_precision(model, tensors)
        load_weights(model, renamed.tensors(tensors, model.state_dict()), weights)
        return model.eval()

    @property
    def kinds(self) -> dict[str, Kind]:
        """The kinds of data that the model was made for, by field name."""
        with naming(self.path / "config.json"):
            return {field: Kind.from_json(kind) for field, kind in self.config["model"]["kinds"].items()}

    def model_class(self, *, trust: bool = False) -> type[Model]:
        """The model's class; nothing is constructed."""
        record = self.config["model"]
        name = record["name"]
        if record["file"] is not None:
            file = self.path / record["file"]
            if not trust:
                raise UserError(
                    f"{self.path} carries its own code ({record['file']}): if you trust it, pass --trust (in Python: trust=True)"
                )
            if not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != record["sha256"]:
                raise UserError(f"{file} is missing or was changed since the run began: restore it, or train anew")
            name = f"{file}:{name}"
        with naming(self.path / "config.json"):
            return models.find(name)

    def blank(self, *, trust: bool = False) -> Model:
        """The model as constructed, before any training."""
        record, cls = self.config["model"], self.model_class(trust=trust)
        with naming(self.path / "config.json"):
            arguments = {k: tuple(v) if isinstance(v, list) else v for k, v in record["arguments"].items()}
            arguments = renamed.said(cls, arguments, inspect.signature(cls.__init__).parameters, notify=False)
            with seeded(self.config.get("training", {}).get("seed", 0)):
                return cls(**self.kinds | arguments)

    def tokenizer(self, field: str = "x") -> Tokenizer:
        """What makes the text of `field` into tokens, and tokens into text.

        Raises:
            UserError: the field is no text, or its tokenizer is gone or not the one that the model was made for
        """
        from pofx.data.tokenizer import Tokenizer

        kinds = self.kinds
        kind = kinds.get(field)
        if kind is None or not kind.text:
            have = ", ".join(f"{name}: {kind.type_name()}" for name, kind in kinds.items())
            raise UserError(f"{self.path} has no text called {field!r}: it was made for {have}")
        file = self.path / "tokenizers" / f"{field}.json"
        if not file.is_file():
            raise UserError(f"{file} is not there: the run was saved without what makes its text into tokens")
        with naming(file):
            found = Tokenizer.from_json(file.read_text(encoding="utf-8"))
            if found.sha256 != kind.tokenizer:
                raise UserError("it is not the tokenizer that the model was made for: restore it, or train anew")
        return found

    def tokenizers(self) -> dict[str, Tokenizer]:
        """The tokenizer of each field that has one in the folder."""
        return {
            name: self.tokenizer(name) for name in self.config["model"]["kinds"] if (self.path / "tokenizers" / f"{name}.json").is_file()
        }

    def metrics(self) -> list[dict[str, Any]]:
        """Every row of metrics.jsonl, in order. A last line that was cut off in writing is left out; `resume` repairs it."""
        file = self.path / "metrics.jsonl"
        lines = file.read_text().splitlines(keepends=True) if file.is_file() else []
        rows = [json.loads(line) for line in lines if line.endswith("\n")]
        return renamed.mixed(rows) if self.config["model"]["file"] else [renamed.metrics(row) for row in rows]


def load(path: str | Path, *, trust: bool = False) -> Model:
    """The model of a run folder, ready to use; works without the data and reads no pickle.

    Args:
        path: a run folder, as `pofx train` or `save` wrote it
        trust: execute the model file that the folder carries, if it carries one of the user's own

    Raises:
        UserError: names the file and the cause when something is missing, damaged or foreign
    """
    return Run(path).model(trust=trust)


def save(model: Model, path: str | Path, *, data: dict[str, Any] | None = None, tokenizers: Mapping[str, Tokenizer] | None = None) -> Path:
    """Write `model` (configuration and weights) into the new folder `path`, so that `load(path)` gives it back.

    Args:
        model: a model, or a session
        path: a folder that is not there yet, or is empty
        data: the record of the data that it was trained on, which new data are then prepared like
        tokenizers: of its fields of text

    Example:
        >>> import tempfile, torch, pofx
        >>> from pofx.kinds import Binary
        >>> from pofx.models.autoencoders.vae import VAE
        >>> vae = VAE(Binary(4), latent=2, hidden=(8,))
        >>> folder = save(vae, tempfile.mkdtemp() + "/vae")
        >>> x = torch.eye(4)
        >>> bool(torch.equal(load(folder).encode(x), vae.eval().encode(x)))
        True
    """
    model = getattr(model, "__wrapped__", model)  # of a session, its model
    path = create(path, {"model": describe(model), **({} if data is None else {"data": data})}, model, tokenizers)
    write_tensors(path / "model.safetensors", model.state_dict())
    return path


def create(path: str | Path, sections: dict[str, Any], model: Model, tokenizers: Mapping[str, Tokenizer] | None = None) -> Path:
    """Make a new run folder with its config.json, and its `tokenizers`; an existing one is left untouched and is an error."""
    path = Path(path)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        hint = (
            f"continue it with `pofx resume {path}`, or choose another --out" if (path / "config.json").exists() else "choose another --out"
        )
        raise UserError(f"{path} exists already: {hint}")
    with explained(path):
        path.mkdir(parents=True, exist_ok=True)
        if sections["model"]["file"] is not None:
            shutil.copyfile(_source(type(model)), path / sections["model"]["file"])
        for field, tokenizer in (tokenizers or {}).items():
            if field in model.inputs:
                (path / "tokenizers").mkdir(exist_ok=True)
                write_whole(path / "tokenizers" / f"{field}.json", tokenizer.to_json().encode())
        write_config(path, {"pofx": __version__, **sections})
    return path


def write_config(path: Path, config: dict[str, Any]) -> None:
    """Write config.json whole or not at all."""
    write_whole(path / "config.json", (json.dumps(config, indent=2) + "\n").encode())


def describe(model: Model) -> dict[str, Any]:
    """The `model` section of config.json."""
    cls, kinds = type(model), model.inputs
    own = not cls.__module__.startswith("pofx.models.")
    return {
        "name": cls.title(),
        "file": "model.py" if own else None,
        "sha256": hashlib.sha256(_source(cls).read_bytes()).hexdigest() if own else None,
        "kinds": {name: kind.to_json() for name, kind in kinds.items()},
        "arguments": {name: value for name, value in model.config.items() if name not in cls.needs()},
    }


def _source(cls: type[Model]) -> Path:
    file = getattr(sys.modules[cls.__module__], "__file__", None)
    if file is None:
        raise UserError(f"{cls.__name__} was not defined in a file: put it into one, so that the run can carry it")
    return Path(file)


def _read_config(path: Path) -> dict[str, Any]:
    file = path / "config.json"
    if not file.is_file():
        raise UserError(f"{path} is not a run folder: it has no config.json" if path.is_dir() else f"there is no run folder {path}")
    try:
        config = json.loads(file.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{file} is damaged: {error}") from None
    if not isinstance(config, dict) or not isinstance(config.get("model"), dict):
        raise UserError(f"{file} is not of a pofx run: it has no section 'model'")
    config = renamed.config(config)
    with naming(file):
        refuse_unknown(config, SECTIONS)
        refuse_unknown(config["model"], MODEL_KEYS, " in section 'model'")
        for section, keys in (("model", MODEL_KEYS), ("data", ("spec", "sha256")), ("training", ())):
            if not isinstance(config.get(section, {}), dict):
                raise UserError(f"section {section!r} is damaged")
            for key in keys:
                if section in config and key not in config[section]:
                    raise UserError(f"section {section!r} lacks the key {key!r}")
        name = config["model"]["name"]
        if config["model"]["file"] is None and name not in (known := models.files()):  # a path here would be executed without trust
            raise UserError(f"no model is called {name!r}: {nearest(str(name), known)}")
        for key in ("kinds", "arguments"):
            if not isinstance(config["model"][key], dict):
                raise UserError(f"{key!r} in section 'model' is damaged")
    return config


def refuse_unknown(found: dict[str, Any], known: Sequence[str], where: str = "") -> None:
    """Raise a UserError that names a key of `found` that is none of `known`."""
    for key in found:
        if key not in known:
            raise UserError(f"unknown key {key!r}{where}: {nearest(key, known)}")


@contextmanager
def naming(file: Path) -> Iterator[None]:
    """Put `file` before the cause that a UserError gives."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{file}: {error}") from error


# Files: written beside, synced, renamed once; read with errors that name the file and the cause


def write_whole(file: Path, data: bytes) -> None:
    """Write `file` so that a crash at any moment leaves either the old content or the new."""
    beside = file.with_name(file.name + ".part")
    try:
        with open(beside, "wb") as f:
            f.write(data)
            f.flush()
            os.fsync(f.fileno())
        os.replace(beside, file)
    except OSError:
        beside.unlink(missing_ok=True)
        raise
    folder = os.open(file.parent, os.O_RDONLY)
    os.fsync(folder)  # so that the rename itself survives a power cut
    os.close(folder)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn an operating system's refusal to write below `path` into a UserError of one line."""
    try:
        yield
    except OSError as error:
        raise UserError(f"cannot write {error.filename or path}: {error.strerror}; what was saved before is intact") from error


def write_tensors(file: Path, tensors: dict[str, Tensor], record: dict[str, str] | None = None) -> None:
    """Write `tensors` as safetensors, with `record` as its metadata, whole or not at all."""
    # copies, for the format refuses tensors that share memory, as tied weights do
    packed = {name: tensor.detach().to("cpu").clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()}
    with explained(file):
        write_whole(file, to_bytes(packed, record or {}))


def read_tensors(file: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and the metadata of a safetensors file."""
    try:
        with safe_open(file, framework="pt") as f:
            return {name: f.get_tensor(name) for name in f.keys()}, f.metadata() or {}  # noqa: SIM118  (not a dict)
    except (SafetensorError, OSError) as error:
        raise UserError(f"{file} is damaged or not a safetensors file: {error}") from None


def match_precision(model: torch.nn.Module, tensors: dict[str, Tensor]) -> None:
    """Give `model` the precision of `tensors`, where all their real numbers have one: what was trained in float64 stays so."""
    kinds = {tensor.dtype for tensor in tensors.values() if tensor.is_floating_point()}
    if len(kinds) == 1:
        model.to(kinds.pop())


def load_weights(model: torch.nn.Module, tensors: dict[str, Tensor], file: Path) -> None:
    """Copy `tensors` into `model`; a missing, foreign or wrongly shaped one is a UserError that names it and `file`."""
    own = model.state_dict()
    for name in own:
        if name not in tensors:
            raise UserError(f"{file} lacks {name!r}: it is not of this model, or is damaged")
    for name, tensor in tensors.items():
        if name not in own:
            raise UserError(f"{file} has {name!r}, which the model has not: {nearest(name, own)}")
        if tensor.shape != own[name].shape:
            raise UserError(f"{file}: {name!r} has shape {tuple(tensor.shape)}, but the model's is {tuple(own[name].shape)}")
    with torch.no_grad():
        for name, tensor in tensors.items():
            own[name].copy_(tensor)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Construct a model under `seed`, leaving the global generator as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
