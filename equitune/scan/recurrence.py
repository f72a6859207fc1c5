"""One-layer recurrences over word sequences, fast on a CPU.

A word enters a recurrent layer only through its row of the table W_ih e(word) + b. With u_t the
hidden state h_{t-1} beside the one-hot word x_t, every gate of a step is one product
[W_hh | tableᵀ] u_t, and the gradient of both weights over all steps is one product at the end,
where `torch.nn` on a CPU runs three products a word and several autograd nodes a step. In the
backward pass all that does not depend on the gradient from the right is worked out for all steps
at once. Small batches are bound by the number of calls, not by what they compute: so both
directions of an encoder go together, and the views of all steps are made in one call. Cells and
parameters are those of `torch.nn.RNN`, `GRU` and `LSTM`; the tests hold values and gradients
against them. `CELLS` has a record for each.

Shapes: directions D, which is left out where there is one; time T, batch B, hidden H, vocabulary V,
gates G (RNN 1, GRU 3, LSTM 4).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn import functional as F


def _steps(x: Tensor, count: int = 1) -> tuple[Tensor, ...]:
    """Return x (D, T, B, …) as views of each step; one step's room is that of all `count` steps."""
    views = x.unbind(-3)
    return views * count if len(views) == 1 else views


def _gates(x: Tensor, number: int) -> tuple[Tensor, ...]:
    """Return x (…, G * H) as G views (…, H)."""
    return _apart(x, number).unbind(-2)


