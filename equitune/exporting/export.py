"""`export`: a model becomes a file that runs without its code, after that file has been measured.

The graph that was written is read again, compared with the model at three batch sizes, and its own
equivariance error is measured. Only then does the file appear.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from equitune.actions import ActionTree, check_inputs
from equitune.diagnosis.differences import difference
from equitune.diagnosis.entries import arguments
from equitune.diagnosis.passes import Passes, kind, plain
from equitune.diagnosis.verdict import precision_of
from equitune.equivariance import equivariance_error
from equitune.exporting.formats import FORMATS, Graph, quiet
from equitune.exporting.refusal import refusal
from equitune.io.files import atomic_write
from equitune.io.names import nearest
from equitune.symmetrize import EquiTuned
from equitune.trees import Flat, flatten


@dataclass(frozen=True)
class Exported:
    """What was measured of a graph before its file appeared.

    Attributes:
        path: the file.
        batch_sizes: at which graph and model were compared.
        difference: the largest |graph - model|, relative to the largest output.
        error: the largest equivariance error of the graph, as `equivariance_error`.
        model_error: that of the model, on the same inputs.
    """

    path: Path
    batch_sizes: tuple[int, ...]
    difference: float
    error: float
    model_error: float

    def __str__(self) -> str:
        """Return all of it in a line."""
        sizes = ", ".join(map(str, self.batch_sizes))
        return (
            f"{self.path}: at batch sizes {sizes} it differs from the model by "
            f"{self.difference:.1e} (relative); equivariance error {self.error:.1e}, of the model "
            f"{self.model_error:.1e}"
        )


def export(
    model: nn.Module,
    example: Any,
    path: str | os.PathLike[str],
    *,
    input_action: ActionTree | None = None,
    output_action: ActionTree | None = None,
    tolerance: float | None = None,
) -> Exported:
    """Write a model as a graph with a free batch size, if the graph is right.

    In evaluation mode and without gradients; `sample` and dropout do nothing there. Inputs keep the
    sizes of the example but for the batch. What has no action and is not a tensor, such as a flag,
    becomes part of the graph as it is in the example.

    Args:
        model: an `EquiTuned`, or any module with its actions, such as a distilled student.
        example: an input (batch, …); of several inputs, or nested ones, a tuple with one for each,
            or a dictionary by name if input_action is one.
        path: ends in .pt2 for torch.export, or in .onnx, which needs the extra `export`.
        input_action: how the group moves the input; by default that of an `EquiTuned`.
        output_action: how the group moves the output; by default that of an `EquiTuned`.
        tolerance: the largest difference from the model, and the largest equivariance error, that
            are written, both relative. By default the difference may be what rounding explains in
            the model's dtype, and the error that much above the model's own.

    Returns:
        What was measured.

    Raises:
        ModuleNotFoundError: for .onnx, a package of the extra `export` is missing.
        TypeError: model is not a module, or an action or input is of a wrong type.
        ValueError: another suffix, an empty example, inputs that do not fit the actions, a model
            that cannot be exported, or a graph that is not as exact as it must be.
        WriteError: the file cannot be written.

    Example:
        >>> import tempfile
        >>> from equitune.actions import Rotate90, Trivial
        >>> rotate = Rotate90()
        >>> classifier = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 10))
        >>> model = EquiTuned(classifier, rotate, Trivial(rotate.group))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     done = export(model, torch.randn(2, 3, 8, 8), f"{folder}/model.pt2")
        >>> done.batch_sizes, done.difference < 1e-6, done.error < 1e-5
        ((1, 2, 5), True, True)
    """
    path, model = Path(path), plain(model)
    if path.suffix not in FORMATS:
        hint = nearest(path.suffix, FORMATS)
        raise ValueError(f"{path.name} ends in {path.suffix!r}: expected .pt2 or .onnx{hint}")
    if not isinstance(model, nn.Module):
        raise TypeError(f"model is {model!r}: expected an nn.Module")
    if isinstance(model, EquiTuned):
        input_action = model.input_actions if input_action is None else input_action
        output_action = model.output_action if output_action is None else output_action
    if input_action is None or output_action is None:
        raise ValueError(
            f"{kind(model)} is not an EquiTuned: pass input_action= and output_action=, by which "
            "the equivariance error of its graph is measured"
        )
    form = FORMATS[path.suffix]
    form.check()
    inputs = (example,) if isinstance(example, Tensor | Mapping) else tuple(example)
    flat = arguments(input_action, output_action, inputs, model)
    count = check_inputs(flat.actions, flat.values, flat.names)
    if not count:
        raise ValueError("the example has a batch of 0: expected at least 1")
    with Passes(model).measuring():
        sizes = (1, max(count, 2), 2 * max(count, 2) + 1)
        program, shapes = traced(model, resized(flat, sizes[1]))
        with atomic_write(path) as temporary:
            with refusal(model, f"written as {path.suffix}"):
                form.write(program, shapes, temporary)
                graph = form.read(temporary, program)
            done = measured(path, model, graph, flat, sizes, (input_action, output_action, inputs))
            check(done, model, tolerance, precision(model, flat, output_action))
    return done


def traced(model: nn.Module, flat: Flat) -> tuple[torch.export.ExportedProgram, dict[str, Any]]:
    """Return a model as a program, for any batch of at least 1, and its free sizes by argument."""
    batch = torch.export.Dim("batch", min=1)
    args, named = flat.whole()
    free = tuple({0: batch} if action else None for action in flat.actions)
    args_free, named_free = flat._replace(values=free).whole()
    with refusal(model), quiet():
        bound = inspect.signature(model.forward).bind(*args_free, **named_free)
        shapes = dict(bound.arguments)
        return torch.export.export(model, args, named, dynamic_shapes=shapes), shapes


def resized(flat: Flat, size: int) -> Flat:
    """Return inputs with another batch size: the rows in turn, as often as needed."""
    return flat.map(lambda _, x: x[torch.arange(size, device=x.device) % len(x)])


def measured(
    path: Path,
    model: nn.Module,
    graph: Graph,
    flat: Flat,
    sizes: tuple[int, ...],
    how: tuple[ActionTree, ActionTree, Sequence[Any]],
) -> Exported:
    """Compare a graph with its model, and measure its equivariance error.

    Args:
        path: where the graph will stand.
        model: the model, in evaluation mode.
        graph: what was written, read again.
        flat: the inputs, each with its action.
        sizes: of the batches to compare at.
        how: input action, output action and inputs, as for `equivariance_error`.
    """
    input_action, output_action, inputs = how
    apart: list[float] = []
    for size in sizes:
        args, named = resized(flat, size).whole()
        with refusal(model, f"run as {path.suffix} at batch size {size}"):
            found = flatten(output_action, graph.forward(*args, **named), "the output")
        wanted = flatten(output_action, model(*args, **named), "the output")
        pairs = zip(found.moving(), wanted.moving(), strict=True)
        apart += [difference(a, b, b) for a, b in pairs]
    errors = [
        float(equivariance_error(each, input_action, output_action, *inputs).max())
        for each in (graph, model)
    ]
    return Exported(path, sizes, float(torch.tensor(apart).max()), *errors)  # nan stays nan


def precision(model: nn.Module, flat: Flat, output_action: ActionTree) -> float:
    """Return what rounding explains in the coarsest output of a model."""
    args, named = flat.whole()
    outputs = flatten(output_action, model(*args, **named), "the output").moving()
    return max(precision_of(model, y, None).rounding for y in outputs)


def check(done: Exported, model: nn.Module, tolerance: float | None, rounding: float) -> None:
    """Refuse a graph that is not as exact as it must be; ``nan`` is not."""
    allowed = rounding if tolerance is None else tolerance
    most = done.model_error + rounding if tolerance is None else tolerance
    for what, found, limit in (
        ("differs from the model by", done.difference, allowed),
        ("has an equivariance error of", done.error, most),
    ):
        if not found <= limit:
            raise ValueError(
                f"{done.path.name} was not written: the graph of {kind(model)} {what} {found:.1e} "
                f"(relative), more than {limit:.1e}: export it in float64, as .pt2, or pass "
                "tolerance= what you accept"
            )
