"""EquiTuned makes any model exactly equivariant; it must not know what the model computes.

The model M is run on every transformed copy gx of its input, each output is moved back by the
inverse element, and the results are combined. With the mean this is the Reynolds operator applied
to M, the equivariant function nearest to M in L2 over the orbit:

    M_G(x) = 1/|G| Σ_g g⁻¹ M(gx)         (Basu et al. 2023, Equi-Tuning, arXiv 2210.06475)
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from equitune import pretrained
from equitune.actions import (
    Action,
    InputActions,
    as_input_actions,
    check_inputs,
    fingerprint,
    from_config,
    readable,
    saved_config,
    stands_for,
    take_earlier,
)
from equitune.combine import Mean, Select, Weighted
from equitune.copies import checkpointed, unique_rows
from equitune.groups import FiniteGroup
from equitune.rows import first_rows, mixes_rows

__all__ = ["EquiTuned", "Mean", "Select", "Weighted"]

SETTINGS = ("chunk_size", "dedupe", "frozen")
CONFIG_KEYS = ("input_actions", "output_action", "combine", *SETTINGS)


class EquiTuned(nn.Module):
    """A model made equivariant under a finite group: f(gx) = g f(x), to rounding, for every g.

    Args:
        module: the model M, which maps (batch, …) to one tensor (batch, …).
        input_action: how the group moves the input; a tuple, one for each, if there are several.
            In a tuple, None stands for an input without a batch that does not move: whatever it
            is, M gets it as it is.
        output_action: how the group moves the output; ``Trivial(group)`` for invariance.
        combine: `Mean` (the default), `Weighted` or `Select`.
        chunk_size: how many copies pass through M at once, by default all |G|. Fewer bound the
            memory of activations; in training they are then computed twice, by gradient
            checkpointing, with the same gradients. BatchNorm in training mode takes its batch
            statistics from the copies that pass together.
        dedupe: compute equal rows among the copies once; for integer inputs such as token ids, of
            which the group moves only some.
        frozen: M keeps its weights: they get no gradient, and M stays in evaluation mode. Set on
            `module` itself; the inputs of M still get theirs.

    Raises:
        TypeError: module is no nn.Module, or an action no `Action`.
        ValueError: the actions belong to different groups, chunk_size is below 1, or frozen is
            asked of a module of which a part is frozen already.

    Example:
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
        input_action: Action | Sequence[Action | None],
        output_action: Action,
        combine: nn.Module | None = None,
        *,
        chunk_size: int | None = None,
        dedupe: bool = False,
        frozen: bool = False,
    ) -> None:
        """Check and store the parts; see the class."""
        super().__init__()
        if not isinstance(module, nn.Module):
            raise TypeError(
                f"module is {module!r}: expected an nn.Module; write a function as its forward"
            )
        if combine is not None and not isinstance(combine, nn.Module):
            raise TypeError(
                f"combine is {combine!r}: expected Mean(), Weighted(net) or Select(score)"
            )
        if chunk_size is not None and chunk_size < 1:
            raise ValueError(f"chunk_size is {chunk_size}: expected at least 1, or None for all")
        self.module = module
        self.input_actions: InputActions = as_input_actions(input_action, output_action)
        self.output_action = output_action
        self.combine = Mean() if combine is None else combine
        self.chunk_size = chunk_size
        self.dedupe = dedupe
        self.frozen = frozen
        self._tried = False  # whether the module was found to keep its rows apart
        if frozen:
            _check_nothing_is_frozen(module)
            module.requires_grad_(False).eval()
        self.register_load_state_dict_pre_hook(_before_loading)  # type: ignore[no-untyped-call]

    @property
    def group(self) -> FiniteGroup:
        """The group under which the model is equivariant."""
        return self.output_action.group

    def forward(self, *inputs: Any) -> Tensor:
        """Return M_G(x).

        Args:
            inputs: (batch, …) each, one for each input action; anything where the action is None.

        Returns:
            (batch, …), in the shape that the module gives for one copy.

        Raises:
            TypeError: an input or the output of the module is no (floating) tensor.
            ValueError: number or batch sizes of the inputs do not fit, or the module's output has
                not the batch in front.
        """
        outputs = self.orbit_outputs(*inputs)  # M(gx): (|G|, batch, …)
        combined: Tensor = self.combine(outputs, self.output_action)
        return combined  # (batch, …)

    def orbit_outputs(self, *inputs: Any) -> Tensor:
        """Return M(gx) for every g, not yet moved back: (|G|, batch, …); errors as `forward`."""
        batch = check_inputs(self.input_actions, inputs)
        order = self.group.order
        at_once = order if self.chunk_size is None else min(self.chunk_size, order)
        if not self._tried and (at_once > 1 or self.dedupe) and batch:
            self._check_rows(inputs)
        if self.dedupe and all(map(readable, self._moving(inputs))):
            copies = self._copies(self.group.elements, inputs)
            first, origin = unique_rows(self._moving(copies))
            parts = [
                self._rows(rows, copies) for rows in torch.split(first, max(at_once * batch, 1))
            ]
            outputs = self._run(*((self._call, part) for part in parts))[origin]
        else:
            chunks = [range(g, min(g + at_once, order)) for g in range(0, order, at_once)]
            outputs = self._run(*((partial(self._chunk, chunk), inputs) for chunk in chunks))
        return outputs.reshape(order, batch, *outputs.shape[1:])

    def _check_rows(self, inputs: Sequence[Any]) -> None:
        """Refuse a module that mixes the rows of its batch, once, before the first output."""
        if torch.compiler.is_compiling() or not all(map(readable, self._moving(inputs))):
            return
        batched = [action is not None for action in self.input_actions]
        few = first_rows(inputs, batched)
        parts = [self._copies([g], few) for g in (0, self.group.order - 1)]
        if found := mixes_rows(self.module, parts, batched):
            raise ValueError(
                f"{type(self.module).__name__} mixes the rows of its batch: its output for one "
                f"copy changes by {found:.1e} (relative) when another copy passes with it; pass "
                "chunk_size=1 and dedupe=False, so that each copy passes by itself, and None as "
                "the action of an input that does not move and has no batch"
            )
        self._tried = True  # only now: a module that was refused is refused again

    def _moving(self, inputs: Sequence[Any]) -> list[Tensor]:
        """Return the inputs that have an action, and so a batch."""
        return [x for x, action in zip(inputs, self.input_actions, strict=True) if action]

    def _rows(self, rows: Tensor, inputs: Sequence[Any]) -> list[Any]:
        """Return some rows of the inputs that have a batch, and the others as they are."""
        return [x[rows] if a else x for x, a in zip(inputs, self.input_actions, strict=True)]

    def _copies(self, elements: Sequence[int], inputs: Sequence[Any]) -> list[Any]:
        """Return the inputs moved by some elements, along the batch: (elements·batch, …) each."""
        pairs = zip(self.input_actions, inputs, strict=True)
        return [x if action is None else _moved(action, elements, x) for action, x in pairs]

    def _chunk(self, elements: Sequence[int], *inputs: Any) -> Tensor:
        """Return M(gx) for some elements, (elements·batch, …).

        The copies are made here, so that of several chunks only one's are in memory: they may take
        more of it than what M keeps of them.
        """
        return self._call(*self._copies(elements, inputs))

    def _run(self, *calls: tuple[Callable[..., Tensor], Sequence[Any]]) -> Tensor:
        """Return the outputs of calls with their inputs, one after the other, in one tensor.

        Of several calls, in training, what the backward pass needs is computed again there.
        """
        if len(calls) == 1:
            return calls[0][0](*calls[0][1])
        inputs = [x for _, rows in calls for x in rows if isinstance(x, Tensor)]
        constant = self.frozen and not any(x.requires_grad for x in inputs)
        if torch.is_grad_enabled() and not constant:
            return torch.cat([checkpointed(self.module, call, *rows) for call, rows in calls])
        return torch.cat([call(*rows) for call, rows in calls])

    def _call(self, *inputs: Any) -> Tensor:
        output = self.module(*inputs)
        rows = self._moving(inputs)[0].shape[0]
        if not isinstance(output, Tensor):
            raise TypeError(
                f"{type(self.module).__name__} returned {type(output).__name__}: expected one "
                "tensor; wrap the module in one that returns, say, its .logits"
            )
        if output.ndim == 0 or output.shape[0] != rows:
            raise ValueError(
                f"{type(self.module).__name__} returned shape {tuple(output.shape)} for "
                f"{rows} examples: expected the batch in front, (batch, …)"
            )
        if not (output.is_floating_point() or output.is_complex()):
            raise TypeError(
                f"{type(self.module).__name__} returned {output.dtype}: expected floating values, "
                "as logits; take argmax after the combination"
            )
        return output

    def train(self, mode: bool = True) -> Self:
        """Set training mode; a frozen module stays in evaluation mode."""
        super().train(mode)
        if self.frozen:
            self.module.eval()
        return self

    def extra_repr(self) -> str:
        """Name the actions and the settings."""
        inputs = ", ".join(map(repr, self.input_actions))
        return (
            f"{inputs} → {self.output_action!r}, chunk_size={self.chunk_size}, "
            f"dedupe={self.dedupe}, frozen={self.frozen}"
        )

    def get_extra_state(self) -> Tensor:
        """Return what stands for the actions in a state dict; see `actions.fingerprint`."""
        return fingerprint([*self.input_actions, self.output_action])

    def set_extra_state(self, state: Tensor) -> None:
        """Refuse the state dict of a model with other actions.

        Raises:
            ValueError: the actions of the state dict are not those of this model.
        """
        if not stands_for(state, [*self.input_actions, self.output_action]):
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
        pairs = enumerate(self.input_actions)
        config = {
            "input_actions": [a if a is None else saved_config(a, f"input {i}") for i, a in pairs],
            "output_action": saved_config(self.output_action, "output_action"),
            "combine": pretrained.kind_of(self.combine),
            **{key: getattr(self, key) for key in SETTINGS},
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
                fit; every missing, unexpected and misshapen key is named.
        """
        folder = Path(folder)
        config, state = pretrained.read_folder(folder, CONFIG_KEYS)
        pretrained.check_kind(Mean() if combine is None else combine, config["combine"], folder)
        model = cls(
            module,
            tuple(a if a is None else from_config(a) for a in config["input_actions"]),
            from_config(config["output_action"]),
            combine,
            **{key: config[key] for key in SETTINGS},
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


def _moved(action: Action, elements: Sequence[int], x: Tensor) -> Tensor:
    """Return x moved by some elements, along the batch, in the memory format of x."""
    if len(elements) == action.group.order:
        copies = action.orbit(x).flatten(0, 1)
    else:
        copies = torch.cat([action(g, x) for g in elements])
    for dimensions, layout in ((4, torch.channels_last), (5, torch.channels_last_3d)):
        if x.ndim == dimensions and x.is_contiguous(memory_format=layout) and not x.is_contiguous():
            return copies.contiguous(memory_format=layout)
    return copies


def _before_loading(model: EquiTuned, state: dict[str, Any], prefix: str, *_: object) -> None:
    places = {f"input_actions.{i}": action for i, action in enumerate(model.input_actions)}
    take_earlier(
        state, prefix, {**places, "output_action": model.output_action}, model.get_extra_state()
    )
