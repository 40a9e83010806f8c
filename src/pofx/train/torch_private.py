"""What torch may rename: its private kernels, called where they are found, and public operations that do the same where not.

With and without a kernel the numbers are the same bit for bit, except for Adam's: fused or not, a step rounds each number a few times,
and not at the same places. Without the kernel, a step of Adam is that of `torch.optim.Adam(foreach=False)`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def add_(tensors: Sequence[Tensor], others: Sequence[Tensor] | float) -> None:
    """Add to each tensor the other of its place, or one number to all."""
    if kernel := getattr(torch, "_foreach_add_", None):
        kernel(tensors, others)
    else:
        each: Sequence[Tensor | float] = [others] * len(tensors) if isinstance(others, (int, float)) else others
        for tensor, other in zip(tensors, each, strict=True):
            tensor.add_(other)


def div_(tensors: Sequence[Tensor], by: float) -> None:
    """Divide each tensor."""
    if kernel := getattr(torch, "_foreach_div_", None):
        kernel(tensors, by)
    else:
        for tensor in tensors:
            tensor.div_(by)


def lerp_(tensors: Sequence[Tensor], others: Sequence[Tensor], weight: float) -> None:
    """Move each tensor towards the other of its place, by that share of the way."""
    if kernel := getattr(torch, "_foreach_lerp_", None):
        kernel(tensors, others, weight)
    else:
        for tensor, other in zip(tensors, others, strict=True):
            tensor.lerp_(other, weight)


def adam_(
    parameters: Sequence[Tensor], gradients: Sequence[Tensor], averages: Sequence[Tensor], squares: Sequence[Tensor],
    steps: Sequence[Tensor], *, lr: float, betas: tuple[float, float], eps: float, weight_decay: float,
) -> None:  # fmt: skip
    """A step of Adam, of AdamW with weight decay, in place: fused, or as torch's own is where it is not.

    Args:
        parameters: that move
        gradients: of each
        averages: of the gradients
        squares: averages of their squares
        steps: how many each parameter has made, this one too
        lr: learning rate
        betas: of the averages
        eps: beside the root of the squares
        weight_decay: times the learning rate, the share that a parameter loses
    """
    if kernel := getattr(torch, "_fused_adamw_" if weight_decay else "_fused_adam_", None):
        kernel(
            parameters, gradients, averages, squares, [], steps,
            lr=lr, beta1=betas[0], beta2=betas[1], weight_decay=weight_decay, eps=eps, amsgrad=False, maximize=False,
        )  # fmt: skip
        return
    for p, g, average, square, step in zip(parameters, gradients, averages, squares, steps, strict=True):
        unbiased, unbiased_square = (1 - beta ** step.item() for beta in betas)
        if weight_decay:
            p.mul_(1 - lr * weight_decay)
        average.lerp_(g, 1 - betas[0])
        square.mul_(betas[1]).addcmul_(g, g, value=1 - betas[1])
        p.addcdiv_(average, (square.sqrt() / math.sqrt(unbiased_square)).add_(eps), value=-lr / unbiased)


def mkldnn_has_bf16() -> bool:
    """Whether products in bfloat16 are the CPU's own. Without the kernel that says so, only AVX-512 is known to have them."""
    if kernel := getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None):
        return kernel()
    return torch.backends.cpu.get_cpu_capability().startswith("AVX512")
