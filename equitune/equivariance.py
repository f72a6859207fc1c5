"""How far a model is from equivariance, and a report of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from equitune.actions import Action, ActionTree, InputActions, check_inputs, move_inputs
from equitune.actions.check import Vectors, action_fault
from equitune.actions.inexact import NO_VERDICT, floors
from equitune.diagnosis.cause import cause, mixing
from equitune.diagnosis.differences import TOLERANCES, difference
from equitune.diagnosis.entries import arguments, entries, inside
from equitune.diagnosis.passes import Model, Passes, compiled, eager, kind, plain
from equitune.diagnosis.verdict import (
    allowance,
    measured_noise,
    parameter_dtypes,
    precision_of,
    table,
    verdict,
)
from equitune.symmetrize import EquiTuned
from equitune.trees import shown


def equivariance_error(
    model: Model,
    input_action: ActionTree,
    output_action: ActionTree,
    *inputs: Any,
    seed: int | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Return for each element how far f(gx) is from g f(x), relative to the largest output.

    error(g) = max |f(gx) - g f(x)| / max |f(x)|, the maxima over the batch and all entries. Equal
    entries, infinite ones too, differ by 0; where f(x) is 0 throughout, any difference is infinite.
    The model runs in evaluation mode without gradients, the difference is taken in float64.

    Args:
        model: f, a module or a function.
        input_action: how the group moves the input; a tuple, one for each, if there are several,
            or a dictionary by the names of arguments.
        output_action: how the group moves the output (batch, …); of several a tree, as for
            `EquiTuned`. The error is then the largest of all, each relative to its own output.
        inputs: (batch, …) each; one dictionary by name if input_action is one.
        seed: for a model that draws random numbers: every pass starts from it, in the generators
            of torch, NumPy and Python, which are put back afterwards.
        generator: one of the model's own: every pass starts from its state, or from seed.

    Returns:
        The errors, (|G|,) in float64; ``nan`` where the model gave one.

    Raises:
        TypeError: an action is not an `Action`, an input or the output no tensor.
        ValueError: actions of different groups, or inputs that do not fit them.
    """
    flat = arguments(input_action, output_action, inputs, model)
    errors = []
    for entry in entries(flat, output_action, model, seed, generator):
        with entry.passes.measuring():
            output = _first(entry.passes, flat.values)
            found = _errors(entry.passes, flat.actions, entry.action, flat.values, output)
            errors.append(found)
    return torch.stack(errors).amax(dim=0)


def equivariance_report(
    model: Model,
    input_action: ActionTree,
    output_action: ActionTree,
    *inputs: Any,
    tolerance: float | None = None,
    seed: int | None = None,
    generator: torch.Generator | None = None,
    vectors: Vectors | None = None,
) -> str:
    """Return a text: error per element, what precision allows, a verdict and the cause.

    The laws of the actions are checked first, as by `check_action`; where one is broken, nothing
    is said of the model. A model whose output for one input changes from run to run is
    distinguished from one that does not follow the group; with seed or generator every pass has the
    same noise. All copies of the input together are compared with each copy alone: in an
    `EquiTuned` that passes them together they must agree; for another model a difference is only
    mentioned.

    When a module fails, its submodules are gone through in the order in which they finish. An
    action by permutation can only reorder values, so those of a submodule that still follows the
    group are the same for gx as for x up to their order, compared after sorting; other actions are
    recognised where the input or output action itself fits. The first submodule for which
    neither holds is named. This never blames a layer that still follows; a layer which merely puts
    values into a wrong order is not found. The inside of an `EquiTuned` is left out, as it need
    not follow the group; that of a scripted or exported module cannot be watched; a compiled one
    is watched uncompiled.

    Args:
        model: a module or a function, as for `equivariance_error`.
        input_action: as for `equivariance_error`.
        output_action: as for `equivariance_error`.
        inputs: as for `equivariance_error`.
        tolerance: the largest relative error to pass; by default what rounding explains in the
            dtype of the output or, if that is coarser, of the model's parameters; 0 for integers.
        seed: as for `equivariance_error`.
        generator: as for `equivariance_error`.
        vectors: an axis of the output that holds components of vectors, which output_action must
            turn with the pixels; see `check_action`.

    Raises:
        TypeError: as `equivariance_error`; or an output of a dtype too coarse to judge.
        ValueError: as `equivariance_error`.
    """
    return _examined(
        model, input_action, output_action, inputs, tolerance, seed, generator, vectors
    ).text


