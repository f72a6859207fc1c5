"""EquiTuned makes any model exactly equivariant.

The model M is run on every transformed copy gx of its input, each output is moved back by the
inverse element, and the results are combined. With the mean this is the Reynolds operator applied
to M, the equivariant function nearest to M in L2 over the orbit:

    M_G(x) = 1/|G| Σ_g g⁻¹ M(gx)         (Basu et al. 2023, Equi-Tuning, arXiv 2210.06475)
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from torch import Tensor, nn

from equitune.actions import (
    Action,
    ActionTree,
    as_input_actions,
    check_inputs,
    fingerprint,
    named_actions,
    readable,
    stands_for,
    take_earlier,
)
from equitune.canonical import Canonical
from equitune.combine import Blend, Mean, Select, Weighted
from equitune.copies import drawn
from equitune.groups import FiniteGroup
from equitune.passing import Passing
from equitune.saving import pretrained
from equitune.signature import AsModule, signature_of
from equitune.trees import Flat, argument_names, bind, saved_tree, tree_from_config

__all__ = ["EquiTuned", "Mean", "Select", "Weighted"]

SETTINGS = ("chunk_size", "dedupe", "frozen")
CONFIG_KEYS = ("input_actions", "output_action", "combine", *SETTINGS)


class EquiTuned(Passing):
    """A model made equivariant under a finite group: f(gx) = g f(x), to rounding, for every g.

    Args:
        module: the model M, which maps (batch, …) to (batch, …): tensors, nested or not.
        input_action: how the group moves the input; a tuple, one for each, if there are several,
            or a dictionary by the names of the arguments. None stands for an input without a
            batch that does not move: whatever it is, M gets it as it is. So it does what has no
            action and is not a tensor, such as a flag, and an optional tensor that is None.
        output_action: how the group moves the output; ``Trivial(group)`` for invariance. Of several
            outputs a tuple or list, or a dictionary by the names of entries or fields, nested as
            they are; entries it does not name are left out, and of one that is None the first
            copy's is returned. All come from one pass over the orbit.
        combine: `Mean` (the default), `Weighted`, `Select`, `Blend` or `Canonical`.
        chunk_size: how many copies pass through M at once, by default all |G|. Fewer bound the
            memory of activations; in training they are then computed twice, by gradient
            checkpointing, with the same gradients. BatchNorm in training mode takes its batch
            statistics from the copies that pass together.
        dedupe: compute equal rows among the copies once; for integer inputs such as token ids, of
            which the group moves only some.
        frozen: M keeps its weights: they get no gradient, and M stays in evaluation mode. Set on
            `module` itself; the inputs of M still get theirs.
        output: the entry or place of what M returns that is taken, such as "logits"; None for all.
        sample: how many elements are drawn at random for each batch in training, without
            repetition: an estimate of the mean at that cost. In evaluation there are all.

    Raises:
        TypeError: module is not an nn.Module, or an action no `Action`.
        ValueError: the actions belong to different groups, a setting is out of its range, or
            frozen is asked of a module of which a part is frozen already.

    Example:
        >>> import torch
        >>> from equitune.actions import Rotate90, Trivial
        >>> classifier = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 10))
        >>> rotate = Rotate90()
        >>> model = EquiTuned(classifier, rotate, Trivial(rotate.group))
        >>> x = torch.randn(5, 3, 8, 8)
        >>> torch.allclose(model(rotate(1, x)), model(x), atol=1e-6)
        True
    """

    def __init__(
        self,
        module: nn.Module,
        input_action: ActionTree,
        output_action: ActionTree,
        combine: nn.Module | None = None,
        *,
        chunk_size: int | None = None,
        dedupe: bool = False,
        frozen: bool = False,
        output: str | int | None = None,
        sample: int | None = None,
    ) -> None:
        """Check and store the parts; see the class."""
        super().__init__()
        if not isinstance(module, nn.Module):
            raise TypeError(
                f"module is {module!r}: expected an nn.Module; write a function as its forward"
            )
        if combine is not None and not isinstance(combine, nn.Module):
            raise TypeError(
                f"combine is {combine!r}: expected Mean(), Weighted(net), Select(score), Blend(b) "
                "or Canonical(score)"
            )
        if chunk_size is not None and chunk_size < 1:
            raise ValueError(f"chunk_size is {chunk_size}: expected at least 1, or None for all")
        self.module = module
        self.input_actions = as_input_actions(input_action, output_action)
        self.output_action: Any = output_action  # an Action, or a tree of them
        self.combine = Mean() if combine is None else combine
        self.chunk_size = chunk_size
        self.dedupe = dedupe
        self.frozen = frozen
        self.output = output
        self.sample = sample
        self._check_settings()
        self._names = argument_names(pretrained.plain(module), self.input_actions)
        self._signature = signature_of(pretrained.plain(module))
        self._tried = False
        if frozen:
            _check_nothing_is_frozen(module)
            module.requires_grad_(False).eval()
        self.register_load_state_dict_pre_hook(_before_loading)  # type: ignore[no-untyped-call]

    def _check_settings(self) -> None:
        order = self.group.order
        if isinstance(self.combine, Canonical):
            self.combine.check(self.group)
        if self.sample is None:
            return
        if not 1 <= self.sample <= order:
            raise ValueError(f"sample is {self.sample}: expected 1 to {order}, or None for all")
        if isinstance(self.combine, Blend | Canonical):
            raise ValueError(
                f"sample={self.sample} with {type(self.combine).__name__}, which needs a copy that "
                "may not be drawn: expected Mean, Weighted or Select, or sample=None"
            )

    @property
    def group(self) -> FiniteGroup:
        """The group under which the model is equivariant."""
        ends = named_actions(self.output_action, "output_action")
        group: FiniteGroup = next(action.group for _, action in ends if action is not None)
        return group

    @AsModule
    def forward(self, *inputs: Any, **named: Any) -> Any:
        """Return M_G(x); its signature is that of M.

        Args:
            inputs: (batch, …) each, one for each input action; anything where the action is None.
            named: arguments by name, if M names its own.

        Returns:
            (batch, …), in the shape that the module gives for one copy, nested as it does.

        Raises:
            TypeError: an input or an output of the module is no (floating) tensor, or nested
                otherwise than its actions.
            ValueError: number, entries or batch sizes do not fit, a tensor has no action, or an
                output of the module has not the batch in front.
        """
        flat = self._bound(inputs, named)
        if isinstance(self.combine, Canonical):
            return self._canonical(self.combine, flat)
        if self.sample is None or not self.training:
            return self.combine(self._orbit(flat, self.group.elements), self.output_action)
        elements = drawn(self.group.order, self.sample)
        return self.combine(self._orbit(flat, elements), self.output_action, elements)

    def orbit_outputs(self, *inputs: Any, **named: Any) -> Any:
        """Return M(gx) for every g, not yet moved back: (|G|, batch, …); errors as `forward`.

        Those of copies of several shapes, as of images that are not square, are `copies.Parts`.
        """
        return self._orbit(self._bound(inputs, named), self.group.elements)

    def scores(self, *inputs: Any, **named: Any) -> Tensor:
        """Return the scores (|G|, batch) by which `Canonical` chooses, as for its `prior_loss`.

        Raises:
            TypeError: the model is combined otherwise.
            ValueError: as `forward`.
        """
        if not isinstance(self.combine, Canonical):
            raise TypeError(f"combine is {type(self.combine).__name__}: only Canonical has scores")
        copies = self._copies(self.group.elements, self._bound(inputs, named))
        return self.combine.scores(copies, self.group.order)

    def _bound(self, inputs: Sequence[Any], named: dict[str, Any]) -> Flat:
        """Return the arguments, each with its action, checked."""
        flat = bind(self.input_actions, self._names, inputs, named)
        check_inputs(flat.actions, flat.values, flat.names)
        return flat

    def _canonical(self, combine: Canonical, inputs: Flat) -> Any:
        """Return the combination of the copies that the scores of the inputs choose."""
        order, batch = self.group.order, inputs.moving()[0].shape[0]
        copies = self._copies(self.group.elements, inputs)
        scores = combine.scores(copies, order)
        copies = combine.lent(copies, scores)
        if batch:
            self._check_rows(inputs, self.group.elements)
        rows = None
        if readable(scores):  # else, as while tracing, all of them are computed
            rows = combine.chosen(scores).flatten().nonzero()[:, 0]
        outputs = self._computed(copies, rows, order, batch)

        def placed(_: Action, y: Tensor) -> Tensor:
            if rows is not None:
                y = y.new_zeros(order * batch, *y.shape[1:]).index_copy(0, rows, y)
            return y.reshape(order, batch, *y.shape[1:])

        return combine(outputs.map(placed).whole(), self.output_action, scores)

    def train(self, mode: bool = True) -> Self:
        """Set training mode; a frozen module stays in evaluation mode."""
        super().train(mode)
        if self.frozen:
            self.module.eval()
        return self

    def extra_repr(self) -> str:
        """Name the actions and the settings."""
        inputs = self.input_actions
        pairs = [f"{k}: {a!r}" for k, a in inputs.items()] if isinstance(inputs, dict) else []
        picked = f", output={self.output!r}" if self.output is not None else ""
        order = self.group.order
        drawn = f", sample={self.sample} of {order} elements in training, all in evaluation"
        return (
            f"{', '.join(pairs or map(repr, inputs))} → {self.output_action!r}, "
            f"chunk_size={self.chunk_size}, dedupe={self.dedupe}, frozen={self.frozen}"
            f"{picked}{drawn if self.sample is not None else ''}"
        )

    def _actions(self) -> list[Any]:
        """Return all actions, as a state dict stands for them."""
        inputs = self.input_actions
        return [*([inputs] if isinstance(inputs, dict) else inputs), self.output_action]

    def get_extra_state(self) -> Tensor:
        """Return what stands for the actions in a state dict; see `actions.fingerprint`."""
        return fingerprint(self._actions())

    def set_extra_state(self, state: Tensor) -> None:
        """Refuse the state dict of a model with other actions.

        Raises:
            ValueError: the actions of the state dict are not those of this model.
        """
        if not stands_for(state, self._actions()):
            raise ValueError(
                f"the state dict is that of a model with other actions than {self.extra_repr()}: "
                "build the model with the actions it was saved with, or load the wrapped module's "
                "weights alone, model.module.load_state_dict(…)"
            )

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Write model.safetensors (the weights) and config.json (the actions and settings).

        Both are read again and compared before a file is changed. Keys are those of the plain
        module, compiled or in parallel or not. Code is not saved, such as a score that is a
        function, nor what the module keeps outside its state dict.

        Args:
            folder: made if it does not exist.

        Raises:
            ValueError: an action or a weight could not be loaded again; it is named.
        """
        inputs = self.input_actions
        if isinstance(inputs, dict):
            saved = saved_tree(inputs, "input_actions")
        else:
            saved = [saved_tree(tree, f"input {i}") for i, tree in enumerate(inputs)]
        config = {
            "input_actions": saved,
            "output_action": saved_tree(self.output_action, "output_action"),
            "combine": pretrained.kind_of(self.combine),
            **{key: getattr(self, key) for key in (*SETTINGS, "output", "sample")},
        }
        pretrained.write_folder(Path(folder), config, pretrained.saved_state(self))

    @classmethod
    def from_pretrained(
        cls,
        folder: str | os.PathLike[str],
        module: nn.Module,
        combine: nn.Module | None = None,
    ) -> Self:
        """Read a model that `save_pretrained` wrote.

        Args:
            folder: where config.json and model.safetensors stand.
            module: a model of the saved architecture, compiled or in parallel or not; its weights
                are replaced, its device and dtype are kept.
            combine: `Weighted` or `Select` with nets of the saved architecture, needed for these;
                that a score which is a function is the same one cannot be checked.

        Raises:
            FileNotFoundError: a file is missing.
            ValueError: a file cannot be read, combine is not the saved kind, or weights do not
                fit; how many keys, and the first of them.
        """
        folder = Path(folder)
        config, state = pretrained.read_folder(folder, CONFIG_KEYS)
        pretrained.check_kind(Mean() if combine is None else combine, config["combine"], folder)
        model = cls(
            module,
            tree_from_config(config["input_actions"]),
            tree_from_config(config["output_action"]),
            combine,
            **{key: config[key] for key in SETTINGS},
            output=config.get("output"),  # folders of version 0.1.0 lack it, and the next
            sample=config.get("sample"),
        )
        pretrained.load_state(model, state, folder)
        return model


def _check_nothing_is_frozen(module: nn.Module) -> None:
    """Refuse to freeze what somebody chose to train, such as adapters in a frozen model."""
    trained = [p.requires_grad for p in module.parameters()]
    if any(trained) and not all(trained):
        raise ValueError(
            f"frozen=True would freeze the {sum(trained)} of {len(trained)} parameters of "
            f"{type(module).__name__} that are still trained, such as adapters: leave frozen out "
            "to train these alone, or call module.requires_grad_(False) first to freeze them too"
        )


def _before_loading(model: EquiTuned, state: dict[str, Any], prefix: str, *_: object) -> None:
    inputs = () if isinstance(model.input_actions, dict) else model.input_actions  # as 0.1.0 had
    places = {f"input_actions.{i}": action for i, action in enumerate(inputs)}
    take_earlier(
        state, prefix, {**places, "output_action": model.output_action}, model.get_extra_state()
    )
