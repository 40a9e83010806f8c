"""A run is a folder: what is written comes back, and whatever is wrong with a file is said in one line that names it."""

from __future__ import annotations

import errno
import json
import os
import pickle
import subprocess
import sys

import pytest
import torch
from safetensors.torch import save_file

import pofx
from pofx import run as runs
from pofx.data import load as load_data
from pofx.errors import UserError
from pofx.kinds import Binary, Image, Vector
from pofx.models.autoencoders.autoencoder import AutoEncoder
from pofx.models.autoencoders.pca import PCA
from pofx.models.autoencoders.vae import VAE
from pofx.train import Training, resume, train

OWN = '''
"""A model from a user's own file."""
from torch import nn
from pofx.options import Size
from pofx.kinds import Vector
from pofx.model import Model
print("executed")
class Mine(Model):
    def __init__(self, x: Vector, *, latent: Size = 2):
        super().__init__()
        self.codes, self.net = Vector(latent), nn.Linear(x.dims, latent)
    def encode(self, x):
        return self.net(x)
'''


@pytest.fixture
def folder(tmp_path):
    """A VAE saved, never trained."""
    with runs.seeded(3):
        vae = VAE(Binary(1, 4, 4), latent=2, hidden=(6, 5))
    return runs.save(vae, tmp_path / "vae")


def edit(folder, change):
    """Rewrite config.json after `change` has been made to it."""
    config = json.loads((folder / "config.json").read_text())
    change(config)
    (folder / "config.json").write_text(json.dumps(config))


