"""The actions on what a model takes and returns, and the check of its inputs against them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from torch import Tensor

from equitune.actions.base import Action
from equitune.groups import FiniteGroup

ActionTree: TypeAlias = Action | Sequence["ActionTree | None"] | Mapping[str, "ActionTree | None"]
"""An action, or actions in the structure of the values they move: lists, tuples, dictionaries.

None stands for a value that does not move and has no batch.
"""

InputActions: TypeAlias = tuple[Action | None, ...]
"""One action for each input of a model; None for an input that does not move and has no batch."""


def named_actions(tree: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Yield what stands at the ends of a tree of actions, each with its place in words."""
    if isinstance(tree, Mapping):
        for key, part in tree.items():
            yield from named_actions(part, f"{name}[{key!r}]")
    elif isinstance(tree, list | tuple):
        for place, part in enumerate(tree):
            yield from named_actions(part, f"{name}[{place}]")
    else:
        yield name, tree


def as_input_actions(
    input_action: ActionTree, output_action: ActionTree
) -> tuple[Any, ...] | dict[str, Any]:
    """Return one tree of actions for each input, after checking that all belong to one group.

    None stands for an input that does not move and has no batch.

    Args:
        input_action: an action, a sequence with one tree for each input, or a dictionary of trees
            by the name of the argument.
        output_action: a tree of actions.

    Returns:
        A tuple, or a dictionary if input_action is one.

    Raises:
        TypeError: something is not an `Action`.
        ValueError: no input or no output has an action, or two belong to different groups.
    """
    actions: tuple[Any, ...] | dict[str, Any]
    if isinstance(input_action, Mapping):
        actions = dict(input_action)
    elif isinstance(input_action, Sequence):
        actions = tuple(input_action)
    else:
        actions = (input_action,)
    whole = input_action if isinstance(input_action, Action) else actions
    inputs = [pair for pair in named_actions(whole, "input_action") if pair[1] is not None]
    if not inputs:
        raise ValueError(
            f"input_action is {'empty' if not actions else 'None throughout'}: pass one action for "
            "each input of the model, Trivial(group) for those that have a batch and do not move"
        )
    outputs = list(named_actions(output_action, "output_action"))
    if isinstance(output_action, Mapping | list | tuple):
        moving = [pair for pair in outputs if pair[1] is not None]
        if not moving:
            raise ValueError(
                f"output_action is {'None throughout' if outputs else 'empty'}: pass one action "
                "for each output of the model, Trivial(group) for those that are to be invariant"
            )
        outputs = moving
    first = inputs[0][1]
    for name, action in inputs + outputs:
        if not isinstance(action, Action):
            raise TypeError(
                f"{name} is {_kind(action)}: expected an Action, as actions.Rotate90() or, "
                "for a tensor that does not move, actions.Trivial(group)"
            )
        if action.group != first.group:
            raise ValueError(
                f"{name} is an action of {action.group!r}, the first input_action of "
                f"{first.group!r}: build both from one group, as Trivial(input_action.group)"
            )
    return actions


def _kind(value: Any) -> str:
    """Return in words what was passed in place of an action."""
    if isinstance(value, type):
        return f"the class {value.__name__}, which is to be called, as {value.__name__}()"
    if isinstance(value, FiniteGroup):
        return f"the group {value!r}, which does not say how tensors move"
    return repr(value)


def check_inputs(
    actions: Sequence[Action | None], inputs: Sequence[Any], names: Sequence[str] | None = None
) -> int:
    """Check that there is one input for each action, and one batch size for all that have a batch.

    Args:
        actions: one for each input; None for those without a batch.
        inputs: the inputs.
        names: what messages call them; by default "input 0" and so on.

    Returns:
        The batch size.

    Raises:
        TypeError: an input that has an action is not a tensor.
        ValueError: their number is not that of the actions, or their batch sizes differ.
    """
    if len(inputs) != len(actions):
        raise ValueError(
            f"{len(inputs)} inputs for {len(actions)} input actions: pass input_action= a tuple "
            "with one action for each input, Trivial(group) for those that do not move"
        )
    names = [f"input {place}" for place in range(len(inputs))] if names is None else names
    first, batch = "", 0
    for name, action, x in zip(names, actions, inputs, strict=True):
        if action is None:
            continue
        if not isinstance(x, Tensor):
            raise TypeError(
                f"{name} is {type(x).__name__}: expected a tensor (batch, …); pass None as "
                "its action if it does not move and has no batch"
            )
        if x.ndim == 0:
            raise ValueError(f"{name} has no dimensions: expected a batch, (batch, …)")
        if not first:
            first, batch = name, x.shape[0]
        if x.shape[0] != batch:
            raise ValueError(
                f"{name} has batch size {x.shape[0]}, {first} has {batch}: "
                "dimension 0 of every input must be the batch; repeat or expand the shorter one, "
                "or pass None as the action of an input that does not move and has no batch"
            )
    if not first:
        raise ValueError(
            "no input that has an action was passed: expected at least one tensor that moves"
        )
    return batch


def move_inputs(actions: Sequence[Action | None], g: int, inputs: Sequence[Any]) -> list[Any]:
    """Return the inputs moved by g; those without an action as they are."""
    pairs = zip(actions, inputs, strict=True)
    return [x if action is None else action(g, x) for action, x in pairs]
