"""One-layer recurrences over word sequences, fast on a CPU; they know no vocabulary and no task.

A word enters a recurrent layer only through its row of the table W_ih e(word) + b. With u_t the
hidden state h_{t-1} beside the one-hot word x_t, every gate of a step is one product
[W_hh | tableᵀ] u_t, and the gradient of both weights over all steps is one product at the end,
where `torch.nn` on a CPU runs three products a word and several autograd nodes a step. In the
backward pass all that does not depend on the gradient from the right is worked out for all steps
at once. Cells and parameters are those of `torch.nn.RNN`, `GRU` and `LSTM`; the tests hold values
and gradients against them.

Shapes: time T, batch B, hidden H, vocabulary V, gates G (RNN 1, GRU 3, LSTM 4).
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn import functional as F


class _Inputs:
    """u_t = [h_{t-1} | one-hot x_t] of all steps in one buffer, and the stacked weight.

    Rows are filled up with zeros to a multiple of 16 numbers: matrix products of rows of 79 ran at
    two thirds of the speed of rows of 80.
    """

    def __init__(self, words: Tensor, table: Tensor, weight: Tensor, h0: Tensor) -> None:
        self.width = h0.shape[1]
        room = -(self.width + len(table)) % 16
        self.weight = F.pad(torch.cat([weight, table.t()], 1), (0, room))  # (G * H, H + V + room)
        self.u = h0.new_empty(len(words) + 1, len(h0), self.weight.shape[1])
        self.u[:-1, :, self.width :] = F.pad(words, (0, room))
        self.u[0, :, : self.width] = h0

    @property
    def hidden(self) -> Tensor:
        """The states h_0 … h_T, (T + 1, B, H), a view: each step writes its own."""
        return self.u[..., : self.width]


def _weight_gradients(dgates: Tensor, u: Tensor, width: int, words: int) -> tuple[Tensor, Tensor]:
    """Gradients of table (V, G * H) and W_hh (G * H, H) from those of all gates (T, B, G * H)."""
    gradient = dgates.flatten(0, 1).t() @ u[: len(dgates)].flatten(0, 1)  # (G * H, H + V + room)
    return gradient[:, width : width + words].t(), gradient[:, :width]


def _tanh_of_half(doubled: Tensor, minus_one: Tensor, out: Tensor) -> Tensor:
    """tanh(x) = 2 σ(2x) - 1 from 2x, which it overwrites: a sixth of the time of torch.tanh."""
    return torch.add(minus_one, doubled.sigmoid_(), alpha=2, out=out)


class _RNN(Function):
    """h = tanh(W h + x)."""

    @staticmethod
    def forward(
        ctx: Any, words: Tensor, table: Tensor, weight: Tensor, h0: Tensor, keep: bool
    ) -> Tensor:
        inputs = _Inputs(words, table, weight, h0)
        transposed, hidden, doubled = inputs.weight.mul_(2).t(), inputs.hidden, torch.empty_like(h0)
        minus_one = h0.new_tensor(-1.0)
        for t in range(len(words)):
            torch.mm(inputs.u[t], transposed, out=doubled)
            _tanh_of_half(doubled, minus_one, out=hidden[t + 1])
        ctx.vocabulary = len(table)
        ctx.save_for_backward(weight, inputs.u)
        return hidden[1:].contiguous()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        weight, u = ctx.saved_tensors
        width = weight.shape[1]
        hidden = u[..., :width]
        dgates = torch.addcmul(u.new_ones(()), hidden[1:], hidden[1:], value=-1)
        dh = torch.zeros_like(grads[0][0])
        for t in reversed(range(len(dgates))):
            dgates[t].mul_(dh.add_(grads[0][t]))
            torch.mm(dgates[t], weight, out=dh)
        return None, *_weight_gradients(dgates, u, width, ctx.vocabulary), dh, None


class _GRU(Function):
    """r, z = σ(W h + x); n = tanh(x_n + r (W_n h + b_n)); h = (1 - z) n + z h."""

    @staticmethod
    def forward(
        ctx: Any, words: Tensor, table: Tensor, weight: Tensor, h0: Tensor, keep: bool, bias: Tensor
    ) -> Tensor:
        width = h0.shape[1]
        # the third gate's own word part stays outside the product, which r multiplies
        inside = torch.cat([table[:, : 2 * width], bias.expand(len(table), width)], 1)
        inputs = _Inputs(words, inside, weight, h0)
        transposed, hidden = inputs.weight.t(), inputs.hidden
        minus_one = h0.new_tensor(-1.0)
        # r, z and W_n h + b_n; without a backward pass to come one step's room is enough
        gates = words.new_empty(len(words) if keep else 1, len(h0), 3 * width)
        news = words @ table[:, 2 * width :]  # (T, B, H) x_n, then n
        for t in range(len(words)):
            gate = torch.mm(inputs.u[t], transposed, out=gates[t % len(gates)])
            gate[:, : 2 * width].sigmoid_()
            r, z, recurrent = gate.chunk(3, 1)
            _tanh_of_half(news[t].addcmul_(r, recurrent).mul_(2), minus_one, out=news[t])
            torch.lerp(news[t], hidden[t], z, out=hidden[t + 1])
        ctx.vocabulary = len(table)
        ctx.save_for_backward(weight, inputs.u, gates, news)
        return hidden[1:].contiguous()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        weight, u, gates, news = ctx.saved_tensors
        width = weight.shape[1]
        hidden, (r, z, recurrent) = u[..., :width], gates.chunk(3, 2)
        # dh of each step multiplies these
        other = 1 - z
        dnews = torch.addcmul(other, other, news.square(), value=-1)  # (1 - z) (1 - n²)
        dgates = torch.empty_like(gates)
        dr, dz, drecurrent = dgates.chunk(3, 2)
        torch.mul(dnews, r, out=drecurrent)
        torch.sub(hidden[:-1], news, out=dz).mul_(z).mul_(other)
        torch.addcmul(drecurrent, drecurrent, r, value=-1, out=dr).mul_(recurrent)
        dh = torch.zeros_like(grads[0][0])
        for t in reversed(range(len(dgates))):
            dh.add_(grads[0][t])
            dnews[t].mul_(dh)
            dgates[t].view(-1, 3, width).mul_(dh[:, None])
            dh.mul_(z[t]).addmm_(dgates[t], weight)
        dinside, dweight = _weight_gradients(dgates, u, width, ctx.vocabulary)
        words = u[:-1, :, width : width + ctx.vocabulary].flatten(0, 1)
        dtable = torch.cat([dinside[:, : 2 * width], words.t() @ dnews.flatten(0, 1)], 1)
        return None, dtable, dweight, dh, None, dinside[:, 2 * width :].sum(0)


class _LSTM(Function):
    """i, f, o = σ(·), g = tanh(·) of W h + x; c = f c + i g; h = o tanh(c).

    All four gates pass one σ: the rows of g are doubled, and g = 2 σ - 1 where it is used.
    """

    @staticmethod
    def forward(
        ctx: Any, words: Tensor, table: Tensor, weight: Tensor, h0: Tensor, keep: bool, c0: Tensor
    ) -> tuple[Tensor, Tensor]:
        width = h0.shape[1]
        inputs = _Inputs(words, table, weight, h0)
        inputs.weight[2 * width : 3 * width].mul_(2)
        transposed, hidden = inputs.weight.t(), inputs.hidden
        minus_one = h0.new_tensor(-1.0)
        # without a backward pass to come one step's room is enough
        gates = words.new_empty(len(words) if keep else 1, len(h0), 4 * width)
        tanhs = words.new_empty(len(gates), *c0.shape)  # tanh(c)
        cells = words.new_empty(len(words) + 1, *c0.shape)
        cells[0] = c0
        for t in range(len(words)):
            gate, tanh = gates[t % len(gates)], tanhs[t % len(gates)]
            torch.mm(inputs.u[t], transposed, out=gate).sigmoid_()
            i, f, g, o = gate.chunk(4, 1)
            torch.mul(f, cells[t], out=cells[t + 1]).sub_(i).addcmul_(i, g, value=2)
            _tanh_of_half(torch.mul(cells[t + 1], 2, out=tanh), minus_one, out=tanh)
            torch.mul(o, tanh, out=hidden[t + 1])
        ctx.set_materialize_grads(False)
        ctx.vocabulary = len(table)
        ctx.save_for_backward(weight, inputs.u, gates, cells, tanhs)
        return hidden[1:].contiguous(), cells[1:].clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        weight, u, gates, cells, tanhs = ctx.saved_tensors
        width = weight.shape[1]
        i, f, g, o = gates.chunk(4, 2)
        # dh of each step multiplies the last quarter and goes into dc, which multiplies the others
        dgates = torch.addcmul(gates, gates, gates, value=-1)
        di, df, dg, do = dgates.chunk(4, 2)
        di.mul_(torch.add(gates.new_tensor(-1.0), g, alpha=2))
        df.mul_(cells[:-1])
        dg.mul_(i).mul_(4)  # of tanh at x, not of σ at 2x
        do.mul_(tanhs)
        into_cell = torch.addcmul(o, o, tanhs.square(), value=-1)
        dh, dc = torch.zeros_like(cells[0]), torch.zeros_like(cells[0])
        for t in reversed(range(len(dgates))):
            for total, gradient in zip((dh, dc), grads, strict=True):
                if gradient is not None:
                    total.add_(gradient[t])
            dc.addcmul_(dh, into_cell[t])
            do[t].mul_(dh)
            dgates[t].view(-1, 4, width)[:, :3].mul_(dc[:, None])
            torch.mm(dgates[t], weight, out=dh)
            dc.mul_(f[t])
        return None, *_weight_gradients(dgates, u, width, ctx.vocabulary), dh, None, dc


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
    keep = torch.is_grad_enabled()
    suffix = "_l0_reverse" if reverse else "_l0"
    w_ih, w_hh, b_ih, b_hh = (
        getattr(cell, name + suffix) for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    if cell.mode == "GRU":  # b_hh of its last gate stands inside the product with r
        width = w_hh.shape[1]
        outside = torch.cat([b_ih[: 2 * width] + b_hh[: 2 * width], b_ih[2 * width :]])
        rows = F.linear(table, w_ih, outside)
        return (_GRU.apply(words, rows, w_hh, *state, keep, b_hh[2 * width :]),)  # type: ignore[no-untyped-call]
    rows = F.linear(table, w_ih, b_ih + b_hh)  # (V, G * H)
    if cell.mode == "LSTM":
        states: tuple[Tensor, ...] = _LSTM.apply(words, rows, w_hh, state[0], keep, state[1])  # type: ignore[no-untyped-call]
        return states
    return (_RNN.apply(words, rows, w_hh, *state, keep),)  # type: ignore[no-untyped-call]
