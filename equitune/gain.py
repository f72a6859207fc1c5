"""What averaging over a group will gain, foretold without labels.

Let a group act on inputs and, by maps that keep lengths, on outputs, and let the pairs (x, y) and
(gx, gy) be equally likely for every g. Then the squared losses of a model M and of its average
M_G(x) = 1/|G| Σ_g g⁻¹ M(gx) differ by exactly what the average takes away
(Elesedy & Zaidi 2021, Provably Strict Generalisation Benefit for Equivariant Models, ICML):

    E‖M(x) - y‖² - E‖M_G(x) - y‖² = E‖M(x) - M_G(x)‖².

Orbit by orbit: the copy gx contributes ‖M(gx) - gy‖² = ‖a_g - y‖² with a_g = g⁻¹M(gx), as g keeps
lengths. The mean of ‖a_g - y‖² over g is ‖ā - y‖² plus the mean of ‖a_g - ā‖², whatever y is.
Here ā is M_G(x), and ‖a_g - ā‖ is ‖M(gx) - M_G(gx)‖.

The right side needs no y, so it is a forecast of the left. It holds for the same weights on both
sides and for squared loss. It does not hold where y changes otherwise than by the output action (a
6 turned by 180° that is called 9), and says nothing certain about a model that is trained further.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import torch
from torch import Tensor

from equitune.actions import Action, ActionTree, check_inputs, move_inputs
from equitune.diagnosis.entries import arguments
from equitune.diagnosis.passes import Model, Passes
from equitune.trees import flatten

LENGTHS = 1e-3  # how far rounding may change the length of an output, relative; half precision


@dataclass(frozen=True)
class Gain:
    """A forecast of the squared loss that a group average saves.

    Attributes:
        value: its mean over the inputs, in squared units of the output.
        standard_error: of the mean: standard deviation (n - 1) over the inputs, by √n.
        n: number of inputs, each with its whole orbit.
    """

    value: float
    standard_error: float
    n: int


def expected_gain(
    model: Model,
    input_action: ActionTree,
    output_action: ActionTree,
    *inputs: Any,
    batch_size: int = 64,
) -> Gain:
    """Forecast, from inputs without labels, how much squared loss the group average saves.

    E‖M(x) - M_G(x)‖², the norm over all entries of an example's output, the mean over the inputs
    and over all copies of each. It is risk(M) - risk(M_G) under the assumptions at the head of
    this module; multiply by 1 / entries for a loss that takes the mean over them. For the Brier
    score of a classifier, let the model end with a softmax. The model runs in evaluation mode
    without gradients, once for each copy; sums are taken in float64.

    Args:
        model: M, a module or a function that gives tensors (batch, …). Of a model that is
            equivariant already the gain is 0.
        input_action: how the group moves the input; a tuple, one for each, if there are several,
            or a dictionary by name, with one dictionary of inputs.
        output_action: how the group moves the output, keeping lengths, as every permutation does;
            ``Trivial(group)`` for classes. Of several outputs a tree, as for `EquiTuned`; the
            gain is that of all of them, the sum.
        inputs: (n, …) each, n ≥ 2: drawn independently from what the model will meet. They need
            not be moved, as each stands for its orbit. Anything where the action is None.
        batch_size: inputs at once; |G| outputs of each are kept.

    Raises:
        TypeError: an action is not an `Action`, or an input or the output is not a tensor of
            floats.
        ValueError: actions of different groups; inputs that do not fit them, or fewer than two;
            outputs that are not finite, or an output action that changes their lengths.

    Example:
        >>> from torch import nn
        >>> from equitune.actions import Rotate90, Trivial
        >>> classifier = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 10), nn.Softmax(-1))
        >>> rotate = Rotate90()
        >>> x = torch.randn(20, 3, 8, 8)
        >>> gain = expected_gain(classifier, rotate, Trivial(rotate.group), x)
        >>> gain.n, gain.value > 0
        (20, True)
    """
    flat = arguments(input_action, output_action, inputs, model)
    count = check_inputs(flat.actions, flat.values)
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}: expected at least 1")
    group = next(action.group for action in flat.actions if action is not None)
    parts = []
    with Passes(model).measuring():
        for start in range(0, count, batch_size):
            rows = slice(start, start + batch_size)
            batch = [x[rows] if a else x for x, a in zip(flat.values, flat.actions, strict=True)]
            outputs = []
            for g in group.elements:
                values = tuple(move_inputs(flat.actions, g, batch))
                args, named = flat._replace(values=values).whole()
                outputs.append(flatten(output_action, model(*args, **named), "the output"))
            together = zip(*(each.values for each in outputs), strict=True)
            columns = zip(outputs[0].actions, together, strict=True)
            spread = [_variance(action, ys) for action, ys in columns if action is not None]
            parts.append(torch.stack(spread).sum(dim=0))
    return summarize(torch.cat(parts))


def _variance(action: Action, outputs: Sequence[Any]) -> Tensor:
    """Return the `orbit_variance` of one output, as the model gave it for each element."""
    for y in outputs:
        _check_floats(y)
    sizes = torch.stack([_squares(y.double()[None])[0] for y in outputs]).sqrt()
    back = [action.inverse(g, y.double()) for g, y in enumerate(outputs)]  # two shapes, it may be
    return _spread(sizes, torch.stack(back), action)


def orbit_variance(outputs: Tensor, output_action: Action) -> Tensor:
    """Return how far the outputs of an orbit lie from their average, in the mean and squared.

    Args:
        outputs: M(gx) for every g, as `EquiTuned.orbit_outputs` returns them: (|G|, batch, …).
        output_action: as for `expected_gain`.

    Returns:
        1/|G| Σ_g ‖M(gx) - M_G(gx)‖², (batch,) in float64.

    Raises:
        ValueError: outputs are not finite, or the action changes their lengths.
    """
    outputs = outputs.double()
    return _spread(_squares(outputs).sqrt(), output_action.unorbit(outputs), output_action)


def _spread(sizes: Tensor, moved_back: Tensor, action: Action) -> Tensor:
    """Return the `orbit_variance` of outputs moved back, which had these lengths (|G|, batch)."""
    if not moved_back.isfinite().all():
        raise ValueError("the model's output is not finite: the gain cannot be told")
    if ((sizes - _squares(moved_back).sqrt()).abs() > LENGTHS * sizes).any():
        raise ValueError(
            f"{type(action).__name__} changes the lengths of outputs: expected an action "
            "that keeps them, as permutations and rotations do; otherwise the forecast is wrong"
        )
    return _squares(moved_back - moved_back.mean(dim=0)).mean(dim=0)


def summarize(values: Tensor) -> Gain:
    """Return the mean of values (n,) with its standard error.

    Raises:
        ValueError: there are fewer than two.
    """
    n = len(values)
    if n < 2:
        raise ValueError(f"{n} inputs: expected two or more, as one has no standard error")
    return Gain(float(values.mean()), float(values.std()) / sqrt(n), n)


def _squares(outputs: Tensor) -> Tensor:
    """Return the squared lengths (|G|, batch) of outputs (|G|, batch, …)."""
    return outputs.unsqueeze(-1).flatten(2).square().sum(dim=2)


def _check_floats(output: object) -> None:
    """Raise a TypeError for an output that is not a tensor of floats."""
    if not isinstance(output, Tensor) or not output.is_floating_point():
        what = str(output.dtype) if isinstance(output, Tensor) else type(output).__name__
        raise TypeError(f"the model gave {what}: expected one tensor of floats, (batch, …)")
