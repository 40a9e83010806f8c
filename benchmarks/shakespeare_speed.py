"""A training step of a character Transformer: the engine with our model over a plain loop with its own GPT, in turn in one process.

The plain loop is shaped as nanoGPT's: random windows of one long tensor, a GPT of one class a part, the learning rate of each step from a
formula, gradients clipped, fused AdamW. Nothing is checked, kept or saved.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.overhead import interleaved
from benchmarks.recipes import RECIPES, Recipe
from benchmarks.rows import Row
from benchmarks.training import built
from pofx.data import Data, load
from pofx.kinds import Tokens
from pofx.run import seeded

TRAINED = RECIPES["shakespeare"]
RECIPE = Recipe(TRAINED.model, TRAINED.arguments | {"activation": "gelu"}, TRAINED.data, TRAINED.training)
BATCH, LAYERS, HEADS, WIDTH, PAIRS = 12, 4, 4, 128, 40
RATIO = "character Transformer, 4 layers, 128 wide, context 64, batch 12: time of a training step, ours / a plain loop shaped as nanoGPT's"
RATE = "the same: ours"
ROWS = [Row(RATIO, "", ("<=", 1.05)), Row(RATE, "tokens/s")]


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, h: Tensor) -> Tensor:
        B, L, D = h.shape
        q, k, v = (part.view(B, L, HEADS, D // HEADS).transpose(1, 2) for part in self.qkv(h).split(D, dim=2))
        return self.out(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(B, L, D))


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm_1, self.norm_2, self.attention = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH), Attention()
        self.mlp = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))

    def forward(self, h: Tensor) -> Tensor:
        h = h + self.attention(self.norm_1(h))
        return h + self.mlp(self.norm_2(h))


class GPT(nn.Module):
    def __init__(self, vocabulary: int, context: int):
        super().__init__()
        self.token, self.place = nn.Embedding(vocabulary, WIDTH), nn.Embedding(context, WIDTH)
        self.blocks, self.norm = nn.ModuleList(Block() for _ in range(LAYERS)), nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, vocabulary, bias=False)
        self.head.weight = self.token.weight

    def forward(self, before: Tensor, x: Tensor) -> Tensor:
        h = self.token(before) + self.place(torch.arange(before.shape[1]))
        for block in self.blocks:
            h = block(h)
        return F.cross_entropy(self.head(self.norm(h)).flatten(0, 1), x.flatten())


def plain_loop(data: Data) -> tuple[GPT, Callable[[int], None]]:
    """The model, and what trains it for so many steps."""
    kind, x = data.fields["x"], data.splits["train"].columns["x"]
    assert isinstance(kind, Tokens)
    L = kind.length
    text = x.raw(torch.arange(0, len(x), L)).flatten()
    with seeded(0):
        gpt = GPT(kind.vocabulary, L)
    decayed = [p for p in gpt.parameters() if p.dim() > 1]
    others = [p for p in gpt.parameters() if p.dim() == 1]
    groups = [{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
    adam = torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.99), fused=True)
    done = 0

    def steps(n: int) -> None:
        nonlocal done
        for _ in range(n):
            for group in adam.param_groups:
                group["lr"] = 1e-4 + 0.5 * 9e-4 * (1 + math.cos(math.pi * done / 10_000))
            starts = torch.randint(len(text) - L - 1, (BATCH,)).tolist()
            before, after = (torch.stack([text[start + shift : start + shift + L] for start in starts]) for shift in (0, 1))
            loss = gpt(before, after)
            loss.backward()
            nn.utils.clip_grad_norm_(gpt.parameters(), 1.0)
            adam.step()
            adam.zero_grad(set_to_none=True)
            done += 1
        float(loss.detach())

    return gpt, steps


def measure() -> Iterator[tuple[str, float, dict[str, Any]]]:
    data = load(**RECIPE.data)
    gpt, by_hand = plain_loop(data)
    model = built(RECIPE, data)
    asked = {key: RECIPE.training[key] for key in ("batch_size", "lr", "schedule", "warmup", "clip") if key in RECIPE.training}
    above, protocol = interleaved(model, data, by_hand, pairs_kept=PAIRS, **asked)
    ratio = 1 + above / 100
    ours = ratio * protocol["median ms a step by hand"] / 1000
    kind = data.fields["x"]
    protocol |= {
        "data": data.record,
        "recipe": {"model": RECIPE.model, **RECIPE.arguments},
        "training": asked,
        "precision": "fp32",
        "parameters": {"ours": model.parameter_count, "plain": sum(p.numel() for p in gpt.parameters())},
    }
    yield RATIO, ratio, protocol
    yield RATE, BATCH * kind.size / ours, protocol