def the_error(folder, action=pofx.load):
    """The one line of the UserError that loading gives."""
    with pytest.raises(UserError) as caught:
        action(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# What is written comes back


def test_save_and_load_give_back_the_model_and_its_configuration(tmp_path):
    with runs.seeded(3):
        vae = VAE(Image(3, 8, 8, levels=16), latent=3, body="conv", hidden=(4, 5), likelihood="categorical", beta=2.0)
    found = pofx.load(runs.save(vae, tmp_path / "a"))
    assert type(found) is VAE
    assert found.config == vae.config
    assert not found.training
    assert list(found.state_dict()) == list(vae.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(found.state_dict().values(), vae.state_dict().values(), strict=True))


def test_what_is_saved_twice_is_the_same_bytes(folder, tmp_path):
    again = runs.save(pofx.load(folder), tmp_path / "again")
    assert (again / "model.safetensors").read_bytes() == (folder / "model.safetensors").read_bytes()
    assert (again / "config.json").read_bytes() == (folder / "config.json").read_bytes()


def test_loading_leaves_the_global_generator_alone(folder):
    before = torch.get_rng_state()
    pofx.load(folder)
    assert torch.equal(torch.get_rng_state(), before)


def test_every_default_is_written_out(folder):
    record = json.loads((folder / "config.json").read_text())["model"]
    assert record["arguments"].keys() == {p.name for p in VAE.hyper_parameters()}
    assert record["kinds"] == {"x": {"kind": "Binary", "dims": [1, 4, 4]}}


def test_a_trained_run_loads_without_its_data(tmp_path):
    import numpy as np

    np.save(tmp_path / "table.npy", np.random.default_rng(0).normal(size=(60, 3)).astype("float32"))
    data = load_data(tmp_path / "table.npy")
    with runs.seeded(0):
        model = AutoEncoder(Vector(3), latent=2, hidden=(4,))
    run = train(model, data, Training(steps=3, batch_size=10), tmp_path / "run")
    codes = run.model().encode(torch.eye(3))
    (tmp_path / "table.npy").unlink()
    (tmp_path / "run").rename(tmp_path / "moved")
    assert torch.equal(pofx.load(tmp_path / "moved").encode(torch.eye(3)), codes)


# An existing folder, and a disk that refuses


def test_an_existing_run_is_left_untouched(folder):
    before = {file: file.read_bytes() for file in folder.iterdir()}
    assert "exists already: continue it with `pofx resume" in the_error(folder, lambda path: runs.save(PCA(Vector(3), latent=1), path))
    assert {file: file.read_bytes() for file in folder.iterdir()} == before


def test_a_folder_that_holds_something_else_is_left_untouched(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    assert the_error(tmp_path, lambda path: runs.save(PCA(Vector(3), latent=1), path)).endswith("exists already: choose another --out")
    assert os.listdir(tmp_path) == ["notes.txt"]


def test_a_place_where_no_folder_can_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    assert "cannot write" in the_error(tmp_path / "file" / "run", lambda path: runs.save(PCA(Vector(3), latent=1), path))


def test_a_full_disk_keeps_the_old_file_and_says_so(folder, monkeypatch):
    weights = folder / "model.safetensors"
    before = weights.read_bytes()

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    message = the_error(weights, lambda file: runs.write_tensors(file, {"a": torch.zeros(3)}))
    assert "No space left on device" in message
    assert str(weights) in message
    assert weights.read_bytes() == before
    assert sorted(os.listdir(folder)) == ["config.json", "model.safetensors"]


def test_a_crash_before_the_rename_leaves_the_old_file(folder, monkeypatch):
    weights = folder / "model.safetensors"
    before = weights.read_bytes()

    def crash(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", crash)
    with pytest.raises(KeyboardInterrupt):
        runs.write_tensors(weights, {"a": torch.zeros(3)})
    assert weights.read_bytes() == before


# Wrong files: config.json


def test_no_folder_and_no_run_are_told_apart(tmp_path):
    assert the_error(tmp_path / "nowhere") == f"there is no run folder {tmp_path / 'nowhere'}"
    assert the_error(tmp_path) == f"{tmp_path} is not a run folder: it has no config.json"


@pytest.mark.parametrize("text", ["", '{"model": {"name": "va', "\x00\x01", "[]", "3", '{"a": 1}', '{"model": []}'])
def test_a_damaged_or_foreign_config_is_named(folder, text):
    (folder / "config.json").write_text(text)
    assert the_error(folder).startswith(f"{folder / 'config.json'} is ")


def test_a_config_that_is_not_text_is_named(folder):
    (folder / "config.json").write_bytes(b"\xff\xfe\x00{")
    assert the_error(folder).startswith(f"{folder / 'config.json'} is damaged")


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda c: c.update(modle={}), "unknown key 'modle': did you mean model?"),
        (lambda c: c["model"].update(argumnets={}), "unknown key 'argumnets' in section 'model': did you mean arguments?"),
        (lambda c: c["model"].pop("kinds"), "section 'model' lacks the key 'kinds'"),
        (lambda c: c["model"]["arguments"].update(latnet=3), "vae has no argument 'latnet': did you mean latent"),
        (lambda c: c["model"]["arguments"].update(latent=0), "latent must be 1 or more, not 0"),
        (lambda c: c["model"]["arguments"].update(latent="2"), "latent must be a whole number, not '2'"),
        (lambda c: c["model"]["arguments"].update(body="cnov"), "body must be one of mlp, conv, not 'cnov'"),
        (lambda c: c["model"]["kinds"].update(y={"kind": "Binary", "dims": [2]}), "vae has no argument 'y'"),
        (lambda c: c["model"]["kinds"].pop("x"), "missing a required argument: 'x'"),
        (lambda c: c["model"]["kinds"]["x"].update(kind="Binray"), "unknown kind of data 'Binray': did you mean Binary?"),
        (lambda c: c["model"]["kinds"]["x"].update(dmis=[2]), "unknown key 'dmis' in kind Binary: did you mean dims?"),
        (lambda c: c["model"]["kinds"].update(x={"kind": "Image", "channels": 1}), "kind Image lacks height, width"),
        (lambda c: c["model"].update(kinds=[]), "'kinds' in section 'model' is damaged"),
        (lambda c: c["model"]["kinds"].update(x="Image"), "a kind of data is a record with the key 'kind', not 'Image'"),
        (lambda c: c["model"]["arguments"].update(x=3), "x must be"),
        (lambda c: c.update(training=3), "section 'training' is damaged"),
        (lambda c: c["model"].update(arguments=None), "'arguments' in section 'model' is damaged"),
        (lambda c: c["model"].update(name="vea"), "no model is called 'vea': did you mean vae"),
    ],
)
def test_a_wrong_key_or_value_of_the_configuration_is_named_with_its_file(folder, change, cause):
    edit(folder, change)
    message = the_error(folder)
    assert str(folder / "config.json") in message
    assert cause in message


# Wrong files: weights


def test_weights_that_are_not_there_are_named(folder):
    (folder / "model.safetensors").unlink()
    assert the_error(folder).startswith(f"{folder / 'model.safetensors'} is not there")


