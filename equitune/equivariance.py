"""How far a model is from equivariance, and where it begins; knows no training and no data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from equitune.actions import (
    Action,
    InputActions,
    as_input_actions,
    check_inputs,
    move_inputs,
)
from equitune.symmetrize import EquiTuned

# largest relative error that rounding explains in a model of usual depth; integers must agree
TOLERANCES = {
    torch.float64: 1e-12,
    torch.float32: 1e-5,
    torch.float16: 1e-2,
    torch.bfloat16: 8e-2,
}

Model = Callable[..., Tensor]


def equivariance_error(
    model: Model,
    input_action: Action | Sequence[Action | None],
    output_action: Action,
    *inputs: Any,
) -> Tensor:
    """Return for each element how far f(gx) is from g f(x), relative to the largest output.

    error(g) = max |f(gx) - g f(x)| / max |f(x)|, the maxima over the batch and all entries. Equal
    entries, infinite ones too, differ by 0; where f(x) is 0 throughout, any difference is infinite.
    The model runs in evaluation mode without gradients, the difference is taken in float64.

    Args:
        model: f, a module or a function that gives one tensor (batch, …).
        input_action: how the group moves the input; a tuple, one for each, if there are several.
        output_action: how the group moves the output.
        inputs: (batch, …) each.

    Returns:
        The errors, (|G|,) in float64; ``nan`` where the model gave one.

    Raises:
        TypeError: an action is no `Action`, an input or the output no tensor.
        ValueError: actions of different groups, or inputs that do not fit them.
    """
    actions = as_input_actions(input_action, output_action)
    check_inputs(actions, inputs)
    with _evaluating(model):
        return _errors(model, actions, output_action, inputs)[0]


def equivariance_report(
    model: Model,
    input_action: Action | Sequence[Action | None],
    output_action: Action,
    *inputs: Any,
    tolerance: float | None = None,
) -> str:
    """Return a text: error per element, what precision allows, a verdict and the cause.

    When a module fails, its submodules are gone through in the order in which they finish. An
    action by permutation can only reorder values, so those of a submodule that still follows the
    group are the same for gx as for x up to their order, compared after sorting; other actions are
    recognised where the input or output action itself fits. The first submodule for which
    neither holds is named. This never blames a layer that still follows; a layer which merely puts
    values into a wrong order is not found. The inside of an `EquiTuned` is left out, as it need
    not follow the group.

    Args:
        model: a module or a function, as for `equivariance_error`.
        input_action: as for `equivariance_error`.
        output_action: as for `equivariance_error`.
        inputs: as for `equivariance_error`.
        tolerance: the largest relative error to pass; by default `TOLERANCES` of the output's
            dtype, and 0 for integers.

    Raises:
        TypeError: as `equivariance_error`.
        ValueError: as `equivariance_error`.
    """
    return _examine(model, input_action, output_action, inputs, tolerance)[1]


def assert_equivariant(
    model: Model,
    input_action: Action | Sequence[Action | None],
    output_action: Action,
    *inputs: Any,
    tolerance: float | None = None,
) -> None:
    """Raise if f(gx) differs from g f(x) by more than rounding; arguments as for the report.

    Raises:
        AssertionError: the model is not equivariant; the message is `equivariance_report`.
        TypeError: as `equivariance_error`.
        ValueError: as `equivariance_error`.
    """
    passed, report = _examine(model, input_action, output_action, inputs, tolerance)
    if not passed:
        raise AssertionError(report)


def _examine(
    model: Model,
    input_action: Action | Sequence[Action | None],
    output_action: Action,
    inputs: Sequence[Any],
    tolerance: float | None,
) -> tuple[bool, str]:
    """Return whether the model passes, and the report."""
    actions = as_input_actions(input_action, output_action)
    check_inputs(actions, inputs)
    group = output_action.group
    with _evaluating(model):
        errors, dtype = _errors(model, actions, output_action, inputs)
        rounding = TOLERANCES.get(_real(dtype), 0.0)
        tolerance = rounding if tolerance is None else tolerance
        passed = bool((errors <= tolerance).all())  # nan fails
        name = type(model).__name__ if isinstance(model, nn.Module) else "function"
        width = max(len("element"), *map(len, group.names))
        lines = [
            f"{name} is {'equivariant' if passed else 'NOT equivariant'} under {group!r}",
            f"  {'element':<{width}}  max |f(gx) - g f(x)| / max |f(x)|",
        ]
        for element, error in zip(group.names, errors.tolist(), strict=True):
            mark = "" if error <= tolerance else "  above tolerance"
            lines.append(f"  {element:<{width}}  {error:.1e}{mark}")
        lines += [
            _allowance(dtype, tolerance),
            f"  verdict: {_verdict(errors, dtype, rounding, tolerance)}",
        ]
        if not passed and isinstance(model, nn.Module):
            allowed = tolerance or TOLERANCES[torch.float32]  # integers come from float layers
            lines.append(f"  cause: {_cause(model, actions, output_action, inputs, allowed)}")
    return passed, "\n".join(lines)


def _errors(
    model: Model, actions: InputActions, output_action: Action, inputs: Sequence[Any]
) -> tuple[Tensor, torch.dtype]:
    """Return the errors (|G|,) and the dtype of the output."""
    output = model(*inputs)
    if not isinstance(output, Tensor):
        raise TypeError(
            f"the model returned {type(output).__name__}: expected one tensor; pass a function "
            "that picks it out, as lambda x: model(x).logits"
        )
    errors = []
    for g in output_action.group.elements:
        moved = model(*move_inputs(actions, g, inputs))
        errors.append(_difference(moved, output_action(g, output), output))
    return torch.tensor(errors, dtype=torch.float64), output.dtype


def _difference(a: Tensor, b: Tensor, reference: Tensor) -> float:
    """Return max |a - b| / max |reference| in float64; equal entries differ by 0, 0 / 0 is 0."""
    if a.shape != b.shape:
        return float("inf")
    if a.numel() == 0:
        return 0.0
    # to the CPU first: some devices have no float64
    a, b, reference = (_double(x) for x in (a, b, reference))
    largest = float(torch.where(a == b, 0.0, (a - b).abs()).max())
    sizes = reference.abs()
    scale = float(sizes[sizes.isfinite()].max()) if sizes.isfinite().any() else 0.0
    if largest == 0.0 or scale > 0.0:
        return largest / scale if scale > 0.0 else 0.0
    return largest if largest != largest else float("inf")


def _double(x: Tensor) -> Tensor:
    x = x.detach().cpu()
    return x.to(torch.promote_types(x.dtype, torch.float64))


def _real(dtype: torch.dtype) -> torch.dtype:
    return dtype.to_real() if dtype.is_complex else dtype


def _allowance(dtype: torch.dtype, tolerance: float) -> str:
    name = str(dtype).removeprefix("torch.")
    if not dtype.is_floating_point and not dtype.is_complex:
        return f"  precision: {name} outputs are exact; tolerance {tolerance:.1e}"
    eps = torch.finfo(_real(dtype)).eps
    return (
        f"  precision: one {name} operation rounds by up to {eps / 2:.1e}; "
        f"tolerance {tolerance:.1e} ({tolerance / eps:.0f} eps)"
    )


def _verdict(errors: Tensor, dtype: torch.dtype, rounding: float, tolerance: float) -> str:
    worst = float(errors.max())  # nan if any is
    if worst != worst:
        return "the model gave nan, so nothing can be said; look for its source first"
    if worst == 0.0:
        return "exact"
    if worst <= min(rounding, tolerance):
        return "equal up to rounding"
    if worst <= tolerance:
        return "within the tolerance given"
    if _real(dtype) != torch.float64 and worst <= 100 * rounding:
        return "more than usual rounding; repeat in float64 (model.double()) to decide"
    return "too large for rounding: the model does not follow the group"


def _cause(
    model: nn.Module,
    actions: InputActions,
    output_action: Action,
    inputs: Sequence[Any],
    tolerance: float,
) -> str:
    """Say which submodule is the first that does not follow the group."""
    fitting = [action for action in (*actions, output_action) if action is not None]
    calls = _record(model, inputs)
    worst: dict[int, float] = {}
    for g in output_action.group.elements:
        moved_inputs = move_inputs(actions, g, inputs)
        moved_calls = _record(model, moved_inputs)
        for i, ((name, _, tensors), (moved_name, _, moved)) in enumerate(
            zip(calls, moved_calls, strict=False)
        ):
            if name != moved_name or len(tensors) != len(moved):
                worst[i] = float("inf")  # another path was taken
                break
            pairs = zip(tensors, moved, strict=True)
            error = max((_unaccounted(x, y, g, fitting) for x, y in pairs), default=0.0)
            worst[i] = max(worst.get(i, 0.0), error)
    for i in sorted(worst):
        if worst[i] > tolerance:
            name, kind, _ = calls[i]
            if name == "":
                break
            return f"{name} ({kind}) is the first submodule that breaks it, by {worst[i]:.1e}"
    if isinstance(model, EquiTuned):
        return "the output does not move as output_action says, or combine does not follow it"
    if worst and max(worst.values()) <= tolerance:
        return "the values are right but in a wrong order: check output_action and reshapes"
    return f"no submodule alone: what {type(model).__name__} does between them"


def _unaccounted(x: Tensor, moved: Tensor, g: int, fitting: Sequence[Action]) -> float:
    """Return the smallest difference between f(gx) and any accepted image of f(x)."""
    if x.shape != moved.shape:
        return float("inf")
    # sorting is the reordering that makes the largest difference smallest
    errors = []
    if not x.is_complex():
        errors.append(_difference(moved.flatten().sort().values, x.flatten().sort().values, x))
    for action in fitting:
        try:
            errors.append(_difference(moved, action(g, x), x))
        except (ValueError, TypeError, RuntimeError, IndexError):
            continue  # the action does not take this shape
    return min((error for error in errors if error == error), default=float("inf"))  # no nan


def _record(model: nn.Module, inputs: Sequence[Any]) -> list[tuple[str, str, list[Tensor]]]:
    """Run the model; return name, class and output tensors of each call, as they finish."""
    calls: list[tuple[str, str, list[Tensor]]] = []

    def hook(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def keep(module: nn.Module, _: Any, output: Any) -> None:
            tensors = [x.detach().clone() for x in _tensors(output)]  # layers may work in place
            calls.append((name, type(module).__name__, tensors))

        return keep

    inside = [
        f"{name}." if name else ""
        for name, module in model.named_modules()
        if isinstance(module, EquiTuned)
    ]
    handles = [
        module.register_forward_hook(hook(name))
        for name, module in model.named_modules()
        if name == "" or not any(name.startswith(prefix) for prefix in inside)
    ]
    try:
        model(*inputs)
    finally:
        for handle in handles:
            handle.remove()
    return calls


def _tensors(output: Any) -> Iterator[Tensor]:
    """Yield the tensors in nested tuples, lists and mappings."""
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, Mapping):
        for value in output.values():
            yield from _tensors(value)
    elif isinstance(output, list | tuple):
        for value in output:
            yield from _tensors(value)


@contextmanager
def _evaluating(model: Model) -> Iterator[None]:
    """Put a module into evaluation mode without gradients, and each part back afterwards."""
    modes = [(m, m.training) for m in model.modules()] if isinstance(model, nn.Module) else []
    try:
        for m, _ in modes:
            m.training = False
        with torch.no_grad():
            yield
    finally:
        for m, training in modes:
            m.training = training
