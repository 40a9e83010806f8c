"""Multi-scale PixelRNN.

Shapes: B examples, C channels, H height and W width of the picture, S those of the small one together, N = H W pixels in raster order,
h units of a state, F = 2h features between layers, G = 4h sums of gates.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from torch import Tensor, nn

from pofx.bases.autoregressive import Step, raster
from pofx.bases.pixel_rnn import Network, PixelRNN
from pofx.distributions.likelihoods import PixelName
from pofx.errors import UserError
from pofx.kinds import Binary, Image
from pofx.models.autoregressive.diagonal_bilstm import DiagonalLayer
from pofx.options import Range, Size


class MultiScale(PixelRNN):
    """Multi-scale PixelRNN: first a small picture, of every factor-th pixel of every factor-th row, then all other pixels given it.

    log p(x) = log p(small) + log p(rest | small), exactly. Both networks have diagonal bidirectional LSTMs. The second one sees the small
    picture twice: where its pixels lie in the past, and, enlarged by a deconvolution, as a bias of all gates of each layer, so that a pixel
    depends on small pixels around and below it too. The numbers of the small picture are drawn first (`order`).

    References:
        Pixel Recurrent Neural Networks (van den Oord, Kalchbrenner & Kavukcuoglu, 2016), arXiv 1601.06759

    Args:
        x: pictures, or bits in the shape of a picture
        factor: by which the small picture is smaller in height and width
        layers: of LSTMs in each of the networks
        hidden: units of a state, h; there are 2h features between layers
        likelihood: of each number given those before it; None: bernoulli for bits, categorical for pictures
        components: of a logistic_mixture

    Example:
        >>> model = MultiScale(Binary(1, 3, 3), factor=2, hidden=4)
        >>> model.order.tolist()  # the corners of 3 x 3 pixels are the small picture
        [0, 2, 6, 8, 1, 3, 4, 5, 7]
        >>> every = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 9).view(-1, 1, 3, 3)
        >>> round(model.log_prob(every).exp().sum().item(), 4)
        1.0
    """

    paper: ClassVar = ("van den Oord et al.", 2016, "1601.06759")
    small: ClassVar = {"hidden": 4}
    completion_context = "the pixels of the small picture, and what comes before it, row by row"

    def __init__(
        self,
        x: Image | Binary,
        *,
        factor: Annotated[int, Range(2)] = 2,
        layers: Size = 1,
        hidden: Size = 32,
        likelihood: PixelName | None = None,
        components: Size = 5,
    ):
        super().__init__(x, hidden, likelihood, components)
        C, H, W = x.shape
        if H * W == 1:
            raise UserError("multiscale_pixelrnn needs pictures of more than one pixel: use diagonal_bilstm")
        self.factor = factor
        is_small_CHW = torch.zeros(x.shape, dtype=torch.bool)
        is_small_CHW[:, ::factor, ::factor] = True
        is_small_D = is_small_CHW.flatten()[self.order]
        self.order = torch.cat([self.order[is_small_D], self.order[~is_small_D]])
        shape = (C, *is_small_CHW[0, ::factor, ::factor].shape)

        def network(shape: tuple[int, ...]) -> Network:
            return Network(shape, [DiagonalLayer(shape, hidden) for _ in range(layers)], hidden, self.likelihood.per_element)

        self.first, self.second = network(shape), network(x.shape)
        # a pixel of the enlarged map sees the small pixel that is in its cell, and those of the cells around it
        self.enlarge = nn.ConvTranspose2d(C, 2 * hidden, 3 * factor, stride=factor, padding=factor)
        self.bias = nn.ModuleList([nn.Linear(2 * hidden, 2 * 4 * hidden, bias=False) for _ in range(layers)])

    def biases(self, small_BCS: Tensor) -> list[tuple[Tensor, ...]]:
        """What the small picture adds to the gates of the second network: of each layer, in both directions, (N, B, G)."""
        _, H, W = self.shape
        map_BFHW = self.enlarge(2 * small_BCS - 1)[:, :, :H, :W].relu()
        map_NBF = map_BFHW.permute(2, 3, 0, 1).flatten(0, 1)
        return [bias(map_NBF).chunk(2, 2) for bias in self.bias]

    def params(self, x: Tensor, given: Tensor | None = None) -> Tensor:
        f = self.factor
        small_BCS = x[:, :, ::f, ::f]
        params_BPCHW = self.second(x, self.biases(small_BCS)).clone()
        params_BPCHW[..., ::f, ::f] = self.first(small_BCS).to(params_BPCHW.dtype)
        return params_BPCHW

    def stepper(self, x: Tensor, given: Tensor | None = None) -> Step:
        C, H, W = self.shape
        small_BCS = x[:, :, :: self.factor, :: self.factor]  # a view, filled with x
        n = small_BCS[0].numel()
        first, second, done = self.first.stepper(small_BCS), None, 0
        place_D = torch.arange(C * H * W).view(H, W, C).permute(2, 0, 1).flatten()[self.order].tolist()  # in the raster order of all pixels

        def step(d: int) -> Tensor:
            nonlocal second, done
            if d < n:
                return first(d)
            if second is None:
                second = self.second.stepper(x, self.biases(small_BCS))
            while done < place_D[d]:  # through the pixels of the small picture
                second(done)
                done += 1
            done += 1
            return second(place_D[d])

        return step

    def dependency_matrix(self) -> Tensor:
        """Whether the conditional of number i may depend on number j, bool (D, D), in places of the flattened example."""
        C, H, W = self.shape
        row_N, column_N = torch.arange(H * W) // W, torch.arange(H * W) % W
        small_N = (row_N % self.factor == 0) & (column_N % self.factor == 0)
        near_NN = small_N.expand(H * W, -1)
        for n_N in (row_N, column_N):
            near_NN = near_NN & ((n_N[:, None] // self.factor - n_N // self.factor).abs() <= 1)
        bias_NN = near_NN.cumsum(0) > 0  # the biases of a pixel's gates and of all before it
        rank_D = raster(self.shape).argsort()
        rest_DD = (rank_D[:, None] > rank_D) | bias_NN.repeat(C, C)
        return torch.where(small_N.repeat(C)[:, None], super().dependency_matrix(), rest_DD)
