"""Principal component analysis: the best linear autoencoder, and the reference that every other autoencoder is measured against.

It sums moments instead of calling scikit-learn's fit, so that data larger than memory, exact resume and equal replicas hold; scikit-learn's
`PCA` is what its test compares with.

Shapes: B examples, D numbers in an example, K components.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from pofx.errors import UserError
from pofx.kinds import Binary, Image, Series, Vector
from pofx.model import Model
from pofx.options import Size
from pofx.plan import Batch, ClosedForm, Player, Stage, no_loss

LARGEST = 2**14  # numbers in an example: the sums then take 2 GB


class PCA(Model):
    """Principal component analysis: the K orthonormal directions along which the data vary most.

    z = W (x - mean),  x' = W^T z + mean,  rows of W: the leading eigenvectors of the covariance. No linear code of K numbers has a smaller
    mean squared error. Solved in closed form from the sums of x and x x^T over one pass of the training data, in float64, so data larger
    than memory are fine and the result is that of `sklearn.decomposition.PCA`; the sums take 8 D^2 bytes.

    References:
        On lines and planes of closest fit to systems of points in space (Pearson, 1901)
        Analysis of a complex of statistical variables into principal components (Hotelling, 1933)

    Args:
        x: pictures, bits, vectors or sequences, each taken as one vector
        latent: number of components K, at most the numbers in an example

    Example:
        >>> pca = PCA(Vector(3), latent=1)
        >>> line = torch.linspace(-1, 1, 5)[:, None] * torch.tensor([2.0, 2.0, 1.0]) + 7
        >>> pca.solve(pca.statistics({"x": line}))
        >>> [round(w, 4) for w in pca.components[0].tolist()]
        [0.6667, 0.6667, 0.3333]
        >>> bool((pca.decode(pca.encode(line)) - line).abs().max() < 1e-5)
        True
    """

    paper: ClassVar = ("Pearson", 1901, "doi:10.1080/14786440109462720")
    small: ClassVar = {"latent": 2}
    without: ClassVar = {
        "sample": "principal components describe a subspace, not a distribution over it: train vae",
        "log_prob": "a subspace gives no density to points off it: train vae",
    }

    mean: Tensor
    components: Tensor
    explained_variance: Tensor
    explained_variance_ratio: Tensor

    def __init__(self, x: Image | Binary | Vector | Series, *, latent: Size = 16):
        super().__init__()
        if latent > x.size:
            raise UserError(f"{self.title()}: latent must be {x.size} or less for x of {x.size} numbers, not {latent}")
        if x.size > LARGEST:
            raise UserError(f"{self.title()}: x must have {LARGEST} numbers or less, not {x.size}: make it smaller, or train autoencoder")
        self.shape = x.shape
        self.codes = Vector(latent)
        self.register_buffer("mean", torch.zeros(x.size))
        self.register_buffer("components", torch.eye(latent, x.size))  # (K, D), orthonormal rows, most variance first
        self.register_buffer("explained_variance", torch.zeros(latent))  # of the data along each component, unbiased
        self.register_buffer("explained_variance_ratio", torch.zeros(latent))  # the same as shares of the whole variance

    @property
    def parameter_count(self) -> int:
        """Mean and components."""
        return self.mean.numel() + self.components.numel()

    def stages(self) -> Sequence[Stage]:
        return [Stage("solve", [Player(self.title(), [self], no_loss, ClosedForm(self.statistics, self.solve))])]

    def statistics(self, batch: Batch) -> dict[str, Tensor]:
        """Count, sum (D,) and sum of outer products (D, D) over the examples of a batch, float64."""
        x_BD = batch["x"].flatten(1).double()
        return {"count": x_BD.new_tensor(len(x_BD)), "sum": x_BD.sum(0), "outer": x_BD.T @ x_BD}

    @torch.no_grad()
    def solve(self, sums: dict[str, Tensor]) -> None:
        """Mean and components from the sums of `statistics` over the training data."""
        count, K = sums["count"], len(self.components)
        if count < max(2, K):
            raise UserError(f"{self.title()}: needs 2 training examples and as many as latent ({K}), not {int(count)}")
        mean_D = sums["sum"] / count
        covariance_DD = (sums["outer"] - count * mean_D.outer(mean_D)) / (count - 1)
        variance_D, vectors_DD = torch.linalg.eigh(covariance_DD)  # ascending
        variance_D = variance_D.clamp(min=0)  # rounding puts zeros on either side
        components_KD = vectors_DD.T.flip(0)[:K]
        largest_K1 = components_KD.gather(1, components_KD.abs().argmax(1, keepdim=True))
        self.mean.copy_(mean_D)
        self.components.copy_(
            components_KD * largest_K1.sign()
        )  # an eigenvector's sign is free: its largest entry is positive, as in sklearn
        self.explained_variance.copy_(variance_D.flip(0)[:K])
        self.explained_variance_ratio.copy_(variance_D.flip(0)[:K] / variance_D.sum().clamp(min=1e-300))

    def encode(self, x: Tensor) -> Tensor:
        """Codes of `x` (B, *shape): coordinates along the components, (B, latent)."""
        return (x.flatten(1) - self.mean) @ self.components.T

    def decode(self, z: Tensor) -> Tensor:
        """The points (B, *shape) of the subspace with coordinates `z` (B, latent); linear, so pictures may leave [0, 1]."""
        return (z @ self.components + self.mean).unflatten(1, self.shape)
