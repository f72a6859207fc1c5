"""Distillation: a plain model learns what an equi-tuned one says, on inputs that the group moves.

The student S is trained on E‖S(gx) - g M_G(x)‖², g uniform in the group. For output actions that
keep lengths, as permutations and rotations do, each orbit's mean of it has two parts, exactly:

    1/|G| Σ_g ‖S(gx) - g M_G(x)‖² = ‖S_G(x) - M_G(x)‖² + 1/|G| Σ_g ‖S(gx) - g S_G(x)‖²

with S_G(x) = 1/|G| Σ_g g⁻¹ S(gx). With a_g = g⁻¹ S(gx) the left side is the mean of ‖a_g - t‖²,
t = M_G(x), which is ‖ā - t‖² plus the mean of ‖a_g - ā‖² whatever t is. So the first part is how
far the student's own average is from the teacher, and the second the student's defect, 0 if and
only if it is equivariant on the orbit. One pass of the student replaces |G|; the defect stays, and
is measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from equitune.actions import check_inputs, move_inputs
from equitune.diagnosis.entries import arguments
from equitune.diagnosis.passes import Passes, kind
from equitune.gain import orbit_variance
from equitune.symmetrize import EquiTuned
from equitune.trees import Flat, flatten

if TYPE_CHECKING:
    from torch.utils.data import DataLoader

    from equitune.config import Training

AT_ONCE = 64  # inputs in a pass without gradients


@dataclass(frozen=True)
class Distance:
    """How far a student is from its teacher, each the mean over inputs and over their orbits.

    Attributes:
        total: ‖S(gx) - g M_G(x)‖², the sum over all entries of an example's output.
        teacher: ‖S_G(x) - M_G(x)‖², of the student's own average from the teacher.
        defect: ‖S(gx) - g S_G(x)‖², what the student is from being equivariant; 0 if it is.
        scale: ‖M_G(x)‖², to compare the others with.
    """

    total: float
    teacher: float
    defect: float
    scale: float

    def __str__(self) -> str:
        """Return all of it in a line, relative to the teacher's outputs."""
        parts = (self.total, self.teacher, self.defect)
        whole, teacher, defect = (part / self.scale if self.scale else part for part in parts)
        return f"distance {whole:.3g} = from the teacher {teacher:.3g} + own defect {defect:.3g}"


def distill(
    teacher: EquiTuned,
    student: nn.Module,
    data: Any,
    training: Training,
    *,
    held_out: Any = None,
    seed: int = 0,
) -> Distance:
    """Train a student on what a teacher says of moved inputs, and measure what is left.

    The student is trained in place by the one training loop, which needs the extra `workflow`;
    each step moves every input by an element of its own, drawn anew. The teacher runs once for
    each input of a step, without gradients; its answer for gx is g times that for x.

    Args:
        teacher: M_G, in evaluation mode while it is asked; its weights stay.
        student: S, of the teacher's inputs and outputs: `copy.deepcopy(teacher.module)`, or a
            smaller one.
        data: inputs without labels: a tensor (n, …); for several inputs a tuple, or a dictionary by
            name if the teacher's actions are one. Or a DataLoader, whose dataset and collate_fn are
            used, of what they give as many as the teacher takes, from the first; order and batch
            size are those of `training`.
        training: steps, batch size, learning rate; see `equitune.config.Training`.
        held_out: inputs, as data but no DataLoader, on which the student is scored while it is
            trained and measured at the end; by default those of data, of a DataLoader one batch.
        seed: of the order of the data, the drawn elements and dropout.

    Returns:
        The distance on the held-out inputs, in its two parts.

    Raises:
        ModuleNotFoundError: the extra `workflow` is missing.
        TypeError: the teacher is no `EquiTuned`, or outputs are no floats.
        ValueError: inputs do not fit the teacher, or the loss is not finite.
    """
    from equitune.run.loop import Objective, fit

    if not isinstance(teacher, EquiTuned):
        raise TypeError(f"teacher is {kind(teacher)}: expected an EquiTuned, which has the actions")
    if {*map(id, student.parameters())} & {*map(id, teacher.parameters())}:
        raise ValueError(
            "the student has weights of the teacher, which would change with it: pass "
            "copy.deepcopy(teacher.module)"
        )
    source = _Source(teacher, data)
    few = min(len(source), training.batch_size) if source.loaded else len(source)
    scored = source.rows(torch.arange(few)) if held_out is None else _bound(teacher, held_out)

    def epoch(generator: torch.Generator) -> Sequence[Tensor]:
        order = torch.randperm(len(source), generator=generator)
        return torch.split(order, training.batch_size)

    fit(
        student,
        training,
        Objective(
            epoch=epoch,
            loss=lambda rows: _loss(teacher, student, source.rows(rows)),
            validate=lambda: -_distance(teacher, student, scored).total,
        ),
        seed=seed,
        label=f"distillation into {kind(student)}",
    )
    return _distance(teacher, student, scored)