def _apart(x: Tensor, number: int) -> Tensor:
    """Return x (…, G * H) as a view (…, G, H)."""
    return x.view(*x.shape[:-1], number, x.shape[-1] // number)


class _Inputs:
    """u_t = [h_{t-1} | one-hot x_t] of all steps in one buffer, and the stacked weight.

    Rows are filled up with zeros to a multiple of 16 numbers: matrix products of rows of 79 ran at
    two thirds of the speed of rows of 80.

    Attributes:
        weight: (D, G * H, H + V + room).
        u: (D, T + 1, B, H + V + room).
        hidden: the states h_0 … h_T, (D, T + 1, B, H), a view: each step writes its own.
        multiply: the matrix product of each direction.
    """

    def __init__(self, words: Tensor, table: Tensor, weight: Tensor, h0: Tensor) -> None:
        self.width, vocabulary = h0.shape[-1], table.shape[-2]
        room = -(self.width + vocabulary) % 16
        self.weight = F.pad(torch.cat([weight, table.mT], -1), (0, room))
        *outer, steps, batch, _ = words.shape
        self.u = h0.new_empty(*outer, steps + 1, batch, self.weight.shape[-1])
        self.u[..., :-1, :, self.width :] = F.pad(words, (0, room))
        self.hidden = self.u[..., : self.width]
        self.hidden.select(-3, 0).copy_(h0)
        self.multiply, _ = _products(weight)


def _products(weight: Tensor) -> tuple[Callable[..., Tensor], Callable[..., Tensor]]:
    """Return the matrix product, and the one that is added, for one direction or several."""
    return (torch.mm, torch.addmm) if weight.ndim == 2 else (torch.bmm, torch.baddbmm)


def _weight_gradients(dgates: Tensor, u: Tensor, width: int, words: int) -> tuple[Tensor, Tensor]:
    """Gradients of table (D, V, G * H) and W_hh (D, G * H, H) from those of all gates."""
    steps = dgates.shape[-3]
    rows = u.narrow(-3, 0, steps).flatten(-3, -2)
    gradient = dgates.flatten(-3, -2).mT @ rows  # (D, G * H, H + V + room)
    return gradient[..., width : width + words].mT, gradient[..., :width]


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
        transposed, doubled, minus_one = inputs.weight.mul_(2).mT, h0.clone(), h0.new_tensor(-1.0)
        hidden = _steps(inputs.hidden)
        for u, h in zip(_steps(inputs.u), hidden[1:], strict=False):
            inputs.multiply(u, transposed, out=doubled)
            _tanh_of_half(doubled, minus_one, out=h)
        ctx.vocabulary = table.shape[-2]
        ctx.save_for_backward(weight, inputs.u)
        return inputs.hidden[..., 1:, :, :].contiguous()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        weight, u = ctx.saved_tensors
        width = weight.shape[-1]
        hidden = u[..., 1:, :, :width]
        dgates = torch.addcmul(u.new_ones(()), hidden, hidden, value=-1)
        add, (above, gates) = _products(weight)[1], map(_steps, (grads[0], dgates))
        dh = above[-1].clone()
        for t in reversed(range(len(gates))):
            gates[t].mul_(dh)
            # the gradient of the state before comes to that of the step's own output
            add(above[t - 1] if t else torch.zeros_like(dh), gates[t], weight, out=dh)
        return None, *_weight_gradients(dgates, u, width, ctx.vocabulary), dh, None


class _GRU(Function):
    """r, z = σ(W h + x); n = tanh(x_n + r (W_n h + b_n)); h = (1 - z) n + z h."""

    @staticmethod
    def forward(
        ctx: Any, words: Tensor, table: Tensor, weight: Tensor, h0: Tensor, keep: bool, bias: Tensor
    ) -> Tensor:
        width, steps = h0.shape[-1], words.shape[-3]
        # the third gate's own word part stays outside the product, which r multiplies
        own = bias.unsqueeze(-2).expand(*table.shape[:-1], width)
        inputs = _Inputs(words, torch.cat([table[..., : 2 * width], own], -1), weight, h0)
        transposed, minus_one = inputs.weight.mT, h0.new_tensor(-1.0)
        # r, z and W_n h + b_n; without a backward pass to come one step's room is enough
        shape = (*words.shape[:-3], steps if keep else 1, *h0.shape[-2:-1], 3 * width)
        gates = words.new_empty(shape)
        news = words @ table[..., 2 * width :].unsqueeze(-3)  # (D, T, B, H) x_n, then n
        places = (gates, gates[..., : 2 * width], *_gates(gates, 3), news, inputs.u)
        h = _steps(inputs.hidden)
        all_steps = zip(*(_steps(x, steps)[:steps] for x in places), h[:-1], h[1:], strict=True)
        for gate, sigmoids, r, z, recurrent, new, u, before, after in all_steps:
            inputs.multiply(u, transposed, out=gate)
            sigmoids.sigmoid_()
            _tanh_of_half(new.addcmul_(r, recurrent).mul_(2), minus_one, out=new)
            torch.lerp(new, before, z, out=after)
        ctx.vocabulary = table.shape[-2]
        ctx.save_for_backward(weight, inputs.u, gates, news)
        return inputs.hidden[..., 1:, :, :].contiguous()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        weight, u, gates, news = ctx.saved_tensors
        width, number = weight.shape[-1], ctx.vocabulary
        hidden, (r, z, recurrent) = u[..., :-1, :, :width], _gates(gates, 3)
        # dh of each step multiplies these
        other = 1 - z
        dnews = torch.addcmul(other, other, news.square(), value=-1)  # (1 - z) (1 - n²)
        dgates = torch.empty_like(gates)
        dr, dz, drecurrent = _gates(dgates, 3)
        torch.mul(dnews, r, out=drecurrent)
        torch.sub(hidden, news, out=dz).mul_(z).mul_(other)
        torch.addcmul(drecurrent, drecurrent, r, value=-1, out=dr).mul_(recurrent)
        dh = torch.zeros_like(_steps(grads[0])[0])
        every, add = dh.unsqueeze(-2), _products(weight)[1]
        steps = zip(
            *(reversed(x.unbind(-3)) for x in (grads[0], dnews, dgates, z)),
            reversed(_apart(dgates, 3).unbind(-4)),
            strict=True,
        )
        for above, dnew, dgate, kept, three in steps:
            dh.add_(above)
            dnew.mul_(dh)
            three.mul_(every)
            add(dh.mul_(kept), dgate, weight, out=dh)
        dinside, dweight = _weight_gradients(dgates, u, width, number)
        words = u[..., :-1, :, width : width + number].flatten(-3, -2)
        dtable = torch.cat([dinside[..., : 2 * width], words.mT @ dnews.flatten(-3, -2)], -1)
        return None, dtable, dweight, dh, None, dinside[..., 2 * width :].sum(-2)


class _LSTM(Function):
    """i, f, o = σ(·), g = tanh(·) of W h + x; c = f c + i g; h = o tanh(c).

    All four gates pass one σ: the rows of g are doubled, and g = 2 σ - 1 where it is used. Cells
    are kept doubled, as tanh(c) = 2 σ(2c) - 1; a power of two rounds nothing.
    """

    @staticmethod
    def forward(
        ctx: Any, words: Tensor, table: Tensor, weight: Tensor, h0: Tensor, keep: bool, c0: Tensor
    ) -> tuple[Tensor, Tensor]:
        width, steps = h0.shape[-1], words.shape[-3]
        inputs = _Inputs(words, table, weight, h0)
        inputs.weight[..., 2 * width : 3 * width, :].mul_(2)
        transposed, minus_one = inputs.weight.mT, h0.new_tensor(-1.0)
        # without a backward pass to come one step's room is enough
        outer, room = words.shape[:-3], steps if keep else 1
        gates = words.new_empty(*outer, room, *h0.shape[-2:-1], 4 * width)
        tanhs = words.new_empty(*outer, room, *h0.shape[-2:])  # tanh(c)
        doubled = words.new_empty(*outer, steps + 1, *h0.shape[-2:])  # 2c
        torch.mul(c0, 2, out=doubled.select(-3, 0))
        places = (gates, *_gates(gates, 4), tanhs, inputs.u)
        c, h = _steps(doubled), _steps(inputs.hidden)
        all_steps = zip(
            *(_steps(x, steps)[:steps] for x in places), c[:-1], c[1:], h[1:], strict=True
        )
        for gate, i, f, g, o, tanh, u, before, after, hidden in all_steps:
            inputs.multiply(u, transposed, out=gate).sigmoid_()
            torch.mul(f, before, out=after).sub_(i, alpha=2).addcmul_(i, g, value=4)
            torch.add(minus_one, torch.sigmoid(after, out=tanh), alpha=2, out=tanh)
            torch.mul(o, tanh, out=hidden)
        ctx.set_materialize_grads(False)
        ctx.vocabulary = table.shape[-2]
        ctx.save_for_backward(weight, inputs.u, gates, doubled, tanhs)
        cells = doubled[..., 1:, :, :] * 0.5
        return inputs.hidden[..., 1:, :, :].contiguous(), cells

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        weight, u, gates, doubled, tanhs = ctx.saved_tensors
        width = weight.shape[-1]
        i, f, g, o = _gates(gates, 4)
        # dh of each step multiplies the last quarter and goes into dc, which multiplies the others
        dgates = torch.addcmul(gates, gates, gates, value=-1)
        di, df, dg, do = _gates(dgates, 4)
        di.mul_(torch.add(gates.new_tensor(-1.0), g, alpha=2))
        df.mul_(doubled[..., :-1, :, :]).mul_(0.5)
        dg.mul_(i).mul_(4)  # of tanh at x, not of σ at 2x
        do.mul_(tanhs)
        into_cell = torch.addcmul(o, o, tanhs.square(), value=-1)
        three = _apart(dgates, 4)[..., :3, :].unbind(-4)
        dh, dc = (torch.zeros_like(tanhs.select(-3, 0)) for _ in range(2))
        totals = [
            (x, _steps(grad)) for x, grad in zip((dh, dc), grads, strict=True) if grad is not None
        ]
        every, multiply = dc.unsqueeze(-2), _products(weight)[0]
        forget, into, own, all_four = map(_steps, (f, into_cell, do, dgates))
        for t in reversed(range(len(three))):
            for total, gradient in totals:
                total.add_(gradient[t])
            dc.addcmul_(dh, into[t])
            own[t].mul_(dh)
            three[t].mul_(every)
            multiply(all_four[t], weight, out=dh)
            dc.mul_(forget[t])
        return None, *_weight_gradients(dgates, u, width, ctx.vocabulary), dh, None, dc


@dataclass(frozen=True)
class Cell:
    """One kind of recurrent cell.

    Attributes:
        mode: the `mode` of its modules, by which their record is found.
        layer: makes a module, with the arguments of `torch.nn.RNN`.
        steps: the recurrence, of words, W_ih e(word) + b of every word, W_hh, the state before the
            first step, whether a backward pass may come, and, where there are any, the further
            states and the bias inside. It returns the states after each step, one tensor or more.
        states: how many numbers of each hidden unit a step hands on.
        bias_inside: the last gate's recurrent bias stands inside a product, as a GRU's.
    """

    mode: str
    layer: Callable[..., nn.RNNBase]
    steps: Callable[..., Any]
    states: int = 1
    bias_inside: bool = False


# by the name that the configuration has
CELLS = {
    "RNN": Cell("RNN_TANH", nn.RNN, _RNN.apply),
    "GRU": Cell("GRU", nn.GRU, _GRU.apply, bias_inside=True),
    "LSTM": Cell("LSTM", nn.LSTM, _LSTM.apply, states=2),
}


def cell_of(module: nn.RNNBase) -> Cell:
    """Return the record of a recurrent module; a layer with parametrizations has another type."""
    return {cell.mode: cell for cell in CELLS.values()}[module.mode]


def run(
    cell: nn.RNNBase, words: Tensor, table: Tensor, state: Sequence[Tensor]
) -> tuple[Tensor, ...]:
    """Run a one-layer recurrent module over words: its one direction, or both of them.

    Args:
        cell: the `torch.nn` module whose weights are used.
        words: (T, B, V) one-hot words, of the weights' floating-point type; of a module with two
            directions (2, T, B, V), in the order in which each direction reads them.
        table: (V, features) the words' embeddings.
        state: the state before the first step, (B, H) each, or (2, B, H): hidden; for an LSTM also
            the cell.

    Returns:
        The states after each step, (T, B, H) each, or (2, T, B, H), in the order of `state`.
    """
    keep, kind = torch.is_grad_enabled(), cell_of(cell)
    suffixes = ("_l0", "_l0_reverse") if cell.bidirectional else ("_l0",)
    each = zip(*(_prepared(cell, table, suffix) for suffix in suffixes), strict=True)
    rows, w_hh, *inside = (torch.stack(xs) if len(xs) > 1 else xs[0] for xs in each)
    found = kind.steps(words, rows, w_hh, state[0], keep, *state[1:], *inside)
    return found if isinstance(found, tuple) else (found,)


def _prepared(cell: nn.RNNBase, table: Tensor, suffix: str) -> list[Tensor]:
    """Return W_ih e(word) + b for every word (V, G * H), W_hh, and the bias inside, if any.

    Biases are added before directions are stacked: the gradients of two stacks would be views of
    one tensor, which clipping would then scale twice.
    """
    w_ih, w_hh, b_ih, b_hh = (
        getattr(cell, name + suffix) for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    if not cell_of(cell).bias_inside:
        return [F.linear(table, w_ih, b_ih + b_hh), w_hh]
    last = len(w_hh) - w_hh.shape[1]  # where the last gate begins
    outside = torch.cat([b_ih[:last] + b_hh[:last], b_ih[last:]])
    return [F.linear(table, w_ih, outside), w_hh, b_hh[last:]]
