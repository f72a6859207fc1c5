"""Where a model stops following the group, or mixes the rows of its batch; measures no error."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from equitune.actions import Action, InputActions, move_inputs
from equitune.actions.check import action_fault, shown
from equitune.diagnosis.differences import TOLERANCES, difference, matrix_between, real_dtype
from equitune.diagnosis.passes import Passes, kind, opaque, plain
from equitune.diagnosis.rows import row_mixing
from equitune.symmetrize import EquiTuned

UNSEEN = (
    "the inside of a scripted, traced or exported module cannot be watched; run the report on the "
    "plain module"
)


class Call(NamedTuple):
    """One call of a submodule.

    Attributes:
        name: as in `named_modules`.
        kind: its class.
        tensors: what it returned.
        rounding: the relative error that its dtypes, and those of earlier calls, explain.
    """

    name: str
    kind: str
    tensors: list[Tensor]
    rounding: float


def cause(
    passes: Passes,
    actions: InputActions,
    output_action: Action,
    inputs: Sequence[Any],
    tolerance: float,
) -> str | None:
    """Return what breaks the equivariance of a model that was found not to have it.

    Args:
        passes: the model, in evaluation mode; compiled parts run eagerly.
        actions: of the inputs.
        output_action: of the output.
        inputs: of the model.
        tolerance: the largest relative error that passed.

    Returns:
        One line, or None for a function, into which nobody can look.
    """
    if turn := _components(passes, actions, output_action, inputs, tolerance):
        return turn
    model = plain(passes.model)
    if not isinstance(model, nn.Module):
        return None
    if opaque(model):
        return f"not looked for, as {UNSEEN}"
    calls = _record(passes, inputs)
    worst = _worst(passes, calls, actions, output_action, inputs)
    broken = [i for i in sorted(worst) if worst[i] > max(tolerance, calls[i].rounding)]
    if broken and (name := calls[broken[0]].name):
        what, off = calls[broken[0]].kind, worst[broken[0]]
        return f"{name} ({what}) is the first submodule that breaks it, by {off:.1e}"
    if isinstance(model, EquiTuned):
        y = passes(*inputs)
        fault = action_fault(output_action, y, batched=False, linear=True)
        if fault:
            return f"output_action cannot be averaged over: {fault.partition(';')[0]}"
        return "the output does not move as output_action says, or combine does not follow it"
    if worst and not broken:
        return "the values are right but in a wrong order: check output_action and reshapes"
    if not any(call.name for call in calls) and any(True for _ in model.children()):
        return f"not found, as {kind(model)} calls none of its submodules by itself"
    return f"no submodule alone: what {kind(model)} does between them"


def mixing(
    passes: Passes, actions: InputActions, inputs: Sequence[Any], order: int, tolerance: float
) -> tuple[float, str]:
    """Return how far a copy's output changes when all copies pass together, and where it begins.

    Args:
        passes: the model, in evaluation mode; compiled parts run eagerly.
        actions: of the inputs; those without one have no batch.
        inputs: of the model; the first two rows of each are taken.
        order: of the group.
        tolerance: the largest change that is rounding.

    Returns:
        The largest change, relative to the largest output, and the first submodule that shows it
        as "name (class)", empty where none does by itself.
    """

    def run(*xs: Any) -> Tensor:
        y: Tensor = passes(*xs)
        return y.int() if y.dtype == torch.bool else y

    batched = [action is not None for action in actions]
    few = [x[:2] if has else x for x, has in zip(inputs, batched, strict=True)]
    parts = [move_inputs(actions, g, few) for g in range(order)]
    once = passes(*parts[0])
    if difference(passes.otherwise(*parts[0]), once, once) > tolerance:
        return 0.0, ""  # it draws random numbers, of which copies together get others
    found = row_mixing(run, parts, batched)
    model = plain(passes.model)
    if found <= tolerance or not isinstance(model, nn.Module) or opaque(model):
        return found, ""
    alone = [_record(passes, part) for part in parts]
    columns = zip(zip(*parts, strict=True), batched, strict=True)
    together = _record(passes, [torch.cat(xs) if has else xs[0] for xs, has in columns])
    for i, (name, what, tensors, _) in enumerate(together):
        if any(i >= len(calls) or calls[i].name != name for calls in alone):
            break
        for j, y in enumerate(tensors):
            ys = [calls[i].tensors[j] for calls in alone if j < len(calls[i].tensors)]
            if name and _mixed(ys, y):
                return found, f"{name} ({what})"
    return found, ""


def _components(
    passes: Passes,
    actions: InputActions,
    output_action: Action,
    inputs: Sequence[Any],
    tolerance: float,
) -> str | None:
    """Say so if the entries along one axis turn among themselves, which output_action leaves out.

    Values that are right up to their order are another fault, and are left to it.
    """
    y = passes(*inputs)
    tolerance = min(tolerance, 1e-2)  # coarser ones would find a matrix by chance
    group = output_action.group
    moved = [passes(*move_inputs(actions, g, inputs)) for g in group.elements]
    goal = [output_action(g, y) for g in group.elements]
    if any(a.shape != b.shape for a, b in zip(moved, goal, strict=True)) or y.is_complex():
        return None
    if all(_reordered(y, z) <= tolerance for z in moved):
        return None
    for axis in range(1, y.ndim):
        found = [matrix_between(a, b, axis, tolerance) for a, b in zip(goal, moved, strict=True)]
        turns = [r for r in found if r is not None]
        ones = [torch.eye(len(r), dtype=r.dtype) for r in turns]
        slack = max(1e-6, 10 * tolerance)
        if len(turns) < len(found) or any(
            difference(r @ r.T, one, one) > slack for r, one in zip(turns, ones, strict=True)
        ):
            continue
        off = [difference(r, one, one) for r, one in zip(turns, ones, strict=True)]
        g = next((g for g in group.generators if off[g] > slack), off.index(max(off)))
        matrix = f", for {group.names[g]} with R = {shown(turns[g])}" if len(ones[g]) <= 4 else ""
        return (
            f"output_action: f(gx) is R g f(x) with a matrix R along axis {axis}{matrix}; the "
            "model follows the group if output_action multiplies by R too, as components of "
            "vectors turn with the pixels"
        )
    return None


def _worst(
    passes: Passes,
    calls: Sequence[Call],
    actions: InputActions,
    output_action: Action,
    inputs: Sequence[Any],
) -> dict[int, float]:
    """Return for each call how far its output for gx is from any image of that for x."""
    fitting = [action for action in (*actions, output_action) if action is not None]
    worst: dict[int, float] = {}
    for g in output_action.group.elements:
        moved_calls = _record(passes, move_inputs(actions, g, inputs))
        for i, (call, moved) in enumerate(zip(calls, moved_calls, strict=False)):
            if call.name != moved.name or len(call.tensors) != len(moved.tensors):
                worst[i] = float("inf")  # another path was taken
                break
            pairs = zip(call.tensors, moved.tensors, strict=True)
            error = max((_unaccounted(x, y, g, fitting) for x, y in pairs), default=0.0)
            worst[i] = max(worst.get(i, 0.0), error)
    return worst


def _unaccounted(x: Tensor, moved: Tensor, g: int, fitting: Sequence[Action]) -> float:
    """Return the smallest difference between f(gx) and any accepted image of f(x)."""
    if x.shape != moved.shape:
        return float("inf")
    errors = [] if x.is_complex() else [_reordered(x, moved)]
    for action in fitting:
        try:
            errors.append(difference(moved, action(g, x), x))
        except (ValueError, TypeError, RuntimeError, IndexError):
            continue  # the action does not take this shape
    return min((error for error in errors if error == error), default=float("inf"))  # no nan


def _reordered(x: Tensor, moved: Tensor) -> float:
    """Return the difference that is left in the best order, which sorting gives."""
    return difference(moved.flatten().sort().values, x.flatten().sort().values, x)


def _mixed(alone: Sequence[Tensor], together: Tensor) -> bool:
    """Say whether a tensor of all copies is along no dimension those of each one in a row."""
    allowed = TOLERANCES.get(real_dtype(together.dtype), 0.0)
    if difference(together, alone[0], together) <= allowed:
        return False  # it has no batch
    if any(y.shape != alone[0].shape for y in alone):
        return True
    rows = (torch.cat(list(alone), axis) for axis in range(together.ndim))
    return not any(difference(together, y, together) <= allowed for y in rows)


def _record(passes: Passes, inputs: Sequence[Any]) -> list[Call]:
    """Run the model; return the calls of its submodules, as they finish."""
    calls: list[Call] = []
    model = plain(passes.model)

    def hook(name: str, what: str) -> Callable[[nn.Module, Any, Any], None]:
        def keep(module: nn.Module, _: Any, output: Any) -> None:
            tensors = [x.detach().clone() for x in _tensors(output)]  # layers may work in place
            dtypes = {real_dtype(x.dtype) for x in (*tensors, *module.parameters())}
            before = calls[-1].rounding if calls else 0.0  # later parts inherit what is rounded
            rounding = max([before, *(TOLERANCES.get(dtype, 0.0) for dtype in dtypes)])
            calls.append(Call(name, what, tensors, rounding))

        return keep

    undo: list[Callable[[], object]] = []
    try:
        for parent in [module for _, module in _watched(model) if not opaque(module)]:
            scripted = {
                key: child
                for key, child in parent._modules.items()
                if isinstance(child, torch.jit.ScriptModule)
            }
            parent._modules.update({key: _StandIn(child) for key, child in scripted.items()})
            undo.append(partial(parent._modules.update, scripted))
        for name, module in _watched(model):
            shown_name = ".".join(part for part in name.split(".") if part != "_orig_mod")
            what = kind(module.scripted if isinstance(module, _StandIn) else module)
            undo.append(module.register_forward_hook(hook(shown_name, what)).remove)
        passes(*inputs)
    finally:
        for step in undo:
            step()
    return calls


def _watched(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """Return the modules whose calls can be seen; the inside of an EquiTuned need not follow."""
    closed: list[str] = []
    found = []
    for name, module in model.named_modules():
        if any(name.startswith(prefix) for prefix in closed):
            continue
        found.append((name, module))
        if isinstance(module, EquiTuned | _StandIn) or opaque(module):
            closed.append(f"{name}." if name else "")
    return found


class _StandIn(nn.Module):
    """Calls a scripted module in its place, so that hooks see its output."""

    def __init__(self, scripted: nn.Module) -> None:
        super().__init__()
        self.scripted = scripted

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.scripted(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name == "scripted":
            return super().__getattr__(name)
        return getattr(self.scripted, name)


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
