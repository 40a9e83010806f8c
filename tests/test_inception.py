"""The network of the FID, as far as it can be held against what is known of it without its weights."""

import hashlib
from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional as F

from pofx.errors import UserError
from pofx.evaluate.features import chosen, inception
from pofx.kinds import Image, Vector
from pofx.layers.inception import BlockA, BlockE, Inception, load_inception
from pofx.run import seeded


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A file of random weights, named as the real one's are."""
    with seeded(0):
        model = Inception()
    path = tmp_path_factory.mktemp("inception") / "weights.pth"
    torch.save({name: tensor for name, tensor in model.state_dict().items() if "num_batches" not in name}, path)
    return path


def test_it_has_the_parameters_of_inception_v3_with_1008_classes_and_no_side_head():
    """23,834,568 are torchvision's `inception_v3` with 1000 classes and without auxiliary logits; 8 more classes have 2049 each."""
    model = Inception()
    assert sum(p.numel() for p in model.parameters()) == 23_834_568 + 8 * 2049
    names = [name for name, tensor in model.state_dict().items() if name.endswith("conv.weight")]
    assert len(names) == 94
    shapes = {name: tuple(model.state_dict()[name].shape) for name in names}
    assert shapes["Mixed_6c.branch7x7dbl_4.conv.weight"] == (160, 160, 7, 1)
    assert shapes["Mixed_7c.branch3x3dbl_3a.conv.weight"] == (384, 384, 1, 3)
    assert shapes["Mixed_5c.branch_pool.conv.weight"] == (64, 256, 1, 1)


def test_an_average_counts_only_what_is_inside_and_the_last_block_takes_the_largest():
    torch.manual_seed(0)
    x = torch.rand(1, 192, 5, 5)
    block = BlockA(192, 32).eval()
    inside = torch.stack([x[0, :, max(0, i - 1) : i + 2, max(0, j - 1) : j + 2].mean((1, 2)) for i in range(5) for j in range(5)], 1)
    want = block.branch_pool(inside.view(1, 192, 5, 5))
    torch.testing.assert_close(block(x)[:, -32:], want)
    last = BlockE(192, largest=True).eval()
    torch.testing.assert_close(last(x)[:, -192:], last.branch_pool(F.max_pool2d(x, 3, 1, 1)))


def test_features_come_from_the_file_and_a_grey_picture_has_three_equal_channels(file):
    x = torch.rand(2, 1, 9, 9)
    grey, colour = inception(file, Image(1, 9, 9)), inception(file, Image(3, 9, 9))
    found = grey(x)
    assert found.shape == (2, 2048)
    assert (grey.measure, grey.name) == ("frechet", f"inception@{grey.sha256[:8]}")  # of other weights it is no FID
    torch.testing.assert_close(torch.tensor(colour(x.expand(-1, 3, -1, -1))), torch.tensor(found), atol=1e-5, rtol=1e-4)
    net = load_inception(file)
    large = 2 * F.interpolate(x, (299, 299), mode="bilinear", align_corners=False) - 1
    seen = []
    net.Conv2d_1a_3x3.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        net(x)
    torch.testing.assert_close(seen[0], large.expand(-1, 3, -1, -1))


def test_it_is_called_fid_by_the_hash_of_the_file(file, monkeypatch):
    monkeypatch.setattr("pofx.evaluate.features.FID_FILE", hashlib.sha256(file.read_bytes()).hexdigest()[:8])
    assert inception(file, Image(1, 9, 9)).measure == "FID"


def test_other_files_are_refused(file, tmp_path):
    weights = torch.load(file, weights_only=True)
    torch.save({**weights, "more": torch.zeros(1)}, tmp_path / "more.pth")
    torch.save({name: tensor for name, tensor in weights.items() if name != "fc.bias"}, tmp_path / "less.pth")
    torch.save({**weights, "fc.bias": torch.zeros(1000)}, tmp_path / "imagenet.pth")
    (tmp_path / "text.pth").write_text("nothing")
    for name, problem in {"more": "it has more", "less": "fc.bias of shape", "imagenet": "fc.bias of shape", "text": "no file of"}.items():
        with pytest.raises(UserError, match=f"{name}.pth is .*{problem}"):
            load_inception(tmp_path / f"{name}.pth")
    with pytest.raises(UserError, match="sees pictures of one or three channels"):
        chosen(SimpleNamespace(fields={"x": Vector(3)}, record={}), str(file))
