"""Recurrent layers: a plain RNN, the LSTM, and the GRU in two variants. torch's kernels train them; gate by gate they can be looked into.

Shapes: B examples, L steps, D inputs, H units, K layers, G sums that enter a layer's gates at once (H, 3H or 4H).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from pofx.randomness import Noise

Cell = Literal["rnn", "relu", "lstm", "gru", "gru_cho"]
State = dict[str, Tensor]  # h_BKH, and c_BKH of an LSTM


class Recurrent(nn.Module):
    """Layers of recurrent cells: h_t of x_t and of h_{t-1}.

    With s the logistic function, * number by number, and biases left out:

        rnn      h' = tanh(W x + U h)                   relu     h' = relu(W x + U h)

        lstm     i = s(W_i x + U_i h)                   gru      r = s(W_r x + U_r h)
                 f = s(W_f x + U_f h)                            z = s(W_z x + U_z h)
                 g = tanh(W_g x + U_g h)                         n = tanh(W_n x + r * (U_n h))
                 o = s(W_o x + U_o h)                            h' = z * h + (1 - z) * n
                 c' = f * c + i * g
                 h' = o * tanh(c')                      gru_cho  n = tanh(W_n x + U_n (r * h)), the rest as gru

    `gru` is what torch computes: the reset gate after the product. `gru_cho` is the original, the reset before it, step by step in Python.

    References:
        Long Short-Term Memory (Hochreiter & Schmidhuber, 1997), with the forget gate of Learning to Forget (Gers et al., 2000)
        Learning Phrase Representations using RNN Encoder-Decoder (Cho et al., 2014), arXiv 1406.1078
        An Empirical Exploration of Recurrent Network Architectures (Jozefowicz et al., 2015): the bias of the forget gate

    Args:
        inputs: D
        hidden: H
        cell: rnn, relu, lstm, gru or gru_cho
        layers: K, each over the states of the one below
        bidirectional: a second chain reads from the end; the outputs, and the last states, are those of both, 2H wide
        forget_bias: of an LSTM's forget gates at first: at 1 cells keep what they have

    Example:
        >>> lstm = Recurrent(5, 8, "lstm", layers=2)
        >>> h_BLH, state = lstm(torch.zeros(3, 7, 5))
        >>> h_BLH.shape, {name: tuple(part.shape) for name, part in state.items()}
        (torch.Size([3, 7, 8]), {'h_BKH': (3, 2, 8), 'c_BKH': (3, 2, 8)})
        >>> list(lstm.gates(torch.zeros(3, 7, 5)))
        ['input', 'forget', 'candidate', 'output', 'cell', 'hidden']
    """

    def __init__(
        self, inputs: int, hidden: int, cell: Cell = "lstm", layers: int = 1, *, bidirectional: bool = False, forget_bias: float = 1.0
    ):
        super().__init__()
        self.inputs, self.hidden, self.cell, self.bidirectional = inputs, hidden, cell, bidirectional
        self.outputs = 2 * hidden if bidirectional else hidden
        self.parts = ("h_BKH", "c_BKH") if cell == "lstm" else ("h_BKH",)  # of a state

        def layer(width: int) -> nn.RNNBase:
            if cell == "lstm":
                return nn.LSTM(width, hidden, batch_first=True, bidirectional=bidirectional)
            if cell in ("gru", "gru_cho"):  # the same parameters
                return nn.GRU(width, hidden, batch_first=True, bidirectional=bidirectional)
            return nn.RNN(width, hidden, nonlinearity="relu" if cell == "relu" else "tanh", batch_first=True, bidirectional=bidirectional)

        self.layers = nn.ModuleList(layer(self.outputs if k else inputs) for k in range(layers))
        if cell == "lstm":
            with torch.no_grad():
                for name, bias_G in self.named_parameters():
                    if "bias" in name:
                        bias_G[hidden : 2 * hidden] = forget_bias if "bias_ih" in name else 0.0

    def start(self, n: int, like: Tensor) -> State:
        """Zeros: the state of `n` rows before the first step, on the device of `like` and in its type."""
        return {part: like.new_zeros(n, len(self.layers), self.outputs) for part in self.parts}

    def forward(
        self,
        x_BLD: Tensor,
        mask_BL: Tensor | None = None,
        state: State | None = None,
        *,
        dropout: float = 0.0,
        noise: Noise | None = None,
    ) -> tuple[Tensor, State]:
        """All steps.

        Args:
            x_BLD: inputs
            mask_BL: where a row has inputs: True, then False to its end; None: everywhere
            state: before the first step (after the last one, for the chain that reads from the end); None: zeros
            dropout: of the states between layers, as in Recurrent Neural Network Regularization (Zaremba et al., 2014), arXiv 1409.2329
            noise: of a training step; None: nothing is dropped

        Returns:
            h_BLH, the last layer's states, 0 where the mask is False; and the state after each row's last step
        """
        state = self.start(len(x_BLD), x_BLD) if state is None else state
        whole, h_BLD, after = self._original if self.cell == "gru_cho" else self._fused, x_BLD, []
        for k in range(len(self.layers)):
            if k and noise is not None:
                h_BLD = noise.dropout(h_BLD, dropout)
            h_BLD, last = whole(k, h_BLD, {part: state[part][:, k] for part in self.parts}, mask_BL)
            after.append(last)
        return h_BLD, {part: torch.stack([last[part] for last in after], 1) for part in self.parts}

    def _fused(self, k: int, x_BLD: Tensor, first: State, mask_BL: Tensor | None) -> tuple[Tensor, State]:
        """All steps of layer k, by torch's kernels."""
        layer = self.layers[k]
        if x_BLD.device.type == "cpu":  # never in bf16: for an LSTM torch's kernel needs a CPU with AVX-512, and fails on others
            W_GD, *_ = self._weights(k)
            x_BLD, first = x_BLD.to(W_GD.dtype), {part: h.to(W_GD.dtype) for part, h in first.items()}
        starts = [part.unflatten(1, (-1, self.hidden)).transpose(0, 1).contiguous() for part in first.values()]
        start = tuple(starts) if self.cell == "lstm" else starts[0]
        with torch.autocast("cpu", enabled=False):
            if mask_BL is None or not len(x_BLD):  # torch packs no empty batch
                h_BLH, last = layer(x_BLD, start)
            else:
                lengths_B = mask_BL.sum(1).clamp(min=1).cpu()  # torch wants a step or more: a row without one reads what fills it
                packed, last = layer(pack_padded_sequence(x_BLD, lengths_B, batch_first=True, enforce_sorted=False), start)
                h_BLH, _ = pad_packed_sequence(packed, batch_first=True, total_length=x_BLD.shape[1])
        lasts = last if self.cell == "lstm" else (last,)
        return h_BLH, {part: h.transpose(0, 1).flatten(1) for part, h in zip(first, lasts, strict=True)}

    def _original(self, k: int, x_BLD: Tensor, first: State, mask_BL: Tensor | None) -> tuple[Tensor, State]:
        """All steps of layer k of Cho's GRU, which torch has no kernel for."""
        firsts = first["h_BKH"].split(self.hidden, 1)
        chains = [self._unroll(k, x_BLD, {"h_BKH": h_BH}, mask_BL, back)["hidden"] for back, h_BH in enumerate(firsts)]
        last_BH = torch.cat([h_BLH[:, 0 if back else -1] for back, h_BLH in enumerate(chains)], 1)  # what fills a row changes no state
        h_BLH = torch.cat(chains, 2)
        return h_BLH if mask_BL is None else h_BLH * mask_BL[:, :, None], {"h_BKH": last_BH}

    def _unroll(self, k: int, x_BLD: Tensor, first: State, mask_BL: Tensor | None = None, back: int = 0) -> dict[str, Tensor]:
        """The gates of layer k at all steps, (B, L, H) each, in the chain that reads from the start (`back` 0) or from the end (1)."""
        W_GD, U_GH, b_G, b_hidden_G = self._weights(k, back)
        x_LBG = F.linear(x_BLD, W_GD, b_G).transpose(0, 1)
        h_BH, c_BH, steps = first["h_BKH"], first.get("c_BKH"), []
        for t in reversed(range(len(x_LBG))) if back else range(len(x_LBG)):
            gates = self._equations(x_LBG[t], h_BH, c_BH, U_GH, b_hidden_G)
            if mask_BL is not None:
                gates["hidden"] = torch.where(mask_BL[:, t, None], gates["hidden"], h_BH)
            h_BH, c_BH = gates["hidden"], gates.get("cell")
            steps.append(gates)
        if back:
            steps.reverse()
        return {name: torch.stack([gates[name] for gates in steps], 1) for name in steps[0]}

    def _equations(self, x_BG: Tensor, h_BH: Tensor, c_BH: Tensor | None, U_GH: Tensor, b_G: Tensor) -> dict[str, Tensor]:
        """One step, gate by gate; `x_BG` is W x and its bias, in torch's order of the gates."""
        if self.cell in ("rnn", "relu"):
            sums_BH = x_BG + F.linear(h_BH, U_GH, b_G)
            return {"hidden": sums_BH.tanh() if self.cell == "rnn" else sums_BH.relu()}
        if self.cell == "lstm":
            assert c_BH is not None
            i, f, g, o = (x_BG + F.linear(h_BH, U_GH, b_G)).chunk(4, 1)
            i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
            c = f * c_BH + i * g
            return {"input": i, "forget": f, "candidate": g, "output": o, "cell": c, "hidden": o * c.tanh()}
        H = self.hidden
        r, z = (x_BG[:, : 2 * H] + F.linear(h_BH, U_GH[: 2 * H], b_G[: 2 * H])).sigmoid().chunk(2, 1)
        U_n, b_n = U_GH[2 * H :], b_G[2 * H :]
        inner_BH = r * F.linear(h_BH, U_n, b_n) if self.cell == "gru" else F.linear(r * h_BH, U_n, b_n)
        n = (x_BG[:, 2 * H :] + inner_BH).tanh()
        return {"reset": r, "update": z, "candidate": n, "hidden": z * h_BH + (1 - z) * n}

    def _weights(self, k: int, back: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """W (G, D), U (G, H) and their biases (G,) of layer k."""
        end = "_l0_reverse" if back else "_l0"
        W, U, b, b_hidden = (getattr(self.layers[k], name + end) for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
        return W, U, b, b_hidden

    def step(self, x_BD: Tensor, state: State, *, dropout: float = 0.0, noise: Noise | None = None) -> tuple[Tensor, State]:
        """One step further: h_BH of the last layer, and the state. Equal to the same step of the whole pass, but for what is dropped."""
        self._reads_forward("step")
        h_BH, after = x_BD, []
        for k in range(len(self.layers)):
            if k and noise is not None:
                h_BH = noise.dropout(h_BH, dropout)
            weights, first = self._weights(k), [state[part][:, k] for part in self.parts]
            last = torch.lstm_cell(h_BH, first, *weights) if self.cell == "lstm" else [self._one(h_BH, first[0], weights)]
            h_BH = last[0]
            after.append(last)
        return h_BH, {part: torch.stack([last[i] for last in after], 1) for i, part in enumerate(self.parts)}

    def _one(self, x_BD: Tensor, h_BH: Tensor, weights: tuple[Tensor, Tensor, Tensor, Tensor]) -> Tensor:
        if self.cell == "gru_cho":
            W_GD, U_GH, b_G, b_hidden_G = weights
            return self._equations(F.linear(x_BD, W_GD, b_G), h_BH, None, U_GH, b_hidden_G)["hidden"]
        return {"rnn": torch.rnn_tanh_cell, "relu": torch.rnn_relu_cell, "gru": torch.gru_cell}[self.cell](x_BD, h_BH, *weights)

    def gates(self, x_BLD: Tensor, state: State | None = None, layer: int = -1) -> dict[str, Tensor]:
        """What one layer computes at every step, by name, (B, L, H) each.

        An LSTM has input, forget, candidate, output, cell and hidden; a GRU reset, update, candidate and hidden; a plain RNN hidden.

        Args:
            x_BLD: inputs
            state: before the first step; None: zeros
            layer: which, from 0; -1: the last
        """
        self._reads_forward("gates")
        state, layer = self.start(len(x_BLD), x_BLD) if state is None else state, range(len(self.layers))[layer]
        for k in range(layer + 1):
            gates = self._unroll(k, x_BLD, {part: state[part][:, k] for part in self.parts})
            x_BLD = gates["hidden"]
        return gates

    def _reads_forward(self, what: str) -> None:
        if self.bidirectional:
            raise TypeError(f"a bidirectional layer has no {what}: its states depend on the inputs to come")


def gradient_norms(layer: Recurrent, x_BLD: Tensor) -> Tensor:
    """How much the last state depends on each input: the Frobenius norm of d h_L / d x_t, the mean over examples, (L,).

    It falls with the distance L - t where gradients vanish, and grows with it where they explode.

    References:
        On the difficulty of training Recurrent Neural Networks (Pascanu et al., 2013), arXiv 1211.5063

    Example:
        >>> x_BLD = torch.ones(1, 30, 1)
        >>> norms = gradient_norms(Recurrent(1, 8, "rnn"), x_BLD)
        >>> norms.shape, bool(norms[0] < norms[-1])
        (torch.Size([30]), True)
    """
    with torch.enable_grad():
        x_BLD = x_BLD.detach().requires_grad_()
        last_BH = layer(x_BLD)[0][:, -1]
        squares_BL = sum(torch.autograd.grad(h_B.sum(), x_BLD, retain_graph=True)[0].square().sum(2) for h_B in last_BH.unbind(1))
    assert isinstance(squares_BL, Tensor)
    return squares_BL.sqrt().mean(0)