def write_pickle(file):
    file.write_bytes(pickle.dumps({"a": 1}))


def write_torch(file):
    torch.save({"a": torch.zeros(2)}, file)


def write_truncated(file):
    file.write_bytes(file.read_bytes()[:-7])


def write_header_cut(file):
    file.write_bytes(file.read_bytes()[:20])


def write_nothing(file):
    file.write_bytes(b"")


def make_folder(file):
    file.unlink()
    file.mkdir()


@pytest.mark.parametrize("damage", [write_pickle, write_torch, write_truncated, write_header_cut, write_nothing])
def test_damaged_or_foreign_weights_are_named(folder, damage):
    damage(folder / "model.safetensors")
    assert the_error(folder).startswith(f"{folder / 'model.safetensors'} is damaged or not a safetensors file")


def test_a_pickle_is_never_executed(folder, tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "sprung"),)

    for write in (pickle.dump, torch.save):
        with open(folder / "model.safetensors", "wb") as file:
            write(Trap(), file)
        the_error(folder)
        assert not (tmp_path / "sprung").exists()


def rewritten(folder, change):
    file = folder / "model.safetensors"
    tensors, _ = runs.read_tensors(file)
    change(tensors)
    save_file(tensors, file)
    return the_error(folder)


def test_a_missing_a_foreign_and_a_wrongly_shaped_tensor_are_named(folder):
    tensors, _ = runs.read_tensors(folder / "model.safetensors")
    name = next(iter(tensors))
    file = folder / "model.safetensors"
    assert rewritten(folder, lambda t: t.pop(name)) == f"{file} lacks {name!r}: it is not of this model, or is damaged"
    message = rewritten(folder, lambda t: t.update({name: torch.zeros(2, 2, 2)}))
    assert message == f"{file}: {name!r} has shape (2, 2, 2), but the model's is {tuple(tensors[name].shape)}"
    message = rewritten(folder, lambda t: t.update({name: tensors[name], name + "s": torch.zeros(2)}))
    assert message.startswith(f"{file} has {name + 's'!r}, which the model has not: did you mean {name}")


def test_a_refused_file_leaves_no_half_loaded_model(folder):
    tensors, _ = runs.read_tensors(folder / "model.safetensors")
    model = runs.Run(folder).blank()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    wrong = {name: tensor + 1 for name, tensor in tensors.items()}
    wrong[list(wrong)[-1]] = torch.zeros(2, 2, 2)
    with pytest.raises(UserError):
        runs.load_weights(model, wrong, folder / "model.safetensors")
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


# What resume needs


@pytest.fixture
def trained(tmp_path):
    data = load_data("digits")
    with runs.seeded(0):
        model = AutoEncoder(Image(1, 8, 8), latent=2, hidden=(4,))
    return train(model, data, Training(steps=4, batch_size=10), tmp_path / "run").path


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda c: c["training"].update(stpes=5), "'stpes'"),
        (lambda c: c["training"].update(batch_size=0), "batch_size must be 1 or more, not 0"),
        (lambda c: c.pop("training"), "'training'"),
        (lambda c: c.pop("data"), "'data'"),
        (lambda c: c["data"].pop("spec"), "'spec'"),
    ],
)
def test_resume_names_what_is_wrong_in_the_configuration(trained, change, cause):
    edit(trained, change)
    message = the_error(trained, lambda path: resume(path, steps=6))
    assert str(trained / "config.json") in message
    assert cause in message


def test_resume_of_data_that_have_changed_is_refused(trained):
    edit(trained, lambda c: c["data"].update(sha256="0" * 64))
    assert "has changed: SHA-256" in the_error(trained, lambda path: resume(path, steps=6))


@pytest.mark.parametrize("damage", [write_pickle, write_truncated, write_nothing])
def test_resume_names_a_damaged_state(trained, damage):
    state = trained / "state" / "training.safetensors"
    damage(state)
    assert the_error(trained, lambda path: resume(path, steps=6)).startswith(f"{state} is damaged or not a safetensors file")


def test_a_run_that_early_stopping_ended_goes_on_when_more_steps_are_asked_for(tmp_path):
    with runs.seeded(0):
        model = AutoEncoder(Image(1, 8, 8), latent=2, hidden=(4,))
    options = Training(steps=40, batch_size=10, eval_every=1, patience=1, lr=50.0, log_every=1)
    run = train(model, load_data("digits"), options, tmp_path / "run")
    ended = run.metrics()[-1]["step"]
    assert ended < 40
    assert "is done" in the_error(run.path, resume)
    assert resume(run.path, steps=60).metrics()[-1]["step"] > ended


