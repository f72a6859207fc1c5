"""Published models up to where their classifier begins, untrained.

Any image classifier of torchvision, EfficientNet-Lite0, and any model of timm where that is
installed.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from itertools import chain
from math import prod
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.func import functional_call
from torch.nn import functional as F

from equitune.compat import extra
from equitune.image.efficientnet import EfficientNetLite0
from equitune.io.architectures import TIMM, unknown

OWN = {"efficientnet_lite0": EfficientNetLite0}  # written here
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, red green blue
LARGEST_TRIED = 512  # pixels, when a size that works is looked for
FAILURES = (TypeError, ValueError, RuntimeError, AssertionError)  # how models refuse settings

# what stands between the last feature map and a classifier
POOLING = (nn.AdaptiveAvgPool2d, nn.AvgPool2d, nn.Flatten)
POOLING_CALLS: tuple[object, ...] = (F.adaptive_avg_pool2d, torch.flatten, "flatten", "mean")


class Backbone(nn.Module):
    """The part of a published model before its classifier, on images with values in 0..1.

    The images are normalised first, by the mean and standard deviation of a channel that the
    published weights were trained with; this commutes with every permutation of the pixels. The
    keys of `body` are those of the published model.

    Args:
        body: maps normalised images to a feature map (batch, *shape).
        architecture: what it is called, for messages.
        size: height and width of the images in pixels.
        shape: (channels, height, width) of the feature map, or (channels,).
        left_out: keys of the published model's state dict that are not in `body`.
        channels_at_end: the body gives (batch, …, channels) instead.
        upsample: how many times larger the images become first, by bilinear interpolation; this
            too commutes with rotations by 90° and flips.
        pooled: the features are averaged over the positions, so that one is left.
        mean: of red, green and blue in 0..1; by default ImageNet's.
        std: likewise, the standard deviation.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        body: nn.Module,
        architecture: str,
        size: int,
        shape: tuple[int, ...],
        left_out: frozenset[str],
        channels_at_end: bool = False,
        upsample: int = 1,
        pooled: bool = False,
        mean: tuple[float, ...] = MEAN,
        std: tuple[float, ...] = STD,
    ) -> None:
        """Store the parts; see the class."""
        super().__init__()
        self.body = body
        self.architecture, self.size, self.shape = architecture, size, shape
        self.left_out, self.channels_at_end = left_out, channels_at_end
        self.upsample, self.pooled = upsample, pooled
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1))

    @property
    def channels(self) -> int:
        """The number of channels of the features."""
        return self.shape[0]

    @property
    def positions(self) -> int:
        """The number of positions of the features."""
        return 1 if self.pooled else prod(self.shape[1:])

    def forward(self, images: Tensor) -> Tensor:
        """Return features (batch, channels, positions) of images (batch, 3, height, width).

        Raises:
            ValueError: the images have another size than the backbone was built for.
        """
        if images.shape[1:] != (3, self.size, self.size):
            raise ValueError(
                f"images have shape {tuple(images.shape)}: expected (batch, 3, {self.size}, "
                f"{self.size}); crop them, or build {self.architecture} for another size"
            )
        images = (images - self.mean) / self.std
        if self.upsample > 1:
            images = F.interpolate(images, scale_factor=self.upsample, mode="bilinear")
        features = self.body(images)
        if self.channels_at_end:
            features = features.movedim(-1, 1)
        flat: Tensor = features.unsqueeze(-1).flatten(2)  # one position where there is no map
        return flat.mean(2, keepdim=True) if self.pooled else flat


def backbone(
    architecture: str,
    size: int,
    classes: int,
    options: Mapping[str, Any] = {},
    upsample: int = 1,
) -> Backbone:
    """Build the part of a published model before its classifier, untrained.

    A torchvision model is cut by its own forward pass, whose parts are taken whole: its classifier
    is the last part with weights, and begins with the pooling or flattening in front of it. What
    comes before that is the backbone: `features` of AlexNet and VGG, all up to `layer4` of a
    ResNet, `features` and the ReLU behind them of a DenseNet. Where nothing is pooled in front,
    the features are what enters the classifier: a map (SqueezeNet, MaxViT), or one position, as
    the class token of a vision transformer. Auxiliary classifiers (Inception) are left out. A
    model of timm gives its unpooled features.

    Args:
        architecture: a classifier of torchvision, as "resnet18", "efficientnet_lite0", or one of
            timm, "timm:resnet18".
        size: height and width of the images in pixels.
        classes: number of classes, for the model's own classifier.
        options: passed on to the builder, as {"drop_rate": 0.1}.
        upsample: as for `Backbone`; AlexNet needs 63 pixels, so 2 for images of 32.

    Raises:
        ModuleNotFoundError: torchvision, or timm, is not installed.
        ValueError: unknown architecture, a bad option, or a size that it does not take; the
            smallest that works is named.
    """
    return split(architecture, size, classes, options, upsample)[0]


def check_architecture(architecture: str) -> None:
    """Check that there is such a model.

    Raises:
        ModuleNotFoundError: torchvision, or timm, is not installed.
        ValueError: it is unknown; the nearest names, or those of the paper, are named.
    """
    of_timm = architecture.startswith(TIMM)
    names = (
        [f"{TIMM}{name}" for name in _timm().list_models()]
        if of_timm
        else [*_torchvision().list_models(_torchvision()), *OWN]
    )
    if architecture not in names:
        raise ValueError(unknown(architecture, names))


