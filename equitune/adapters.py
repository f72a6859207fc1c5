"""Adapters: a few weights beside those of a pretrained model, which stays as it is.

LoRA (Hu et al. 2022, arXiv 2106.09685) adds a product of two thin matrices to a layer,
Wx + (α/r)·BAx; PEFT makes them. The average over a group is exact whatever the weights are, so it
is exact with adapters, inside the wrapped model or around the wrapper.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from equitune.compat import extra
from equitune.io.files import atomic_write
from equitune.io.names import nearest

if TYPE_CHECKING:
    from peft import LoraConfig

logger = logging.getLogger(__name__)

ALL = "all-linear"
LAYERS = (nn.Linear, nn.Conv2d, nn.Embedding)  # and Conv1D of transformers
KEY = "adapter"  # of the file's metadata


def lora(model: nn.Module, rank: int, targets: str | Sequence[str] = ALL) -> LoraConfig:
    """Return PEFT's configuration of adapters that fit a model.

    Args:
        model: what gets adapters.
        rank: columns of A and rows of B.
        targets: names of layers, or their ends, as "q_proj"; "all-linear": of a language model
            every linear layer but the head, of another model every linear layer and convolution.

    Raises:
        ValueError: a target is the name of no layer that can have an adapter.
    """
    with extra("scale"):
        from peft import LoraConfig

    layers = {name: layer for name, layer in model.named_modules() if _takes(layer)}
    if targets == ALL:
        whole = hasattr(model, "get_output_embeddings")  # PEFT leaves out the head
        names = [name for name, layer in layers.items() if not isinstance(layer, nn.Embedding)]
        return LoraConfig(r=rank, target_modules=ALL if whole else names)
    targets = [targets] if isinstance(targets, str) else list(targets)
    ends = [name.rpartition(".")[2] for name in layers]
    known = {end if not end.isdigit() else name for name, end in zip(layers, ends, strict=True)}
    for target in targets:
        if not any(f".{name}".endswith(f".{target}") for name in layers):
            raise ValueError(
                f"adapter target {target!r} matches no linear layer, convolution or embedding of "
                f"{type(model).__name__}{nearest(target, sorted(known))}"
            )
    return LoraConfig(r=rank, target_modules=targets)


def attach(model: nn.Module, rank: int, targets: str | Sequence[str] = ALL) -> None:
    """Put adapters into a model, in place, and freeze its own weights.

    A new adapter adds nothing: the model's outputs are as they were.

    Args:
        model: its layers are replaced by layers with an adapter.
        rank: as for `lora`.
        targets: as for `lora`.

    Raises:
        ValueError: as `lora`.
    """
    config = lora(model, rank, targets)
    with extra("scale"):
        from peft import inject_adapter_in_model

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on GPT-2's kind of layer, which PEFT knows
        inject_adapter_in_model(config, model)


def report(model: nn.Module) -> str:
    """Return how many of a model's parameters are trained, as a line for the log."""
    sizes = [(p.numel(), p.requires_grad) for p in model.parameters()]
    whole, trained = sum(n for n, _ in sizes), sum(n for n, on in sizes if on)
    return f"trains {trained:,} of {whole:,} parameters ({trained / whole:.2%})"


def save(model: nn.Module, path: Path, rank: int, targets: str | Sequence[str] = ALL) -> None:
    """Write what training changed: adapters, other weights that are trained, running statistics.

    Args:
        model: with adapters somewhere inside.
        path: a file of safetensors.
        rank: as they were attached with.
        targets: as they were attached with.
    """
    about = {KEY: json.dumps({"rank": rank, "targets": targets})}
    tensors = {name: x.detach().cpu().contiguous() for name, x in _changed(model).items()}
    with atomic_write(path) as temporary:
        save_file(tensors, temporary, about)


def load(model: nn.Module, path: Path, inside: nn.Module | None = None) -> None:
    """Attach adapters that `save` wrote to a model with the weights that they were trained on.

    Args:
        model: of the structure that the saved one had before adapters were attached.
        path: the file.
        inside: the part that they are attached to; None: the model.

    Raises:
        ValueError: the file holds no adapters, or those of another model.
    """
    try:
        with safe_open(path, "pt") as file:
            about = json.loads(file.metadata()[KEY])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except Exception as error:  # a damaged or foreign file raises what it likes
        raise ValueError(f"{path} holds no adapters: write them by adapters.save") from error
    attach(model if inside is None else inside, about["rank"], about["targets"])
    found = _changed(model)
    if wrong := sorted(found.keys() ^ tensors.keys()):
        raise ValueError(
            f"{path} holds adapters of another model: {wrong[0]} and {len(wrong) - 1} others stand "
            "in one of the two alone"
        )
    model.load_state_dict(tensors, strict=False)


def merge(model: nn.Module) -> None:
    """Add the adapters to the weights they stand beside, and take them out, in place."""
    with extra("scale"):
        from peft.tuners.lora import LoraLayer

    for parent in list(model.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, LoraLayer):
                adapted: Any = layer
                adapted.merge(safe_merge=True)
                setattr(parent, name, adapted.get_base_layer())


def _takes(layer: nn.Module) -> bool:
    """Say whether a layer can have an adapter."""
    grouped = isinstance(layer, nn.Conv2d) and layer.groups > 1
    return (isinstance(layer, LAYERS) and not grouped) or type(layer).__name__ == "Conv1D"


def _changed(model: nn.Module) -> dict[str, Tensor]:
    """Return the tensors of a model that training changes, by their names in its state."""
    trained: dict[str, Tensor] = {k: p for k, p in model.named_parameters() if p.requires_grad}
    norms = nn.modules.batchnorm._BatchNorm
    for place, layer in model.named_modules():
        if isinstance(layer, norms):
            trained |= {f"{place}.{name}".lstrip("."): x for name, x in layer.named_buffers()}
    return trained