def test_a_run_is_trained_by_one_process_at_a_time(trained, tmp_path):
    """Whoever comes second is told so, and leaves everything as it is; when the first has ended, in whatever way, the run can go on."""

    def interfere(row):
        before = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
        assert the_error(path, lambda path: resume(path, steps=9)) == (
            f"{path} is in training by another process: wait for it, or stop it and resume then"
        )
        assert before == {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
        if row["step"] == 6:
            raise ZeroDivisionError

    path = trained
    with pytest.raises(ZeroDivisionError):
        resume(trained, steps=6, report=interfere)
    resume(trained, steps=7)
    path = tmp_path / "other"
    with runs.seeded(0):
        model = AutoEncoder(Image(1, 8, 8), latent=2, hidden=(4,))
    train(model, load_data("digits"), Training(steps=4, batch_size=10, log_every=1), path, report=interfere)
    assert resume(path, steps=5).metrics()[-1]["step"] == 5


def test_resume_goes_on_from_what_another_process_left_meanwhile(trained, monkeypatch):
    """The other one, at another rate, ends just before this one has the folder for itself."""

    def alone(out):
        monkeypatch.setattr(pofx.train, "_alone", really_alone)
        resume(trained, steps=6, lr=0.123)
        return really_alone(out)

    really_alone, steps = pofx.train._alone, []
    monkeypatch.setattr(pofx.train, "_alone", alone)
    run = resume(trained, steps=7, report=lambda row: steps.append(row["step"]))
    assert set(steps) == {7}
    assert (run.config["training"]["steps"], run.config["training"]["lr"]) == (7, 0.123)


def test_resume_of_a_folder_without_state_is_refused(folder):
    assert "no training state to resume from" in the_error(folder, resume)


# A model of the user's own


@pytest.fixture
def own(tmp_path):
    (tmp_path / "mine.py").write_text(OWN)
    cls = pofx.models.find(f"{tmp_path / 'mine.py'}:Mine")
    with runs.seeded(0):
        model = cls(Vector(3), latent=2)
    return runs.save(model, tmp_path / "run"), model


def test_a_run_carries_the_users_own_file_and_executes_it_only_when_trusted(own, tmp_path, capsys):
    folder, model = own
    capsys.readouterr()
    (tmp_path / "mine.py").unlink()
    assert "carries its own code (model.py): if you trust it, pass --trust" in the_error(folder)
    assert "carries its own code" in the_error(folder, lambda path: runs.Run(path).model())
    assert capsys.readouterr().out == ""
    assert torch.equal(pofx.load(folder, trust=True).encode(torch.eye(3)), model.encode(torch.eye(3)))
    assert capsys.readouterr().out == "executed\n"


@pytest.mark.parametrize("read", [pofx.load, runs.Run])
def test_a_file_that_the_configuration_names_elsewhere_is_never_executed(own, tmp_path, capsys, read):
    """The name of a model of pofx's own is a name, and not a path to code."""
    folder, _ = own
    edit(folder, lambda c: c["model"].update(name=f"{tmp_path / 'mine.py'}:Mine", file=None, sha256=None))
    capsys.readouterr()
    pofx.models.sys.modules.pop(pofx.models.find(f"{tmp_path / 'mine.py'}:Mine").__module__)
    assert "no model is called" in the_error(folder, read)
    assert capsys.readouterr().out == ""


def test_a_users_file_that_was_changed_is_refused(own):
    folder, _ = own
    with open(folder / "model.py", "a") as file:
        file.write("# longer\n")
    assert "was changed since the run began" in the_error(folder, lambda path: pofx.load(path, trust=True))


def test_loading_imports_neither_pickle_readers_nor_the_data_room(folder):
    """In a fresh process, with unpickling made impossible."""
    code = f"""
import pickle, torch
def refuse(*args, **kwargs): raise SystemExit("something was unpickled")
pickle.load = pickle.loads = pickle.Unpickler = torch.load = refuse
import pofx, sys
pofx.load({str(folder)!r})
assert "pofx.data" not in sys.modules, "loading needs no data"
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
