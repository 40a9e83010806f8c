"""NADE's compiled loops against the plain ones, what an order must be."""

from __future__ import annotations

import ast
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

import pofx
from pofx.errors import UserError
from pofx.kinds import Binary
from pofx.models import files
from pofx.models.autoregressive import _nade_conditionals
from pofx.models.autoregressive._nade_conditionals import nade_fill, nade_logits
from pofx.models.autoregressive.nade import NADE
from pofx.randomness import generator

D, H = 23, 300  # a last row of pixels that is no multiple of anything; two blocks of hidden units


def parameters(dtype=torch.float64, D=D, H=H):
    source = torch.Generator().manual_seed(0)
    return [torch.randn(*shape, generator=source, dtype=torch.float64).to(dtype).requires_grad_() for shape in ((D, H), (H,), (D, H), (D,))]


def bits(B, D=D, share=0.3):
    return (torch.rand(B, D, generator=torch.Generator().manual_seed(1), dtype=torch.float64) < share).double()


def plain(x, order, W, c, V, b):
    """The equations, one number after another."""
    a, logits = c.expand(len(x), -1), [None] * len(order)
    for d in order.tolist():
        logits[d] = a.sigmoid() @ V[d] + b[d]
        a = a + x[:, d, None] * W[d]
    return torch.stack(logits, 1)


@pytest.fixture
def no_compiled_code(monkeypatch):
    monkeypatch.setattr(_nade_conditionals, "_compiles", lambda *tensors: False)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("x", [bits(19), bits(1), torch.zeros(9, D).double(), torch.ones(3, D).double(), torch.rand(8, D).double()])
def test_compiled_logits_and_gradients_are_those_of_the_equations(dtype, x):
    order, tolerance = torch.randperm(D, generator=generator(0)), 1e-12 if dtype == torch.float64 else 2e-5
    g = torch.randn(len(x), D, generator=generator(1), dtype=torch.float64)
    expected = plain(x, order, *(exact := parameters()))
    expected.backward(g)
    logits = nade_logits(x.to(dtype), order, *(found := parameters(dtype)))
    logits.backward(g.to(dtype))
    torch.testing.assert_close(logits.double(), expected, rtol=tolerance, atol=10 * tolerance)
    for p, q in zip(found, exact, strict=True):
        torch.testing.assert_close(p.grad.double(), q.grad, rtol=tolerance, atol=tolerance * q.grad.abs().max().item())


def test_where_nothing_is_compiled_torch_does_the_same_in_chunks(no_compiled_code):
    """D is more than a chunk; the gradient goes through x too."""
    x = bits(5, 3 * _nade_conditionals.CHUNK + 5).requires_grad_()
    order = torch.randperm(x.shape[1], generator=generator(0))
    weights = parameters(D=len(order), H=20)
    of_chunks = torch.autograd.grad(nade_logits(x, order, *weights).square().sum(), [x, *weights])
    of_plain = torch.autograd.grad(plain(x, order, *weights).square().sum(), [x, *weights])
    for found, expected in zip(of_chunks, of_plain, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


def test_x_that_takes_a_gradient_is_not_compiled_away():
    x, weights = bits(4).requires_grad_(), parameters()
    nade_logits(x, torch.arange(D), *weights)[:, 5].sum().backward()
    seen = x.grad.abs().sum(0) > 0
    assert seen[:5].all()
    assert not seen[5:].any()


def test_the_number_of_threads_changes_no_bit():
    order, threads, found = torch.arange(D), torch.get_num_threads(), []
    try:
        for number in (1, 2, 5):
            torch.set_num_threads(number)
            weights = parameters(torch.float32)
            logits = nade_logits(bits(50).float(), order, *weights)
            logits.square().sum().backward()
            found.append([logits.detach(), *(p.grad for p in weights)])
    finally:
        torch.set_num_threads(threads)
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(other, found[0], strict=True))