def distillation_distance(teacher: EquiTuned, student: nn.Module, *inputs: Any) -> Distance:
    """Return how far a student is from its teacher, in two parts that sum up exactly.

    Both run in evaluation mode without gradients, the sums are taken in float64.

    Args:
        teacher: M_G.
        student: S.
        inputs: (n, …) each; one dictionary by name if the teacher's actions are one.

    Raises:
        TypeError: an input or an output is not a tensor of floats.
        ValueError: inputs that do not fit the teacher, outputs that are not finite, or an output
            action that changes their lengths, for which the parts do not sum up.

    Example:
        >>> from equitune.actions import Rotate90, Trivial
        >>> rotate = Rotate90()
        >>> network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 10))
        >>> teacher = EquiTuned(network, rotate, Trivial(rotate.group))
        >>> found = distillation_distance(teacher, network, torch.randn(5, 3, 8, 8))
        >>> found.teacher < 1e-9 < found.defect  # the teacher is this student's own average
        True
    """
    return _distance(teacher, student, _bound(teacher, inputs))


def apart(found: Tensor, wanted: Tensor) -> Tensor:
    """Return ‖found - wanted‖² of each example, (batch,), of tensors (batch, …)."""
    return (found - wanted).unsqueeze(-1).flatten(1).square().sum(1)


class _Source:
    """Inputs by their rows, from tensors or from the dataset of a DataLoader."""

    def __init__(self, teacher: EquiTuned, data: Any) -> None:
        self.teacher = teacher
        self.loaded = hasattr(data, "collate_fn")
        self.loader: DataLoader[Any] = data
        if not self.loaded:
            self.flat = _bound(teacher, data)
        elif not hasattr(data.dataset, "__len__"):  # a stream
            raise ValueError(
                f"data loads {type(data.dataset).__name__}, which has no rows to draw: expected "
                "a dataset with __getitem__ and __len__, or tensors"
            )

    def __len__(self) -> int:
        """How many inputs there are."""
        return len(self.loader.dataset) if self.loaded else self.flat.moving()[0].shape[0]  # type: ignore[arg-type]

    def rows(self, rows: Tensor) -> Flat:
        """Return the inputs of some rows, each with its action."""
        if not self.loaded:
            return self.flat.map(lambda _, x: x[rows.to(x.device)])
        loaded = self.loader.collate_fn([self.loader.dataset[int(row)] for row in rows])
        actions = self.teacher.input_actions
        if isinstance(loaded, list | tuple) and not isinstance(actions, dict):
            loaded = tuple(loaded[: len(actions)])
        flat = _bound(self.teacher, loaded)
        device = next((p.device for p in self.teacher.parameters()), torch.device("cpu"))
        return flat.map(lambda _, x: x.to(device))


def _bound(teacher: EquiTuned, inputs: Any) -> Flat:
    given = (inputs,) if isinstance(inputs, Tensor | Mapping) else tuple(inputs)
    return arguments(teacher.input_actions, teacher.output_action, given, teacher)


def _loss(teacher: EquiTuned, student: nn.Module, inputs: Flat) -> Tensor:
    """Return the mean squared distance of an entry, each input moved by an element of its own."""
    count = check_inputs(inputs.actions, inputs.values)
    with Passes(teacher).measuring():
        wanted = _outputs(teacher, teacher, inputs)
    elements = torch.randint(teacher.group.order, (count,))
    found = _outputs(teacher, student, inputs.map(partial(_moved, elements)))
    pairs = zip(found.moving(), wanted.map(partial(_moved, elements)).moving(), strict=True)
    losses = [apart(y, t).mean() / max(t[0].numel(), 1) for y, t in pairs]
    return torch.stack(losses).sum()


def _moved(elements: Tensor, action: Any, x: Tensor) -> Tensor:
    moved: Tensor = action(elements.to(x.device), x)
    return moved


def _outputs(teacher: EquiTuned, model: nn.Module, inputs: Flat) -> Flat:
    args, named = inputs.whole()
    return flatten(teacher.output_action, model(*args, **named), f"the output of {kind(model)}")


def _distance(teacher: EquiTuned, student: nn.Module, inputs: Flat) -> Distance:
    """Return the distance of a student, the mean over inputs that have their actions."""
    count = check_inputs(inputs.actions, inputs.values)
    parts = []
    with Passes(student).measuring(), Passes(teacher).measuring():
        for start in range(0, count, AT_ONCE):
            few = inputs.map(lambda _, x, s=start: x[s : s + AT_ONCE])  # type: ignore[misc]
            targets = _outputs(teacher, teacher, few)
            orbits = []
            for g in teacher.group.elements:
                values = tuple(move_inputs(few.actions, g, few.values))
                orbits.append(_outputs(teacher, student, few._replace(values=values)).values)
            columns = zip(targets.actions, targets.values, zip(*orbits, strict=True), strict=True)
            parts += [_parts(a, t, torch.stack(ys)) for a, t, ys in columns if a is not None]
    total, own, defect, scale = (
        torch.cat(each).sum().item() / count for each in zip(*parts, strict=True)
    )
    return Distance(total, own, defect, scale)


def _parts(action: Any, target: Tensor, outputs: Tensor) -> tuple[Tensor, ...]:
    """Return total, teacher, defect and scale of each example, (batch,) in float64."""
    target, outputs = target.double(), outputs.double()
    back = action.unorbit(outputs)
    total = torch.stack([apart(each, target) for each in back]).mean(0)
    own = apart(back.mean(0), target)
    return total, own, orbit_variance(outputs, action), apart(target, torch.zeros_like(target))
