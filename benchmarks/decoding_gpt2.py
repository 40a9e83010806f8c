"""Greedy decoding: tokens/s of our Transformer over those of GPT-2 in the package `transformers`, with the same weights, both with caches.

The two are asked for the same tokens in turn, in one process. Their scores agree to 1e-4, and their tokens are the same.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor

from benchmarks.decoding_cache import ARGUMENTS as SIZES
from benchmarks.decoding_cache import KIND, TOKENS
from benchmarks.protocol import machine
from benchmarks.rows import Row
from pofx import models
from pofx.kinds import EOS, PAD
from pofx.run import seeded

BATCHES, TURNS = (1, 16), 5
ARGUMENTS = SIZES | {"activation": "gelu_tanh"}  # as GPT-2 has it
RATIO = {
    n: f"greedy decoding, {TOKENS} tokens, 6 layers, 256 wide, {n} at once: tokens/s of ours / of GPT-2 in transformers" for n in BATCHES
}
OURS = {n: f"the same, {n} at once: ours" for n in BATCHES}
ROWS = [row for n in BATCHES for row in (Row(RATIO[n], "", (">=", 1.2)), Row(OURS[n], "tokens/s"))]


def ours() -> Any:
    """A Transformer as constructed, with weights large enough that no two tokens are about as likely, and EOS never."""
    with seeded(0):
        model: Any = models.find("transformer_lm")(KIND, **ARGUMENTS).eval()
        with torch.no_grad():
            for name, p in model.named_parameters():
                if p.dim() > 1:
                    p.mul_(4.0)
                elif name.endswith("bias"):
                    p.normal_(std=0.1)
            model.embedding.weight[: EOS + 1] = 0.0  # a score of 0 is never the highest
    return model


def gpt2(model: Any) -> Any:
    """GPT-2 of `transformers` with the weights of our model."""
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=KIND.vocabulary,
        n_positions=KIND.length,
        n_embd=ARGUMENTS["width"],
        n_layer=ARGUMENTS["layers"],
        n_head=ARGUMENTS["heads"],
        bos_token_id=PAD,
        eos_token_id=None,
        pad_token_id=PAD,
    )
    theirs = GPT2LMHeadModel(config).eval()
    linear = {"attention.into": "attn.c_attn", "attention.out": "attn.c_proj", "up": "mlp.c_fc", "down": "mlp.c_proj"}
    norms = {"norm": "ln_1", "feed_norm": "ln_2"}
    state = {"transformer.wte.weight": model.embedding.weight, "transformer.wpe.weight": model.positions.table_LD}
    state |= {f"transformer.ln_f.{part}": getattr(model.stack.norm, part) for part in ("weight", "bias")}
    for k, block in enumerate(model.stack.blocks):
        for name, their in (linear | norms).items():
            layer = block.get_submodule(name)
            state[f"transformer.h.{k}.{their}.weight"] = layer.weight.T if name in linear else layer.weight  # theirs are (in, out)
            state[f"transformer.h.{k}.{their}.bias"] = layer.bias
    state["lm_head.weight"] = model.embedding.weight
    theirs.load_state_dict(state)
    return theirs


def measure() -> Iterator[tuple[str, float, dict[str, Any]]]:
    model = ours()
    theirs = gpt2(model)
    x_BL = torch.randint(EOS + 1, KIND.vocabulary, (4, KIND.length), generator=torch.Generator().manual_seed(0))
    before_BL = torch.cat([torch.zeros_like(x_BL[:, :1]), x_BL[:, :-1]], 1)
    with torch.no_grad():
        apart = (model.logits(x_BL, {}) - theirs(before_BL).logits).abs().max().item()
    assert apart < 1e-4, f"the scores are {apart} apart"

    for n in BATCHES:

        def by_us(n: int = n) -> Tensor:
            return model.sample(n, temperature=0.0, length=TOKENS)

        def by_them(n: int = n) -> Tensor:
            begin_B1 = torch.full((n, 1), PAD)
            asked = {"do_sample": False, "use_cache": True, "min_new_tokens": None, "max_new_tokens": TOKENS}
            return theirs.generate(begin_B1, attention_mask=torch.ones_like(begin_B1), **asked)[:, 1:]

        assert torch.equal(by_us(), by_them()), "the tokens differ"
        seconds: dict[str, list[float]] = {"ours": [], "theirs": []}
        for _ in range(TURNS):
            for name, decode in (("ours", by_us), ("theirs", by_them)):
                seconds[name].append(_timed(decode))
        protocol = {
            "model": {"name": "transformer_lm", "arguments": ARGUMENTS, "kind": KIND.to_json()},
            "batch": n,
            "largest difference of scores": apart,
            "seconds": seconds,
            "statistic": f"median of {TURNS} turns' ratios",
            "transformers": version("transformers"),
            **machine(),
        }
        yield RATIO[n], statistics.median(b / a for a, b in zip(seconds["ours"], seconds["theirs"], strict=True)), protocol
        yield OURS[n], n * TOKENS / statistics.median(seconds["ours"]), protocol


def _timed(decode: Callable[[], Tensor]) -> float:
    began = time.perf_counter()
    decode()
    return time.perf_counter() - began