def split(
    architecture: str,
    size: int,
    classes: int,
    options: Mapping[str, Any],
    upsample: int = 1,
) -> tuple[Backbone, nn.Module]:
    """Build a published model in two: its backbone, and what it does behind it.

    Args and errors as for `backbone`.

    Returns:
        The backbone, and a module from its feature maps (batch, *shape) to logits (batch,
        classes), for timm the identity.
    """
    check_architecture(architecture)
    of_timm = architecture.startswith(TIMM)
    if of_timm and "checkpoint_path" in options:  # timm would unpickle whatever is in it
        raise ValueError(
            f"{architecture}: checkpoint_path is not an option here: name it as weights"
        )
    try:
        if of_timm:
            name = architecture.removeprefix(TIMM)
            model = _timm().create_model(name, pretrained=False, num_classes=classes, **options)
        elif architecture in OWN:
            model = OWN[architecture](num_classes=classes, **options)
        else:
            get_model = _torchvision().get_model
            model = get_model(architecture, weights=None, num_classes=classes, **options)
    except FAILURES as error:
        raise ValueError(
            f"{architecture} cannot be built with options {dict(options)}: {_line(error)}"
        ) from error
    keys = set(model.state_dict())
    model.eval()  # in training mode Inception's forward uses its auxiliary classifiers
    body: nn.Module = model
    behind: nn.Module = nn.Identity()
    if of_timm:
        model.reset_classifier(0, "")
    else:
        body, behind = _cut(model, architecture)
    shape = _feature_shape(body, architecture, size * upsample)
    # timm's transformers give (batch, positions, channels) or (batch, height, width, channels)
    at_end = len(shape) == 2 or getattr(body, "output_fmt", "") == "NHWC"
    if at_end:
        shape = (shape[-1], *shape[:-1])
    left_out = frozenset(keys.difference(body.state_dict()))
    mean, std = _normalisation(model)
    trunk = Backbone(
        body, architecture, size, shape, left_out, at_end, upsample, mean=mean, std=std
    )
    return trunk.train(), behind.train()


def _normalisation(model: nn.Module) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation that a model's weights expect: timm says its own."""
    known = getattr(model, "pretrained_cfg", None) or {}
    return tuple(known.get("mean", MEAN)), tuple(known.get("std", STD))


class _TopLevel(fx.Tracer):
    """Traces a model's own forward only: its parts stay whole, and dropout in them switchable."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Say that every part stays whole."""
        return True


def _cut(model: nn.Module, name: str) -> tuple[nn.Module, nn.Module]:
    """Return what a model does before its classifier, and from there on; see `backbone`."""
    modules = dict(model.named_modules())
    nodes = list(_TopLevel().trace(model).nodes)

    def pools(node: fx.Node) -> bool:
        return isinstance(modules.get(str(node.target)), POOLING) or node.target in POOLING_CALLS

    weighted = [
        place
        for place, node in enumerate(nodes)
        if node.op == "call_module" and any(True for _ in modules[str(node.target)].parameters())
    ]
    end, classifier = weighted[-2:]
    start = next((at for at in range(end + 1, classifier) if pools(nodes[at])), classifier)
    (entering,) = nodes[start].all_input_nodes

    before, copies = fx.Graph(), dict[fx.Node, fx.Node]()
    for node in nodes[:start]:
        copies[node] = before.node_copy(node, copies.__getitem__)
    before.output(copies[entering])
    behind = fx.Graph()
    copies = {entering: behind.placeholder("features")}
    for node in nodes[start:]:
        copies[node] = behind.node_copy(node, copies.__getitem__)
    return fx.GraphModule(model, before, name), fx.GraphModule(model, behind, name)


def _feature_shape(body: nn.Module, architecture: str, size: int) -> tuple[int, ...]:
    """Return the shape of the features of one image, found on the meta device: no arithmetic.

    Raises:
        ValueError: the body does not take images of this size; the smallest that works is named.
    """
    tensors = chain(body.named_parameters(), body.named_buffers())
    state = {name: tensor.to("meta") for name, tensor in tensors}

    def shape(size: int) -> tuple[int, ...]:
        with torch.no_grad():
            images = torch.empty(1, 3, size, size, device="meta")
            return tuple(functional_call(body, state, (images,)).shape[1:])

    def works(size: int) -> bool:
        try:
            return bool(shape(size))
        except FAILURES:
            return False

    try:
        return shape(size)
    except FAILURES as error:
        smallest = next(filter(works, range(1, LARGEST_TRIED + 1)), None)
        found = f"the smallest that works is {smallest}" if smallest else "nor on any other"
        raise ValueError(
            f"{architecture} does not work on images of {size} pixels, {found}: "
            f"change size, upsample or options ({_line(error)})"
        ) from error


def _torchvision() -> ModuleType:
    """Return torchvision.models."""
    with extra("image"):
        import torchvision

    models: ModuleType = torchvision.models
    return models


def _timm() -> ModuleType:
    """Return timm."""
    try:
        return importlib.import_module("timm")
    except ModuleNotFoundError as error:
        if error.name != "timm":
            raise
        raise ModuleNotFoundError(
            "timm is not installed: pip install timm, or name a model of torchvision", name="timm"
        ) from None


def _line(error: Exception) -> str:
    """Return the first line of an error."""
    return next(iter(str(error).splitlines()), type(error).__name__)
