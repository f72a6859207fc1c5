"""One-layer recurrences over word sequences, fast on a CPU; they know no vocabulary and no task.

A word enters a recurrent layer only through its row of the table W_ih e(word) + b. With u_t the
hidden state h_{t-1} beside the one-hot word x_t, every gate of a step is one product
[W_hh | tableᵀ] u_t, and the gradient of both weights over all steps is one product at the end,
where `torch.nn` on a CPU runs three products a word and several autograd nodes a step. Cells and
parameters are those of `torch.nn.RNN`, `GRU` and `LSTM`; the tests hold values and gradients
against them.

Shapes: time T, batch B, hidden H, vocabulary V, gates G (RNN 1, GRU 3, LSTM 4).
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn import functional as F


class _Inputs:
    """u_t = [h_{t-1} | one-hot x_t] of all steps in one buffer, and the stacked weight."""

    def __init__(self, words: Tensor, table: Tensor, weight: Tensor, h0: Tensor) -> None:
        self.width = h0.shape[1]
        self.weight = torch.cat([weight, table.t()], 1)  # (G * H, H + V)
        self.u = h0.new_empty(len(words) + 1, len(h0), self.width + len(table))
        self.u[:-1, :, self.width :] = words
        self.u[0, :, : self.width] = h0

    @property
    def hidden(self) -> Tensor:
        """The states h_0 … h_T, (T + 1, B, H), a view: each step writes its own."""
        return self.u[..., : self.width]


def _weight_gradients(dgates: Tensor, u: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """Gradients of table (V, G * H) and W_hh (G * H, H) from those of all gates (T, B, G * H)."""
    gradient = dgates.flatten(0, 1).t() @ u[: len(dgates)].flatten(0, 1)  # (G * H, H + V)
    return gradient[:, width:].t(), gradient[:, :width]


class _RNN(Function):
    """h = tanh(W h + x)."""

    @staticmethod
    def forward(ctx: Any, words: Tensor, table: Tensor, weight: Tensor, h0: Tensor) -> Tensor:
        inputs = _Inputs(words, table, weight, h0)
        transposed, hidden = inputs.weight.t(), inputs.hidden
        for t in range(len(words)):
            torch.tanh(inputs.u[t] @ transposed, out=hidden[t + 1])
        ctx.save_for_backward(weight, inputs.u)
        return hidden[1:].contiguous()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        weight, u = ctx.saved_tensors
        width = weight.shape[1]
        hidden, one = u[..., :width], u.new_ones(())
        dgates, dh = torch.empty_like(grads[0]), torch.zeros_like(hidden[0])
        for t in reversed(range(len(dgates))):
            dh.add_(grads[0][t])
            torch.addcmul(one, hidden[t + 1], hidden[t + 1], value=-1, out=dgates[t]).mul_(dh)
            torch.mm(dgates[t], weight, out=dh)
        return None, *_weight_gradients(dgates, u, width), dh


class _GRU(Function):
    """r, z = σ(W h + x); n = tanh(x_n + r (W_n h + b_n)); h = (1 - z) n + z h."""

    @staticmethod
    def forward(
        ctx: Any, words: Tensor, table: Tensor, weight: Tensor, h0: Tensor, bias: Tensor
    ) -> Tensor:
        width = h0.shape[1]
        # the third gate's own word part stays outside the product, which r multiplies
        inside = torch.cat([table[:, : 2 * width], bias.expand(len(table), width)], 1)
        inputs = _Inputs(words, inside, weight, h0)
        transposed, hidden = inputs.weight.t(), inputs.hidden
        gates = words.new_empty(len(words), len(h0), 3 * width)  # r, z and W_n h + b_n
        news = words @ table[:, 2 * width :]  # (T, B, H) x_n, then n
        for t in range(len(words)):
            torch.mm(inputs.u[t], transposed, out=gates[t])
            r, z, recurrent = gates[t].chunk(3, 1)
            gates[t, :, : 2 * width].sigmoid_()
            news[t].addcmul_(r, recurrent).tanh_()
            torch.lerp(news[t], hidden[t], z, out=hidden[t + 1])
        ctx.save_for_backward(weight, inputs.u, gates, news)
        return hidden[1:].contiguous()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        weight, u, gates, news = ctx.saved_tensors
        width = weight.shape[1]
        hidden, one = u[..., :width], u.new_ones(())
        dgates, dnews = torch.empty_like(gates), torch.empty_like(news)
        dh = torch.zeros_like(hidden[0])
        keep, slope = torch.empty_like(dh), torch.empty_like(dh)
        for t in reversed(range(len(dgates))):
            dh.add_(grads[0][t])
            r, z, recurrent = gates[t].chunk(3, 1)
            dr, dz, drecurrent = dgates[t].chunk(3, 1)
            torch.sub(one, z, out=keep)
            dn = torch.addcmul(one, news[t], news[t], value=-1, out=dnews[t])
            dn.mul_(keep).mul_(dh)
            torch.sub(hidden[t], news[t], out=slope).mul_(z).mul_(keep)
            torch.mul(slope, dh, out=dz)
            torch.mul(dn, r, out=drecurrent)
            torch.sub(one, r, out=slope).mul_(recurrent)
            torch.mul(slope, drecurrent, out=dr)
            dh.mul_(z).addmm_(dgates[t], weight)
        dinside, dweight = _weight_gradients(dgates, u, width)
        words = u[:-1, :, width:].flatten(0, 1)
        dtable = torch.cat([dinside[:, : 2 * width], words.t() @ dnews.flatten(0, 1)], 1)
        return None, dtable, dweight, dh, dinside[:, 2 * width :].sum(0)


class _LSTM(Function):
    """i, f, o = σ(·), g = tanh(·) of W h + x; c = f c + i g; h = o tanh(c)."""

    @staticmethod
    def forward(
        ctx: Any, words: Tensor, table: Tensor, weight: Tensor, h0: Tensor, c0: Tensor
    ) -> tuple[Tensor, Tensor]:
        width = h0.shape[1]
        inputs = _Inputs(words, table, weight, h0)
        transposed, hidden = inputs.weight.t(), inputs.hidden
        gates = words.new_empty(len(words), len(h0), 4 * width)
        cells = words.new_empty(len(words) + 1, *c0.shape)
        cells[0] = c0
        for t in range(len(words)):
            torch.mm(inputs.u[t], transposed, out=gates[t])
            gates[t, :, : 2 * width].sigmoid_()
            gates[t, :, 2 * width : 3 * width].tanh_()
            gates[t, :, 3 * width :].sigmoid_()
            i, f, g, o = gates[t].chunk(4, 1)
            torch.mul(f, cells[t], out=cells[t + 1]).addcmul_(i, g)
            torch.mul(o, torch.tanh(cells[t + 1]), out=hidden[t + 1])
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(weight, inputs.u, gates, cells)
        return hidden[1:].contiguous(), cells[1:].clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        weight, u, gates, cells = ctx.saved_tensors
        width = weight.shape[1]
        one = u.new_ones(())
        dgates = torch.empty_like(gates)
        dh, dc = torch.zeros_like(cells[0]), torch.zeros_like(cells[0])
        tanh, slope = torch.empty_like(dh), torch.empty_like(dh)
        for t in reversed(range(len(dgates))):
            for total, gradient in zip((dh, dc), grads, strict=True):
                if gradient is not None:
                    total.add_(gradient[t])
            i, f, g, o = gates[t].chunk(4, 1)
            di, df, dg, do = dgates[t].chunk(4, 1)
            torch.tanh(cells[t + 1], out=tanh)
            torch.mul(dh, o, out=slope)
            dc.add_(slope).addcmul_(slope, tanh.square(), value=-1)
            torch.sub(one, o, out=slope).mul_(o).mul_(tanh)
            torch.mul(slope, dh, out=do)
            torch.sub(one, i, out=slope).mul_(i).mul_(g)
            torch.mul(slope, dc, out=di)
            torch.sub(one, f, out=slope).mul_(f).mul_(cells[t])
            torch.mul(slope, dc, out=df)
            torch.addcmul(one, g, g, value=-1, out=slope).mul_(i)
            torch.mul(slope, dc, out=dg)
            torch.mm(dgates[t], weight, out=dh)
            dc.mul_(f)
        return None, *_weight_gradients(dgates, u, width), dh, dc


def run(
    cell: nn.RNNBase, words: Tensor, table: Tensor, state: Sequence[Tensor], reverse: bool = False
) -> tuple[Tensor, ...]:
    """Run one direction of a one-layer recurrent module over words.

    Args:
        cell: the `torch.nn` module whose weights are used.
        words: (T, B, V) one-hot words, of the weights' floating-point type.
        table: (V, features) the words' embeddings.
        state: the state before the first step, (B, H) each: hidden; for an LSTM also the cell.
        reverse: use the weights of the module's backward direction (the order of the words is
            the caller's matter).

    Returns:
        The states after each step, (T, B, H) each, in the order of `state`.
    """
    suffix = "_l0_reverse" if reverse else "_l0"
    w_ih, w_hh, b_ih, b_hh = (
        getattr(cell, name + suffix) for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    if cell.mode == "GRU":  # b_hh of its last gate stands inside the product with r
        width = w_hh.shape[1]
        outside = torch.cat([b_ih[: 2 * width] + b_hh[: 2 * width], b_ih[2 * width :]])
        rows = F.linear(table, w_ih, outside)
        return (_GRU.apply(words, rows, w_hh, *state, b_hh[2 * width :]),)  # type: ignore[no-untyped-call]
    rows = F.linear(table, w_ih, b_ih + b_hh)  # (V, G * H)
    if cell.mode == "LSTM":
        states: tuple[Tensor, ...] = _LSTM.apply(words, rows, w_hh, *state)  # type: ignore[no-untyped-call]
        return states
    return (_RNN.apply(words, rows, w_hh, *state),)  # type: ignore[no-untyped-call]
