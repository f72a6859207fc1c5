"""Models of nested inputs and outputs, seen as one of flat inputs and one tensor at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch

from equitune.actions import Action, ActionTree, as_input_actions, check_inputs
from equitune.diagnosis.passes import Model, Passes, View
from equitune.symmetrize import EquiTuned
from equitune.trees import Flat, bind, flatten, pick


class Entry(NamedTuple):
    """One output of a model.

    Attributes:
        name: what a report calls it; empty if there is no other.
        action: how the group moves it.
        passes: the model, of which this output is looked at.
    """

    name: str
    action: Action
    passes: Passes


def arguments(
    input_action: ActionTree, output_action: ActionTree, inputs: Sequence[Any], model: Model
) -> Flat:
    """Return a model's inputs, each with its action, checked.

    Args:
        input_action: as for `EquiTuned`.
        output_action: as for `EquiTuned`.
        inputs: one for each action; if input_action is a dictionary, one dictionary of inputs by
            name, or the input itself where there is one action.
        model: whose inputs they are.

    Raises:
        TypeError: something is not an `Action`, or an input no tensor.
        ValueError: actions of different groups, or inputs that do not fit them.
    """
    actions = as_input_actions(input_action, output_action)
    if isinstance(actions, dict):
        if len(inputs) == 1 and isinstance(inputs[0], Mapping):
            named = inputs[0]
        elif len(inputs) == len(actions) == 1:  # no doubt which is meant
            named = {next(iter(actions)): inputs[0]}
        else:
            raise ValueError(
                f"{len(inputs)} inputs by place, but input_action is a dictionary: expected one "
                f"dictionary of inputs with the same names, {', '.join(actions)}"
            )
        flat = bind(actions, (), (), named)
    else:
        flat = bind(actions, (), inputs, {})
    check_inputs(flat.actions, flat.values, flat.names)
    return flat


def entries(
    flat: Flat,
    output_action: ActionTree,
    model: Model,
    seed: int | None = None,
    generator: torch.Generator | None = None,
) -> Iterator[Entry]:
    """Yield each output of a model that has an action; with the passes that give it alone.

    Args:
        flat: the model's inputs.
        output_action: a tree of actions.
        model: a module or a function.
        seed: as for `Passes`.
        generator: as for `Passes`.
    """
    run: View = partial(_run, flat)
    if isinstance(output_action, Action):
        yield Entry("", output_action, Passes(model, seed, generator, run))
        return
    first = Passes(model, seed, generator, run)
    with first.measuring():
        outputs = flatten(output_action, first(*flat.values), "output")
    for place, (name, action) in enumerate(zip(outputs.names, outputs.actions, strict=True)):
        if action is not None:
            view: View = partial(_one, run, output_action, place)
            yield Entry(name, action, Passes(model, seed, generator, view))


def inside(view: View, model: EquiTuned) -> View:
    """Return the view of the module in an EquiTuned that fits a view of the EquiTuned."""
    return view if model.output is None else partial(_picked, view, model.output)


def _run(flat: Flat, model: Model, inputs: Sequence[Any]) -> Any:
    args, named = flat._replace(values=tuple(inputs)).whole()
    return model(*args, **named)


def _one(run: View, tree: ActionTree, place: int, model: Model, inputs: Sequence[Any]) -> Any:
    return flatten(tree, run(model, inputs), "output").values[place]


def _picked(view: View, output: str | int, model: Model, inputs: Sequence[Any]) -> Any:
    def call(*args: Any, **named: Any) -> Any:
        return pick(model(*args, **named), output, "the output")

    return view(call, inputs)
