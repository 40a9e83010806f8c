"""Noise: randomness as a function of (seed, step, player), so that training resumes exactly and replicas agree."""

from __future__ import annotations

import hashlib
from functools import cached_property

import torch
from torch import Tensor


class Noise:
    """What a training step knows besides its batch: its randomness, and how far training has come.

    Noise is a function of (seed, step, player) alone. It is drawn for the whole batch and cut to this replica's rows, so two
    processes at half the batch see the noise of one process at the full batch.

    Args:
        key: what the noise is a function of, such as (seed, step, player)
        rows: this replica's rows of the whole batch
        total: rows of the whole batch
        progress: training done so far, from 0 to 1

    Example:
        >>> whole, second = Noise((0, 7, "vae"), slice(0, 4), 4), Noise((0, 7, "vae"), slice(2, 4), 4)
        >>> bool((whole.normal(3)[2:] == second.normal(3)).all())
        True
    """

    def __init__(
        self,
        key: tuple,
        rows: slice,
        total: int,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        progress: float = 1.0,
    ):
        self.key, self.rows, self.total, self.progress = key, rows, total, progress
        self.device, self.dtype = device, dtype

    @cached_property
    def generator(self) -> torch.Generator:
        """The source of all that is drawn here, made at the first draw."""
        return generator(self.key, self.device)

    @classmethod
    def of(cls, source: torch.Generator | None, n: int, *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> Noise:
        """The noise of `n` rows from a caller's own generator (torch's global one when None), where nothing is trained."""
        noise = cls((), slice(0, n), n, device=device, dtype=dtype)
        noise.__dict__["generator"] = source
        return noise

    def _cut(self, whole: Tensor) -> Tensor:
        return whole if self.rows.stop - self.rows.start == self.total else whole[self.rows]

    def normal(self, *shape: int) -> Tensor:
        """Standard normal noise, (B, *shape)."""
        return self._cut(torch.randn(self.total, *shape, generator=self.generator, device=self.device, dtype=self.dtype))

    def uniform(self, *shape: int) -> Tensor:
        """Uniform noise in [0, 1), (B, *shape)."""
        return self._cut(torch.rand(self.total, *shape, generator=self.generator, device=self.device, dtype=self.dtype))

    def integers(self, high: int, *shape: int) -> Tensor:
        """Whole numbers from 0 to `high` - 1, int64 (B, *shape)."""
        return self._cut(torch.randint(high, (self.total, *shape), generator=self.generator, device=self.device))

    def permutation(self, size: int) -> Tensor:
        """One order of 0..size-1, int64 (size,), the same for every row and replica."""
        return torch.randperm(size, generator=self.generator, device=self.device)

    def dropout(self, h: Tensor, probability: float) -> Tensor:
        """`h` (B, ...) with each number zeroed with `probability`, the rest scaled up so that the mean stays; at 1 all are 0."""
        if probability == 0:
            return h
        return h * (self.uniform(*h.shape[1:]) >= probability) / (1 - probability or 1)


def generator(key: object, device: torch.device | str = "cpu") -> torch.Generator:
    """A torch generator whose stream is a function of `key` (anything with a stable repr) alone."""
    digest = hashlib.blake2b(repr(key).encode(), digest_size=8).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(digest, "little") >> 1)
