"""Names that their libraries may change: where they stand, and that what stands in for them gives the same numbers."""

from __future__ import annotations

import ast
from argparse import ArgumentParser
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from sacrebleu.metrics import CHRF

import pofx
from pofx.evaluate.sacrebleu_private import ChrF, resampled_score
from pofx.plan import Adam
from pofx.train import torch_private
from pofx.train.averaging import BATCH_NORMS, Recent
from pofx.train.optimizers import FusedAdam
from pofx.train.strategy import computes_bf16
from tests.two_layers import game, trainer

ROOM = Path(pofx.__file__).parent
TREES = {file: ast.parse(file.read_text()) for file in sorted(ROOM.rglob("*.py"))}
KEPT = {file for file in TREES if file.stem.endswith("_private")}


def private(name: object) -> bool:
    return isinstance(name, str) and any(part.startswith("_") and part.strip("_") and not part.startswith("__") for part in name.split("."))


def defined(tree: ast.AST) -> set[str]:
    """Private names that a file gives to things of its own: functions, classes, and what is assigned, to an object too."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    stored = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    held = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)}
    return stored | held | {node.name for node in ast.walk(tree) if isinstance(node, functions)}


def foreign(tree: ast.AST, own: set[str], beside: set[str] = frozenset()) -> list[str]:  # type: ignore[assignment]
    """Each use of a private name that is not an object's own: read off an object, imported, or spelled in a string.

    Private modules `beside` the file are its own: a helper that only one model needs is _name.py beside it.
    """
    found = []
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id="self" | "cls") | ast.Call(func=ast.Name(id="super")), attr=name) if name in own:
                continue
            case ast.Attribute(attr=name) if private(name):
                found.append(ast.unparse(node))
            case ast.ImportFrom(module=module, names=names) if {module, *(f"{module}.{name.name}" for name in names)} & beside:
                continue
            case ast.ImportFrom(module=module, names=names) if private(module) or any(private(name.name) for name in names):
                found.append(ast.unparse(node))
            case ast.Import(names=names) if any(private(name.name) for name in names):
                found.append(ast.unparse(node))
            case ast.Call(func=ast.Name(id=by), args=[_, ast.Constant(value=name), *_]) if by.endswith("attr") and private(name):
                found.append(ast.unparse(node))
    return found


def test_no_file_but_a_private_one_uses_a_private_name():
    own = set().union(*map(defined, TREES.values()))
    beside = {
        file: {".".join(other.relative_to(ROOM.parent).with_suffix("").parts) for other in file.parent.glob("_[a-z]*.py")} for file in TREES
    }
    assert {str(file): used for file, tree in TREES.items() if file not in KEPT and (used := foreign(tree, own, beside[file]))} == {}
    assert {(file.parent.name, file.stem) for file in KEPT} == {("train", "torch_private"), ("evaluate", "sacrebleu_private")}


@pytest.mark.parametrize(
    "line",
    [
        "torch._foreach_add_(a, b)", "from torch.nn.modules.batchnorm import _BatchNorm", "import torch._dynamo as d", "score._ci",
        "from torch._inductor import config", "getattr(torch, '_fused_adam_')", "self._modules", "super()._apply(f)", "x.y()._mine",
    ],
)  # fmt: skip
def test_the_search_finds(line):
    assert foreign(ast.parse(line), {"_mine"})


@pytest.mark.parametrize("line", ["self._mine", "super()._mine()", "a.__dict__", "_, b = c", "from __future__ import annotations", "a.b_"])
def test_the_search_passes(line):
    assert not foreign(ast.parse(line), {"_mine"})


def test_no_class_takes_a_private_name_of_its_library_s_base():
    """A module with a `_modules` or a `_call_impl` of its own breaks without a word."""
    taken = {name for base in (torch.nn.Module, torch.autograd.Function, ArgumentParser, CHRF) for name in dir(base) if private(name)}
    taken |= {name for name in vars(torch.nn.Module()) if private(name)} | {name for name in vars(ArgumentParser()) if private(name)}
    classes = [(file, node) for file, tree in TREES.items() for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.bases]
    assert {node.name: same for file, node in classes if file not in KEPT and (same := defined(node) & taken)} == {}
    assert [node.name for file, node in classes if file in KEPT and defined(node) & taken] == ["ChrF"]


def test_every_batch_normalisation_is_averaged():
    named = {getattr(torch.nn, name) for name in dir(torch.nn) if "BatchNorm" in name and not name.startswith("Lazy")}
    assert named == set(BATCH_NORMS)


NAMES = ("_foreach_add_", "_foreach_div_", "_foreach_lerp_", "_fused_adam_", "_fused_adamw_")


@pytest.fixture
def renamed(monkeypatch):
    """A torch that has none of the names."""

    def rename():
        for name in NAMES:
            monkeypatch.delattr(torch, name)
        monkeypatch.setattr(torch.ops, "mkldnn", SimpleNamespace())

    return rename


def drawn(dtype=torch.float32, seed=0):
    source = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=source, dtype=dtype) for shape in ((37, 53), (11,), (), (3, 4, 5))]


@pytest.mark.parametrize(
    "operation",
    [
        lambda tensors: torch_private.add_(tensors, drawn(seed=1)),
        lambda tensors: torch_private.add_(tensors, 1),
        lambda tensors: torch_private.div_(tensors, 7),
        lambda tensors: torch_private.lerp_(tensors, drawn(seed=1), 1 - 0.999),
        lambda tensors: torch_private.lerp_(tensors, drawn(seed=1), 0.7),
    ],
)
def test_tensor_by_tensor_is_the_same_bit_for_bit(operation, renamed):
    together, apart = drawn(), drawn()
    operation(together)
    renamed()
    operation(apart)
    for a, b, before in zip(together, apart, drawn(), strict=True):
        assert torch.equal(a, b)
        assert not torch.equal(a, before)


def moved(kind, dtype, steps=50):
    """Parameters after some steps, and how many each has made; one takes no part in every other."""
    parameters = [torch.nn.Parameter(tensor) for tensor in drawn(dtype)]
    adam = FusedAdam(parameters, kind)
    for step in range(steps):
        for number, (p, gradient) in enumerate(zip(parameters, drawn(dtype, seed=step + 1), strict=True)):
            p.grad = None if number == 1 and step % 2 else gradient
        adam.step(0.01)
    return parameters, [adam.state[p]["step"].item() for p in parameters]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", [Adam(betas=(0.8, 0.99), eps=1e-6), Adam(weight_decay=0.1), Adam(weight_decay=0.1, decays="matrices")])
def test_adam_without_its_kernel_is_the_same_but_for_rounding(kind, dtype, renamed):
    fused, counted = moved(kind, dtype)
    renamed()
    plain, count = moved(kind, dtype)
    assert count == counted == [50, 25, 50, 50]
    for p, q in zip(plain, fused, strict=True):
        torch.testing.assert_close(p, q, rtol=0, atol=50 * torch.finfo(dtype).eps)


@pytest.mark.parametrize(("of_torch", "decay"), [(torch.optim.Adam, 0.0), (torch.optim.AdamW, 0.1)])
def test_adam_without_its_kernel_is_torch_s_own_bit_for_bit(of_torch, decay, renamed):
    parameters = [torch.nn.Parameter(tensor) for tensor in drawn()]
    adam = of_torch(parameters, lr=0.01, betas=(0.8, 0.99), eps=1e-6, weight_decay=decay, foreach=False)
    for step in range(50):
        for number, (p, gradient) in enumerate(zip(parameters, drawn(seed=step + 1), strict=True)):
            p.grad = None if number == 1 and step % 2 else gradient
        adam.step()
    renamed()
    found, _ = moved(Adam(betas=(0.8, 0.99), eps=1e-6, weight_decay=decay), torch.float32)
    assert all(torch.equal(p, q) for p, q in zip(found, parameters, strict=True))


def test_a_training_without_any_of_the_names_is_the_same_but_for_rounding(renamed):
    """A moving average and a mean of the last weights with it."""

    def trained(**options):
        t = trainer(game(), **options)
        t.run()
        return [tensor.clone() for tensor in t.weights().values()]

    with_names = [trained(ema=0.8), trained(average=3, eval_every=2)]
    renamed()
    without = [trained(ema=0.8), trained(average=3, eval_every=2)]
    for one, other in zip(with_names, without, strict=True):
        for a, b in zip(one, other, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def test_a_mean_of_weights_is_the_same_bit_for_bit(renamed):
    live = {"a": torch.zeros(1000)}
    recent = Recent(live, 3)
    for seed in range(3):
        live["a"].copy_(torch.randn(1000, generator=torch.Generator().manual_seed(seed)))
        recent.add()
    before = recent.mean()["a"]
    renamed()
    assert torch.equal(recent.mean()["a"], before)


def test_bf16_is_known_of_without_the_name(renamed, monkeypatch):
    here = torch.device("cpu")
    renamed()
    for found, native in (("AVX512", True), ("AVX2", False), ("DEFAULT", False)):
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda found=found: found)
        assert computes_bf16(here) == native
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert computes_bf16(here)


FOUND = ["a red bike", "zzz", "the dog", "qqq"]
WANTED = ["a red bicycle", "the cat sat", "the dog runs", "on the mat"]


def interval(found=FOUND, wanted=WANTED, measure=None):
    measure = measure or ChrF()
    score = resampled_score(measure, found, wanted, 200)
    return score.score, score._mean, score._ci, str(measure.get_signature())


def test_chrf_whose_numbers_are_not_asked_for_is_resampled_here(monkeypatch):
    """Some resamples share nothing with the references: sacrebleu's own then fails."""
    expected = interval()
    monkeypatch.delattr(ChrF, "_compute_f_score")
    with pytest.raises(TypeError):
        ChrF().corpus_score(FOUND, [WANTED], n_bootstrap=200)
    drawn_here = interval()
    assert drawn_here[0] == expected[0]
    assert drawn_here[1:3] == pytest.approx(expected[1:3], rel=1e-6)
    assert drawn_here[3] == expected[3]


def test_chrf_without_the_name_is_sacrebleu_s_where_that_has_a_mean(monkeypatch):
    found = [f"{text}s" for text in WANTED]
    expected = interval(found)
    monkeypatch.delattr(ChrF, "_compute_f_score")
    assert interval(found)[:3] == pytest.approx(expected[:3], rel=1e-6)
