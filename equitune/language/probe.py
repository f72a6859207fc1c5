"""What a wrapped model takes and does, found by looking at it."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import _has_any_global_hook

HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def takes(model: nn.Module, name: str) -> bool:
    """Say whether a model's forward has an argument of that name.

    A model of PEFT passes all arguments on to the one inside, unless it learns a prompt.
    """
    if name in inspect.signature(model.forward).parameters:
        return True
    inside = getattr(model, "get_base_model", None)
    return inside is not None and not learns_prompt(model) and takes(inside(), name)


def learns_prompt(model: nn.Module) -> bool:
    """Say whether PEFT puts learnt positions before the context: prefix or prompt tuning."""
    settings = getattr(model, "active_peft_config", None)
    return bool(getattr(settings, "is_prompt_learning", False))


def plain_head(model: Any) -> nn.Linear | None:
    """Return the model's head if its weights and bias are all that decides what it computes.

    None for any other class, a subclass of a linear layer or an adapter of PEFT included, for a
    forward or a weight that somebody replaced, and where hooks wait for the passes of the model or
    of its head. Cheap, so that it is asked before each pass.
    """
    head = model.get_output_embeddings()
    if type(head) is not nn.Linear or type(head.weight) not in (nn.Parameter, Tensor):
        return None
    everywhere = _has_any_global_hook()  # type: ignore[no-untyped-call]
    return None if everywhere or _watched(model) or _watched(head) else head


def ends_with_head(model: Any, token: Tensor) -> bool:
    """Say whether the logits are a linear layer of the base model's last hidden state, no more.

    Some models scale or cap their logits afterwards; then the head cannot be taken alone. Numbers
    that are equal for one token are not enough, as a scale may be 1 by chance or before training:
    the head has to read the memory that the base model wrote, and what it returns has to be what
    the model returns.

    Args:
        model: a causal language model.
        token: (1, 1), which is run through the model once. Random numbers are left as they were.
    """
    head, base = plain_head(model), model.base_model
    if head is None or base is model:
        return False
    seen: list[tuple[Tensor, Tensor]] = []  # each with a copy, lest it is changed in place

    def keep(x: Any) -> None:
        if isinstance(x, Tensor):
            seen.append((x, x.detach().clone()))

    def keep_both(_head: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        keep(inputs[0])
        keep(output)

    hooks = [
        base.register_forward_hook(lambda _m, _i, output: keep(output[0])),
        head.register_forward_hook(keep_both),
    ]
    try:
        devices = [token.device] if token.is_cuda else []
        with torch.no_grad(), torch.random.fork_rng(devices):
            logits = model(token, use_cache=False).logits
    finally:
        for hook in hooks:
            hook.remove()
    if len(seen) != 3:
        return False
    (written, hidden), (read, given), (output, scores) = seen
    same = written.data_ptr() == read.data_ptr() and output is logits
    return same and torch.equal(hidden, given) and torch.equal(scores, logits)


class HeadProbe:
    """Finds a head that can be taken alone, and looks again when anything about it has changed."""

    def __init__(self) -> None:
        """Begin without having seen a model."""
        self._seen: object = None
        self._found = False

    def __call__(self, model: Any, token: Tensor) -> nn.Linear | None:
        """Return the head if ``head(base_model(…))`` is what the model computes, None otherwise.

        Args:
            model: a causal language model.
            token: (1, 1), for `ends_with_head`, which runs when the model is new, or its head, its
                settings, its mode or its forward are others than before.
        """
        head = plain_head(model)
        if head is None:
            return None
        facts = (type(model).forward, head, head.weight.device, _settings(model))
        if facts != self._seen:
            self._found = ends_with_head(model, token)
            self._seen = facts
        return head if self._found else None

    def __getstate__(self) -> dict[str, Any]:
        """Leave what was seen out of copies and pickles: their model is another one."""
        return {"_seen": None, "_found": False}


def _watched(module: nn.Module) -> bool:
    """Say whether a call of a module is more than the forward of its class."""
    return "forward" in vars(module) or any(map(module.__dict__.get, HOOKS))


def _settings(model: Any) -> list[dict[str, Any]]:
    """Return what a forward may go by: plain attributes of the model, and its configurations."""
    plain = {k: x for k, x in vars(model).items() if x is None or isinstance(x, int | float | str)}
    configs = (model.config, model.config.get_text_config(decoder=True))
    return [plain, *(dict(vars(config)) for config in configs)]
