"""How `EquiCausalLM` is saved and loaded: what was saved comes back the same, or one line says why.

What the group does stands in config.json; the state holds the weights, and numbers that stand
for the action.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from equitune.actions import TokenPermutation, fingerprint, stands_for, take_earlier
from equitune.compat import extra
from equitune.io.files import misfits
from equitune.io.names import LONGEST, SHORT, shorten
from equitune.language.averaging import Averaging

with extra("language"):
    from transformers import PreTrainedModel


class KeptModel(PreTrainedModel):  # type: ignore[misc]
    """The part of `EquiCausalLM` that saves and loads."""

    model: Any  # PreTrainedModel, or a model of PEFT
    averaging: Averaging

    # folders that version 0.1.0 saved hold what now stands in config.json alone
    _keys_to_ignore_on_load_unexpected = (r"^(moved|moves|general|action\.permutations)$",)
    _keys_to_ignore_on_load_missing = (r"^_extra_state$",)

    @property
    def action(self) -> TokenPermutation:
        """The group's action on token ids."""
        return self.averaging.action

    def get_extra_state(self) -> Tensor:
        """Return what stands for the action in a state dict; see `actions.fingerprint`."""
        return fingerprint([self.action]).to(self.device)

    def set_extra_state(self, state: Tensor) -> None:
        """Refuse the state dict of a model with another action.

        Raises:
            ValueError: the action of the state dict is not this model's.
        """
        if not stands_for(state, [self.action]):
            raise ValueError(
                f"the state dict is that of a model with another action than {self.action!r}: wrap "
                "the model with the action it was saved with, or load the wrapped model's weights "
                "alone, fair.model.load_state_dict(…)"
            )

    def save_pretrained(
        self, save_directory: str | os.PathLike[str], *args: Any, **kwargs: Any
    ) -> None:
        """Write a folder that `from_pretrained` reads; arguments are those of transformers.

        Raises:
            ValueError: config.json would not describe this model, as one with adapters inside.
        """
        if not getattr(self, "_hf_peft_config_loaded", False):  # then adapters alone are saved
            check_saved(self, args[1] if len(args) > 1 else kwargs.get("state_dict"))
        super().save_pretrained(save_directory, *args, **kwargs)

    @classmethod
    def from_pretrained(cls, *args: Any, **kwargs: Any) -> Any:
        """Read a folder that `save_pretrained` wrote; arguments are those of transformers.

        Raises:
            ValueError: the folder lacks weights of the model, or they are of another action.
        """
        wanted = kwargs.pop("output_loading_info", False)
        model, info = super().from_pretrained(*args, output_loading_info=True, **kwargs)
        if missing := sorted(info["missing_keys"]):
            name = args[0] if args else kwargs.get("pretrained_model_name_or_path")
            raise ValueError(
                f"{name} lacks {len(missing)} of the model's weights, {_listed(missing)}: they "
                "would be random; save the model again by save_pretrained, adapters merged"
            )
        return (model, info) if wanted else model


def before_loading(model: KeptModel, state: dict[str, Any], prefix: str, *_: object) -> None:
    """Take state dicts that say nothing of the action, or hold it as version 0.1.0 did."""
    for name in ("moved", "moves", "general"):
        state.pop(f"{prefix}{name}", None)
    take_earlier(state, prefix, {"action": model.action}, model.get_extra_state())


def check_saved(model: Any, state: Mapping[str, Tensor] | None) -> None:
    """Build a model, without memory, from what config.json will say, and compare.

    Args:
        model: an `EquiCausalLM`.
        state: the weights that will be written; None: the model's own.

    Raises:
        ValueError: weights or modules are not those that loading would build.
    """
    written = json.loads(model.config.to_json_string())
    try:
        with torch.device("meta"):
            built = type(model)(type(model.config).from_dict(written))
    except Exception as error:  # whatever a configuration of any model makes of it
        reason = shorten(" ".join(str(error).split()), SHORT)
        raise ValueError(
            f"config.json could not build this model again ({reason}): {_advice(model)}"
        ) from error
    expected, found = dict(built.state_dict()), model.state_dict() if state is None else state
    for key in built.all_tied_weights_keys.keys() - found.keys():
        expected.pop(key, None)  # a state of the caller's own may hold tied weights once
    # ranks that write nothing hold nothing
    faults = misfits(expected, found).split("; ") if found else []
    if state is None:
        faults.append(_other_modules(model, built))
    faults.append("" if _same_group(model, built) else "another action or other general words")
    if text := "; ".join(shorten(fault, LONGEST) for fault in faults if fault):
        raise ValueError(
            f"config.json would not build this model again ({shorten(text, 2 * SHORT)}): "
            f"{_advice(model)}"
        )


def _other_modules(model: nn.Module, built: nn.Module) -> str:
    """Name the first module of another class than the one that loading would build."""
    expected = {name: _kind(module) for name, module in built.named_modules()}
    for name, module in model.named_modules():
        if name and name in expected and _kind(module) != expected[name]:
            return f"{name} is {_kind(module)}, expected {expected[name]}"
    return ""


def _kind(module: nn.Module) -> str:
    return type(module).__name__.removeprefix("FSDP")  # the prefix is that of sharded modules


def _same_group(model: Any, built: Any) -> bool:
    """Say whether two models have the same action, and leave the same words unmoved."""
    same = np.array_equal(model.averaging.general.array, built.averaging.general.array)
    return same and stands_for(fingerprint([built.action]), [model.action])


def _advice(model: Any) -> str:
    """Say what to do with a model that cannot be saved whole."""
    if getattr(model.model, "peft_config", None) is not None:
        return (
            "merge adapters first, EquiCausalLM.wrap(fair.model.merge_and_unload(), action), or "
            "save them alone, fair.model.save_pretrained(folder)"
        )
    return (
        "undo what was changed in it, or keep torch.save(fair.state_dict(), file) and load that "
        "into a model that is built and changed in the same way"
    )


def _listed(keys: list[str]) -> str:
    return shorten(", ".join(keys), SHORT)
