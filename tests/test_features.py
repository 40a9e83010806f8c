"""Features: whose they are, that they are found again, and that wrong x is refused."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from pofx import run
from pofx.data import load
from pofx.errors import Lacks, UserError
from pofx.evaluate import features as module
from pofx.evaluate.features import by_channel, chosen, network, own_network, pixels
from pofx.evaluate.protocol import weights_hash
from pofx.kinds import Binary, Category, Image, Vector
from pofx.models.adversarial.gan import GAN
from pofx.models.classifiers.convnet import ConvNet


def uniform(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def net():
    with run.seeded(0):
        return ConvNet(Image(1, 8, 8), Category(10), channels=(4, 4), features=6)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache of its own, and short trainings."""
    monkeypatch.setenv("POFX_CACHE", str(tmp_path))
    monkeypatch.setattr(module, "TRAINING", {"steps": 3, "batch_size": 10})
    return tmp_path / "features"


def test_pixels_are_x_in_double_precision():
    x = uniform(130, 1, 3, 3)
    assert (pixels(Image(1, 3, 3))(x) == x.double().flatten(1).numpy()).all()
    assert pixels(Image(1, 3, 3)).record() == {"name": "pixels"}
    assert (pixels(Vector(2))(torch.tensor([[-3.0, 7.0]])) == [[-3, 7]]).all()  # vectors have no range


def test_a_network_is_called_by_the_hash_of_its_weights_and_gives_its_codes(net):
    x, found = uniform(130, 1, 8, 8), network(net)
    assert found.record() == {"name": f"convnet@{weights_hash(net)[:8]}", "sha256": weights_hash(net)}
    np.testing.assert_allclose(found(x), net.encode(x).detach().double().numpy(), atol=1e-6)
    assert found(x).dtype == np.float64
    assert (found.classes_of(x) == net.classify(x).argmax(1).numpy()).all()
    assert found.classes == 10
    with torch.no_grad():
        net.last.bias += 1
    assert network(net).name != found.name


def test_features_do_not_depend_on_how_x_is_cut(net, monkeypatch):
    x, found = uniform(250, 1, 8, 8), network(net)
    whole = found(x)
    monkeypatch.setattr(module, "BLOCK", 7)
    np.testing.assert_allclose(found(x), whole, atol=1e-6)
    np.testing.assert_allclose(np.concatenate([found(x[:33]), found(x[33:])]), whole, atol=1e-6)


def test_the_first_x_that_is_no_picture_is_named(net):
    x = uniform(250, 1, 8, 8)
    x[130, 0, 2, 2], x[200, 0, 0, 0] = -0.25, 1.5
    with pytest.raises(UserError, match=r"picture number 130 has values from -0.25 to .*pictures lie in \[0, 1\]"):
        network(net)(x)
    x[120, 0, 2, 2] = torch.nan
    with pytest.raises(UserError, match="x number 120 is not finite"):
        network(net)(x)
    with pytest.raises(UserError, match=r"are of Image\(.*shape \(1, 8, 8\), not of x of shape \(3, 8, 8\)"):
        network(net)(uniform(2, 3, 8, 8))
    with pytest.raises(UserError, match="picture number 0 has values"):
        pixels(Binary(4))(torch.full((1, 4), 2.0))


def test_what_cannot_be_compared_by_is_an_error_that_says_what_to_take(net, tmp_path):
    data = load("digits")
    with pytest.raises(UserError, match="--features nothing: no such run folder; use pixels, or a run of a model that encodes"):
        chosen(data, "nothing")
    assert chosen(data, "pixels").name == "pixels"
    run.save(net, tmp_path / "net")
    with run.seeded(0):
        other = ConvNet(Image(1, 9, 9), Category(10), channels=(4,), features=6)
        gan = GAN(Image(1, 8, 8), latent=2, hidden=(4,))
    run.save(other, tmp_path / "other")
    run.save(gan, tmp_path / "gan")
    with pytest.raises(UserError, match=r"other are of x: Image\(.*height=9.*but the data has x: Image\("):
        chosen(data, str(tmp_path / "other"))
    with pytest.raises(Lacks, match="gan has no encode"):
        chosen(data, str(tmp_path / "gan"))
    with pytest.raises(UserError, match="no training split to learn features from"):
        own_network(load("digits", True))
    with pytest.raises(UserError, match="are of no classifier"):
        pixels(Vector(2)).classes_of(torch.zeros(1, 2))