def assert_equivariant(
    model: Model,
    input_action: ActionTree,
    output_action: ActionTree,
    *inputs: Any,
    tolerance: float | None = None,
    seed: int | None = None,
    generator: torch.Generator | None = None,
    vectors: Vectors | None = None,
) -> None:
    """Raise if f(gx) differs from g f(x) by more than rounding; arguments as for the report.

    Raises:
        AssertionError: the model is not equivariant, or cannot be judged, as an action is none or
            noise hides it; the message is `equivariance_report`.
        TypeError: as `equivariance_report`.
        ValueError: as `equivariance_report`.
    """
    report = _examined(
        model, input_action, output_action, inputs, tolerance, seed, generator, vectors
    )
    if not report.passed:
        raise AssertionError(report.text)


class _Report(NamedTuple):
    passed: bool
    text: str


def _examined(
    model: Model,
    input_action: ActionTree,
    output_action: ActionTree,
    inputs: Sequence[Any],
    tolerance: float | None,
    seed: int | None,
    generator: torch.Generator | None,
    vectors: Vectors | None,
) -> _Report:
    """Return whether the model passes, and the report: of several outputs one after the other."""
    flat = arguments(input_action, output_action, inputs, model)
    reports = []
    for name, action, passes in entries(flat, output_action, model, seed, generator):
        report = _examine(passes, flat.actions, action, flat.values, tolerance, vectors)
        reports.append(report._replace(text=f"{name}: {report.text}" if name else report.text))
    return _Report(all(r.passed for r in reports), "\n".join(r.text for r in reports))


def _examine(
    passes: Passes,
    actions: InputActions,
    output_action: Action,
    inputs: Sequence[Any],
    tolerance: float | None,
    vectors: Vectors | None,
) -> _Report:
    """Return whether one output of the model passes, and the report."""
    batch = check_inputs(actions, inputs)
    group, model = output_action.group, passes.model
    name = kind(model) + (" (compiled)" if compiled(model) else "")

    def unjudged(reason: str) -> _Report:
        return _Report(False, f"{name} cannot be judged under {group!r}\n  cause: {reason}")

    with passes.measuring():
        for place, (action, x) in enumerate(zip(actions, inputs, strict=True)):
            fault = action and action_fault(action, x, batched=True, linear=False)
            if fault:
                which = "input_action" + (f"[{place}]" if len(actions) > 1 else "")
                return unjudged(f"{which} ({type(action).__name__}) is not an action: {fault}")
        if mixed := _mixed_copies(passes, actions, inputs, group.order):
            return unjudged(mixed)
        output = _first(passes, inputs)
        precision = precision_of(model, output, tolerance)
        tolerance = precision.rounding if tolerance is None else tolerance
        has_batch = output.shape[:1] == (batch,)
        if fault := action_fault(
            output_action, output, batched=has_batch, linear=False, vectors=vectors
        ):
            return unjudged(
                f"output_action ({type(output_action).__name__}) is not an action: {fault}"
            )
        errors = _errors(passes, actions, output_action, inputs, output)
        passed = bool((errors <= tolerance).all())  # nan fails
        noise = measured_noise(passes, inputs, output, precision.rounding, group.order)
        hidden = not passed and noise.hides(float(errors.max()))
        state = "is" if passed else "may or may not be" if hidden else "is NOT"
        lines = [
            f"{name} {state} equivariant under {group!r}",
            *table(group.names, errors, tolerance),
            allowance(precision, tolerance),
            *noise.line(passes),
            *_rows(passes, actions, inputs, group.order, precision.rounding),
            *(nearly := floors([*actions, output_action], [*inputs, output])),
        ]
        said = verdict(errors, precision, tolerance, noise, passes)
        lines.append(f"  verdict: {NO_VERDICT if nearly and not passed else said}")
        if not passed and not hidden and not nearly:
            with eager(model):
                found = _found(passes, actions, output_action, inputs, tolerance)
            lines += [f"  cause: {found}"] if found else []
    return _Report(passed, "\n".join(lines))


