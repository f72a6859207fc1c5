"""Published weights read into backbones."""

from __future__ import annotations

import logging
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from equitune.compat import extra
from equitune.image.backbones import OWN, Backbone, check_architecture
from equitune.io.architectures import TIMM, WEIGHTS
from equitune.io.files import load_into, load_tensors
from equitune.io.names import LONGEST, nearest, shorten
from equitune.io.places import check_file
from equitune.io.registry import Source, sources

IMAGENET = "IMAGENET1K_V1"  # the weights that the paper used
NESTED = ("state_dict", "model_state_dict", "model")  # where a checkpoint of a training keeps them
# of DistributedDataParallel and DataParallel, and of torch.compile
PREFIXES = ("module.", "_orig_mod.")

logger = logging.getLogger(__name__)


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return a state dict, on the CPU, from a safetensors file or one of torch.save.

    Of a checkpoint of a training, `{"epoch": …, "model": …}`, the weights alone are taken, and
    prefixes of wrappers are left out of the names. Nothing in a file is executed.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it has another suffix, is damaged, or holds something else.
    """
    if path.suffix not in WEIGHTS:
        raise ValueError(f"{path} has suffix {path.suffix!r}{nearest(path.suffix, WEIGHTS)}")
    check_file(path, "retrieve it, or name another file")
    if path.suffix == ".safetensors":
        return _unwrapped(load_tensors(path)[0])
    advice = "save model.state_dict() with torch.save, or as safetensors"
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{path} is not a file of tensors alone, or is damaged: {advice}"
        ) from error
    except (RuntimeError, EOFError, ValueError, KeyError) as error:
        raise ValueError(f"{path} is truncated or damaged: retrieve it again") from error
    if not isinstance(state, Mapping):
        raise ValueError(f"{path} holds {type(state).__name__}, expected a state dict: {advice}")
    state = _weights(state, path)
    for key, value in state.items():
        if not isinstance(value, Tensor):
            keys = shorten(", ".join(map(str, state)), LONGEST)
            raise ValueError(
                f"{path} holds {type(value).__name__} at {key!r}, expected tensors, there or at "
                f"{', '.join(NESTED[:-1])} or {NESTED[-1]}; its keys are {keys}: {advice}"
            )
    return _unwrapped(state)


def _weights(state: Mapping[str, Any], path: Path) -> Mapping[str, Any]:
    """Return the state dict inside a checkpoint, or what there is if it is none."""
    if all(isinstance(value, Tensor) for value in state.values()):
        return state
    for name in NESTED:
        if isinstance(state.get(name), Mapping):
            rest = ", ".join(str(key) for key in state if key != name)
            logger.info("%s: the weights are those at %s; left aside: %s", path, name, rest)
            return state[name]  # type: ignore[no-any-return]
    return state


def _unwrapped(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a state dict without the prefixes that wrappers put before every name."""
    state = dict(state)
    while prefix := next(
        (p for p in PREFIXES if state and all(k.startswith(p) for k in state)), ""
    ):
        state = {key.removeprefix(prefix): value for key, value in state.items()}
    return state


def load_backbone(backbone: Backbone, weights: Mapping[str, Tensor], what: str) -> None:
    """Load published weights into a backbone, or nothing at all when they do not fit.

    The weights of the published model's classifier, which is not part of the backbone, are left.

    Args:
        backbone: keeps its device and dtype.
        weights: state dict of the published model, whatever its number of classes.
        what: where it comes from, such as its path; the error message opens with it.

    Raises:
        ValueError: missing, unexpected and misshapen keys are counted, and the first named.
    """
    # files from before BatchNorm counted its batches: the count stays, as torch has it
    counts = {
        key: value
        for key, value in backbone.body.state_dict().items()
        if key.endswith(".num_batches_tracked")
    }
    renamed = {_current_key(key): value for key, value in weights.items()}
    kept = {key: value for key, value in renamed.items() if key not in backbone.left_out}
    load_into(backbone.body, counts | kept, what)


def imagenet_url(architecture: str) -> str:
    """Return where the ImageNet weights of a torchvision model are published.

    Raises:
        ModuleNotFoundError: torchvision is not installed.
        ValueError: the architecture is unknown, or has no such weights.
    """
    check_architecture(architecture)
    if architecture.startswith(TIMM) or architecture in OWN:
        raise ValueError(f"{architecture} has no weights of torchvision: name a file of weights")
    with extra("image"):
        import torchvision

    published = torchvision.models.get_model_weights(architecture)
    names = [entry.name for entry in published]
    if IMAGENET not in names:
        raise ValueError(
            f"{architecture} has no {IMAGENET} weights, only {', '.join(names) or 'none'}: "
            "name a file of weights"
        )
    url: str = published[IMAGENET].url
    return url


def imagenet_source(architecture: str) -> Source:
    """Return what is to be retrieved for an architecture; errors as `imagenet_url`.

    Of an architecture that the registry does not have, the first digits of the SHA-256 are known,
    which torchvision publishes in the file's name, and no size.
    """
    name = f"{architecture}_imagenet"
    if registered := sources().get(name):
        return registered
    url = imagenet_url(architecture)
    file = url.rpartition("/")[2]
    return Source(
        name=name,
        version=IMAGENET,
        url=url,
        mirror=f"imagenet/{file}",
        sha256=Path(file).stem.rpartition("-")[2],
        sorted_sha256="",
        bytes=0,
        licence="BSD-3-Clause",
        citation="TorchVision maintainers and contributors 2016; Deng et al. 2009, ImageNet",
    )


def _current_key(key: str) -> str:
    """Return the key of today's DenseNet: norm.1 has been norm1 since names may hold no dot."""
    return re.sub(r"(\.denselayer\d+\.(?:norm|conv))\.(?=[12]\.)", r"\1", key)