def test_two_threads_of_python_at_once_get_the_same():
    """A server answers several at once."""
    x, order, weights = bits(40), torch.arange(D), parameters()
    alone, together = nade_logits(x, order, *weights).detach(), [None] * 4

    def ask(place):
        together[place] = nade_logits(x, order, *weights).detach()

    threads = [threading.Thread(target=ask, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(torch.equal(found, alone) for found in together)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_finite_stays_so(bad):
    """The engine stops at a loss that is not finite: a compiled loop must not hide it."""
    W, c, V, b = parameters(torch.float32)
    with torch.no_grad():
        c[7] = bad
    logits = nade_logits(bits(3).float(), torch.arange(D), W, c, V, b)
    expected = plain(bits(3).float(), torch.arange(D), W, c, V, b)
    assert torch.equal(logits.isnan(), expected.isnan())
    with torch.no_grad():
        V[3, 7] = bad
    assert not nade_logits(bits(3).float(), torch.arange(D), W, c, V, b)[:, 3].isfinite().any()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_compiled_sampler_draws_what_the_naive_one_draws(dtype):
    nade = NADE(Binary(1, 5, 5), hidden=40, order=3).to(dtype)
    with torch.no_grad():
        for p in nade.parameters():
            p.add_(torch.randn(p.shape, generator=generator(0)))
    fast, naive = (nade.sample(300, generator=generator(1), sampler=name) for name in ("cached", "naive"))
    assert torch.equal(fast, naive)
    assert 0.1 < fast.mean() < 0.9
    known = torch.rand(300, 1, 5, 5, generator=generator(2)) < 0.5
    x = torch.rand(300, 1, 5, 5, generator=generator(3)).round().to(dtype)
    fast, naive = (nade.complete(x, known, generator=generator(4), sampler=name) for name in ("cached", "naive"))
    assert torch.equal(fast, naive)
    assert torch.equal(fast[known], x[known])


def test_the_compiled_sampler_gives_way_where_nothing_is_compiled(no_compiled_code):
    nade = NADE(Binary(3, 3), hidden=8)
    assert not nade_fill(torch.zeros(2, 9), torch.zeros(2, 9).bool(), torch.rand(2, 9), nade.order, *nade.parameters())
    assert torch.equal(nade.sample(20, generator=generator(0)), nade.sample(20, generator=generator(0), sampler="naive"))


def test_log_p_is_the_paper_s(no_compiled_code):
    """By torch's own cross-entropy, from the equations."""
    nade, x = NADE(Binary(D), hidden=7, order=5).double(), bits(6)
    logits = plain(x, nade.order, nade.W_DH, nade.c_H, nade.V_DH, nade.b_D)
    torch.testing.assert_close(nade.log_prob(x), -F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(1))


def test_an_order_is_one_of_all_places():
    x = Binary(2, 2)
    assert NADE(x).order.tolist() == [0, 1, 2, 3]
    assert NADE(x, order=(3, 0, 2, 1)).order.tolist() == [3, 0, 2, 1]
    assert sorted(NADE(x, order=7).order.tolist()) == [0, 1, 2, 3]
    assert torch.equal(NADE(Binary(99), order=7).order, NADE(Binary(99), order=7).order)
    for wrong in ((0, 1, 2), (0, 1, 2, 2), (1, 2, 3, 4), ()):
        with pytest.raises(UserError, match="order must name each of the 4 places from 0 to 3 once"):
            NADE(x, order=wrong)


WITHOUT_NUMBA = """
import sys
sys.modules["numba"] = sys.modules["llvmlite"] = None  # as if they were not installed
import torch
from pofx.cli import main
from pofx.randomness import generator
from pofx.models.autoregressive.nade import NADE
from pofx.kinds import Binary

assert main(["models"]) == 0
model = NADE(Binary(1, 6, 7), hidden=20, order=3)
model.load_state_dict(torch.load(sys.argv[1]))
x = model.sample(50, generator=generator(0))
log_p = model.log_prob(x)
log_p.sum().backward()
torch.save([x, log_p.detach(), *(p.grad for p in model.parameters())], sys.argv[2])
"""


def test_without_numba_every_model_is_listed_and_nade_gives_the_same_numbers(tmp_path):
    nade = NADE(Binary(1, 6, 7), hidden=20, order=3)
    torch.save(nade.state_dict(), tmp_path / "weights.pt")
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_NUMBA, tmp_path / "weights.pt", tmp_path / "found.pt"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in files())
    assert done.stderr.count("NADE runs without its compiled loops, many times slower") == 1
    assert "pip install numba" in done.stderr
    x, log_p, *gradients = torch.load(tmp_path / "found.pt")
    assert torch.equal(x, nade.sample(50, generator=generator(0)))
    expected = nade.log_prob(x)
    expected.sum().backward()
    torch.testing.assert_close(log_p, expected.detach(), rtol=1e-6, atol=1e-5)
    for found, p in zip(gradients, nade.parameters(), strict=True):
        torch.testing.assert_close(found, p.grad, rtol=1e-5, atol=1e-5)


def test_numba_is_imported_at_nade_s_first_number_and_by_nothing_else():
    """Whoever only lists models or trains another one needs none."""
    trees = {file.stem: ast.walk(ast.parse(file.read_text())) for file in Path(pofx.__file__).parent.rglob("*.py")}
    imports = [(stem, ast.unparse(node)) for stem, tree in trees.items() for node in tree if isinstance(node, (ast.Import, ast.ImportFrom))]
    assert {stem for stem, line in imports if "numba" in line or "llvmlite" in line} == {"_nade_kernel"}
    assert {stem for stem, line in imports if "nade_kernel" in line} == {"_nade_conditionals"}
    listing = "import sys; from pofx.cli import main; main(['models']); assert 'numba' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", listing], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