def _found(
    passes: Passes,
    actions: InputActions,
    output_action: Action,
    inputs: Sequence[Any],
    tolerance: float,
) -> str | None:
    """Return the cause, which is torch.compile if the model passes without it, as it runs here."""
    if compiled(passes.model):
        output = _first(passes, inputs)
        errors = _errors(passes, actions, output_action, inputs, output)
        if bool((errors <= tolerance).all()):
            return "torch.compile: without it the model follows the group"
    return cause(passes, actions, output_action, inputs, tolerance)


def _first(passes: Passes, inputs: Sequence[Any]) -> Tensor:
    """Return f(x), after checking that it is a tensor."""
    output = passes(*inputs)
    if not isinstance(output, Tensor):
        raise TypeError(
            f"the model returned {shown(output)}: expected one tensor; pass output_action= "
            'a tree of actions as its outputs are nested, as {"logits": Trivial(group)}'
        )
    return output


def _errors(
    passes: Passes,
    actions: InputActions,
    output_action: Action,
    inputs: Sequence[Any],
    output: Tensor,
) -> Tensor:
    """Return the errors (|G|,) against the output f(x)."""
    errors = []
    for g in output_action.group.elements:
        moved = passes(*move_inputs(actions, g, inputs))
        errors.append(difference(moved, output_action(g, output), output))
    return torch.tensor(errors, dtype=torch.float64)


def _mixed_copies(
    passes: Passes, actions: InputActions, inputs: Sequence[Any], order: int
) -> str | None:
    """Say so if an EquiTuned passes copies together to a module that mixes their rows."""
    model = plain(passes.model)
    if not isinstance(model, EquiTuned) or (model.chunk_size == 1 and not model.dedupe):
        return None
    inner = Passes(model.module, passes.seed, passes.generator, inside(passes.view, model))
    allowed = max((TOLERANCES.get(d, 0.0) for d in parameter_dtypes(model)), default=0.0)
    allowed = max(allowed, TOLERANCES[torch.float32])
    try:
        with eager(model):
            found, where = mixing(inner, actions, inputs, order, allowed)
    except Exception:  # the call itself will tell
        return None
    if found <= allowed:
        return None
    return (
        f"module ({kind(model.module)}) mixes the rows of its batch{where and f' in {where}'}: its "
        f"output for one copy changes by {found:.1e} (relative) when the other copies pass with "
        "it, so the output is not the combination of M(gx) over g; pass chunk_size=1 and "
        "dedupe=False to EquiTuned"
    )


def _rows(
    passes: Passes, actions: InputActions, inputs: Sequence[Any], order: int, rounding: float
) -> list[str]:
    """Return a remark if a model other than EquiTuned mixes the rows of its batch."""
    if isinstance(plain(passes.model), EquiTuned):
        return []
    try:
        with eager(passes.model):
            found, where = mixing(passes, actions, inputs, order, rounding)
    except Exception as error:  # whatever stops a model whose number of rows is fixed
        reason = str(error).partition("\n")[0]
        return [f"  rows: whether they are mixed is not known, as other numbers fail: {reason}"]
    if found <= rounding:
        return []
    return [
        f"  rows: mixes the rows of its batch{where and f', first in {where}'}: a row's output "
        f"changes by {found:.1e} (relative) when other copies pass with it; EquiTuned takes such "
        "a model with chunk_size=1 and dedupe=False"
    ]