def test_a_network_is_trained_once_for_the_data_and_found_again(cache, monkeypatch):
    rows = []
    first = own_network(load("digits"), report=rows.append)
    assert rows
    assert first.name.startswith("convnet@")
    assert first(uniform(2, 1, 8, 8)).shape == (2, module.SIZE)
    (folder,) = (path for path in cache.iterdir() if path.is_dir())
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "metrics.jsonl", "model.safetensors", "timings.jsonl"]

    bits = own_network(load("digits", binarize="threshold"))  # other data have a network of their own
    assert bits.name != first.name
    (folder / "state").mkdir()  # as a training leaves it that was killed
    (folder / "model.safetensors").write_bytes(b"")
    assert own_network(load("digits")).name == first.name  # trained anew, to the same weights
    monkeypatch.setattr("pofx.train.train", lambda *_, **__: pytest.fail("trained again"))
    assert own_network(load("digits")).name == first.name
    assert own_network(load("digits", labelled=100)).name == first.name  # all labels: it is to measure with
    assert chosen(load("digits")).name == first.name


def test_data_without_labels_are_compared_by_their_principal_components_or_as_they_are(cache, tmp_path):
    from sklearn.decomposition import PCA

    pictures = (255 * uniform(300, 9, 9)).byte().numpy()
    np.save(tmp_path / "pictures.npy", pictures)
    data = load(str(tmp_path / "pictures.npy"))
    found = chosen(data)
    assert found.name.startswith("pca@")
    train = data.splits["train"].read(range(len(data.splits["train"])))["x"]
    reference = PCA(module.SIZE, svd_solver="full").fit(train.flatten(1).double().numpy())
    want = reference.transform(train.flatten(1).double().numpy())
    np.testing.assert_allclose(np.abs(found(train)), np.abs(want), atol=1e-4)
    np.save(tmp_path / "small.npy", pictures[:, :8, :8])
    assert chosen(load(str(tmp_path / "small.npy"))).name == "pixels"  # 64 numbers


def test_stacked_pictures_are_seen_by_channel_and_their_classes_spell_a_number(net, tmp_path, cache):
    x, single = uniform(30, 3, 8, 8), network(net)
    found = by_channel(single, 3)
    np.testing.assert_allclose(found(x), np.concatenate([single(x[:, c : c + 1]) for c in range(3)], axis=1), atol=1e-6)
    digits = np.stack([single.classes_of(x[:, c : c + 1]) for c in range(3)], axis=1)
    assert (found.classes_of(x) == digits @ [100, 10, 1]).all()
    assert (found.classes, found.name) == (1000, single.name)

    run.save(net, tmp_path / "net")
    data = load("digits", stacked=3)
    assert chosen(data, str(tmp_path / "net")).classes == 1000
    assert chosen(data).name == chosen(load("digits")).name


@pytest.mark.parametrize(("name", "spec", "right"), [("features_mnist", "mnist", 99.0), ("features_fashion", "fashion-mnist", 91.0)])
def test_the_stored_networks_tell_the_labels_of_real_pictures(pofx_data, name, spec, right):
    folder = Path(__file__).parent.parent / "benchmarks" / "runs" / name
    data = load(spec)
    batch = data.splits["test"].read(range(1000))
    found = chosen(data, str(folder))
    assert 100 * (found.classes_of(batch["x"]) == batch["label"].numpy()).mean() > right - 2
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 2e6


def test_a_cache_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("POFX_CACHE", str(blocked))
    with pytest.raises(UserError, match=f"cannot write {blocked}"):
        own_network(load("digits"))
    assert os.listdir(tmp_path) == ["file"]
