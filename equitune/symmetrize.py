"""EquiTuned makes any model exactly equivariant; it must not know what the model computes.

The model M is run on every transformed copy gx of its input, each output is moved back by the
inverse element, and the results are combined. With the mean this is the Reynolds operator applied
to M, the equivariant function nearest to M in L2 over the orbit:

    M_G(x) = 1/|G| Σ_g g⁻¹ M(gx)         (Basu et al. 2023, Equi-Tuning, arXiv 2210.06475)
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn

from equitune.actions import Action, as_input_actions, check_inputs, from_config
from equitune.copies import checkpointed, unique_rows
from equitune.groups import FiniteGroup
from equitune.pretrained import check_keys, read_folder, without_ties, write_folder

CONFIG_KEYS = ("input_actions", "output_action", "combine", "chunk_size", "dedupe", "frozen")


class EquiTuned(nn.Module):
    """A model made equivariant under a finite group: f(gx) = g f(x), to rounding, for every g.

    Args:
        module: the model M, which maps (batch, …) to one tensor (batch, …).
        input_action: how the group moves the input; a tuple, one for each, if there are several.
        output_action: how the group moves the output; ``Trivial(group)`` for invariance.
        combine: `Mean` (the default), `Weighted` or `Select`.
        chunk_size: how many copies pass through M at once, by default all |G|. Fewer bound the
            memory of activations; in training they are then computed twice, by gradient
            checkpointing, with the same gradients. BatchNorm in training mode takes its batch
            statistics from the copies that pass together.
        dedupe: compute equal rows among the copies once; for integer inputs such as token ids, of
            which the group moves only some.
        frozen: M keeps its weights: no gradients, evaluation mode. Set on `module` itself.

    Raises:
        TypeError: module is no nn.Module, or an action no `Action`.
        ValueError: the actions belong to different groups, or chunk_size is below 1.

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
        input_action: Action | Sequence[Action],
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
        self.input_actions = nn.ModuleList(as_input_actions(input_action, output_action))
        self.output_action = output_action
        self.combine = Mean() if combine is None else combine
        self.chunk_size = chunk_size
        self.dedupe = dedupe
        self.frozen = frozen
        if frozen:
            module.requires_grad_(False).eval()

    @property
    def group(self) -> FiniteGroup:
        """The group under which the model is equivariant."""
        return self.output_action.group

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return M_G(x).

        Args:
            inputs: (batch, …) each, one for each input action.

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

    def orbit_outputs(self, *inputs: Tensor) -> Tensor:
        """Return M(gx) for every g, not yet moved back: (|G|, batch, …); errors as `forward`."""
        actions = self._input_actions()
        check_inputs(actions, inputs)
        order, batch = self.group.order, inputs[0].shape[0]
        at_once = order if self.chunk_size is None else min(self.chunk_size, order)
        if self.dedupe:
            pairs = zip(actions, inputs, strict=True)
            copies = [action.orbit(x).flatten(0, 1) for action, x in pairs]  # (|G|·batch, …)
            first, origin = unique_rows(copies)
            rows = max(at_once * batch, 1)
            parts = zip(*(torch.split(x[first], rows) for x in copies), strict=True)
            outputs = self._run(*((self._call, part) for part in parts))[origin]
        else:
            chunks = [range(g, min(g + at_once, order)) for g in range(0, order, at_once)]
            outputs = self._run(*((partial(self._copies, chunk), inputs) for chunk in chunks))
        return outputs.reshape(order, batch, *outputs.shape[1:])

    def _copies(self, elements: Sequence[int], *inputs: Tensor) -> Tensor:
        """Return M(gx) for some elements, (elements·batch, …).

        The copies are made here, so that of several chunks only one's are in memory: they may take
        more of it than what M keeps of them.
        """
        pairs = zip(self._input_actions(), inputs, strict=True)
        if len(elements) == self.group.order:
            return self._call(*[action.orbit(x).flatten(0, 1) for action, x in pairs])
        return self._call(*[torch.cat([action(g, x) for g in elements]) for action, x in pairs])

    def _run(self, *calls: tuple[Callable[..., Tensor], Sequence[Tensor]]) -> Tensor:
        """Return the outputs of calls with their inputs, one after the other, in one tensor.

        Of several calls, in training, what the backward pass needs is computed again there.
        """
        if len(calls) == 1:
            return calls[0][0](*calls[0][1])
        if torch.is_grad_enabled() and not self.frozen:
            return torch.cat([checkpointed(self.module, call, *inputs) for call, inputs in calls])
        return torch.cat([call(*inputs) for call, inputs in calls])

    def _call(self, *rows: Tensor) -> Tensor:
        with torch.no_grad() if self.frozen else nullcontext():
            output = self.module(*rows)
        if not isinstance(output, Tensor):
            raise TypeError(
                f"{type(self.module).__name__} returned {type(output).__name__}: expected one "
                "tensor; wrap the module in one that returns, say, its .logits"
            )
        if output.ndim == 0 or output.shape[0] != rows[0].shape[0]:
            raise ValueError(
                f"{type(self.module).__name__} returned shape {tuple(output.shape)} for "
                f"{rows[0].shape[0]} examples: expected the batch in front, (batch, …)"
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
        """Name the group and the settings."""
        return (
            f"{self.group!r}, chunk_size={self.chunk_size}, dedupe={self.dedupe}, "
            f"frozen={self.frozen}"
        )

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Write model.safetensors (the weights) and config.json (the actions and settings).

        Each file appears complete or not at all.

        Args:
            folder: made if it does not exist.
        """
        config = {
            "input_actions": [action.config() for action in self._input_actions()],
            "output_action": self.output_action.config(),
            "combine": type(self.combine).__name__,
            "chunk_size": self.chunk_size,
            "dedupe": self.dedupe,
            "frozen": self.frozen,
        }
        write_folder(Path(folder), config, self._weights())

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
            module: a model of the saved architecture; its weights are replaced.
            combine: `Weighted` or `Select` with nets of the saved architecture; needed for these.

        Raises:
            FileNotFoundError: a file is missing.
            ValueError: a file cannot be read, combine is not the saved kind, or weights do not
                fit; every missing, unexpected and misshapen key is named.
        """
        folder = Path(folder)
        config, weights = read_folder(folder, CONFIG_KEYS)
        kind = "Mean" if combine is None else type(combine).__name__
        if kind != config["combine"]:
            raise ValueError(
                f"{folder} was saved with {config['combine']}, not {kind}: pass "
                f"combine={config['combine']}(…) to from_pretrained"
            )
        model = cls(
            module,
            tuple(from_config(action) for action in config["input_actions"]),
            from_config(config["output_action"]),
            combine,
            chunk_size=config["chunk_size"],
            dedupe=config["dedupe"],
            frozen=config["frozen"],
        )
        check_keys(model._weights(), weights, folder)
        model.load_state_dict(weights, strict=False)  # the actions come from config.json
        return model

    def _input_actions(self) -> list[Action]:
        return list(self.input_actions)  # type: ignore[arg-type]

    def _weights(self) -> dict[str, Tensor]:
        """Return parameters and buffers of module and combine, tied ones under the first name."""
        state = self.state_dict()
        return without_ties(
            {key: x for key, x in state.items() if key.startswith(("module.", "combine."))}
        )


class Mean(nn.Module):
    """Equi-tuning: the plain mean, 1/|G| Σ_g g⁻¹ M(gx)."""

    def forward(self, outputs: Tensor, action: Action) -> Tensor:
        """Return the combination (batch, …) of outputs M(gx), (|G|, batch, …), as M gave them."""
        return action.unorbit(outputs).mean(dim=0)


class Weighted(nn.Module):
    """λ-equitune: the weighted mean, [Σ_g λ(gx)]⁻¹ Σ_g λ(gx) g⁻¹ M(gx).

    From Basu et al. 2023, Efficient Equivariant Transfer Learning, arXiv 2305.09900; here λ is
    computed from M(gx).

    Args:
        net: maps M(gx), all copies along the batch, to positive weights: (batch,), or leading
            dimensions of the output such as (batch, positions, 1). A dimension that the output
            action moves must be 1 or left out. That weights are positive is the net's part, e.g.
            by a Softplus at its end; it is not checked, as a check would wait for the device.
    """

    def __init__(self, net: nn.Module) -> None:
        """Store the net."""
        super().__init__()
        self.net = net

    def forward(self, outputs: Tensor, action: Action) -> Tensor:
        """Return the combination (batch, …) of outputs M(gx), (|G|, batch, …), as M gave them."""
        weights = _per_example(self.net, outputs)
        weights = weights / weights.sum(dim=0)
        return (weights * action.unorbit(outputs)).sum(dim=0)


class Select(nn.Module):
    """Equizero: the copy of the smallest score, h⁻¹ M(hx) with h = argmin_g score(M(gx)).

    From arXiv 2305.09900. The gradient is straight-through: that of the mean. Copies whose scores
    are the smallest up to rounding are averaged, as a choice among them would break equivariance:
    an input with a symmetry of its own has equal copies, whose outputs are moved back differently.

    Args:
        score: maps M(gx), all copies along the batch, to scores of the shapes that `Weighted`
            takes, e.g. entropies; a module or a function.
    """

    def __init__(self, score: Callable[[Tensor], Tensor]) -> None:
        """Store the score."""
        super().__init__()
        self.score = score

    def forward(self, outputs: Tensor, action: Action) -> Tensor:
        """Return the combination (batch, …) of outputs M(gx), (|G|, batch, …), as M gave them."""
        with torch.no_grad():
            best = _smallest(_per_example(self.score, outputs))
        moved_back = action.unorbit(outputs)
        chosen = moved_back.detach().masked_fill(~best, 0).sum(dim=0) / best.sum(dim=0)
        if not moved_back.requires_grad:
            return chosen
        mean = moved_back.mean(dim=0)
        return chosen + (mean - mean.detach())  # the value of chosen, the gradient of the mean


def _smallest(scores: Tensor) -> Tensor:
    """Return where scores (|G|, …) are the smallest of the copies, up to 64 units of rounding."""
    lowest = scores.amin(dim=0)
    if not scores.is_floating_point():
        return scores == lowest
    sizes = scores.abs().masked_fill(scores.isinf(), 0).amax(dim=0)
    return (scores == lowest) | (scores <= lowest + 64 * torch.finfo(scores.dtype).eps * sizes)


def _per_example(net: Callable[[Tensor], Tensor], outputs: Tensor) -> Tensor:
    """Return net of every copy (|G|, batch, …), with as many dimensions as outputs."""
    order, batch = outputs.shape[:2]
    values = net(outputs.flatten(0, 1))
    if values.ndim == 0 or values.shape[0] != order * batch:
        raise ValueError(
            f"net gave shape {tuple(values.shape)} for {order * batch} copies: expected one number "
            "for each, (batch,) or (batch, 1)"
        )
    values = values.reshape(order, batch, *values.shape[1:])
    while values.ndim > outputs.ndim and values.shape[-1] == 1:
        values = values.squeeze(-1)
    values = values.reshape(*values.shape, *[1] * (outputs.ndim - values.ndim))
    fits = zip(values.shape, outputs.shape, strict=False)
    if values.ndim > outputs.ndim or any(v not in (1, size) for v, size in fits):
        raise ValueError(
            f"net gave shape {tuple(values.shape[1:])} for outputs {tuple(outputs.shape[1:])}: "
            "expected (batch,), or the leading dimensions of the output, each whole or 1"
        )
    return values
