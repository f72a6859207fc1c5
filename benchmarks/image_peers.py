"""ResNet-18 made invariant under quarter turns by others' ways and libraries, for comparison.

The published loop takes the mean over the copies as the authors' code does (`image_loop`), and
ttach's test-time augmentation as one pass for each copy. Canonicalization by equiadapt (Mondal et
al. 2023) turns the image as a small equivariant network says, then runs the plain model once. A C4
ResNet-18 of escnn (Cesa et al. 2022) is equivariant in every layer, with the plain one's number of
channels. equivariance_regularizer makes equivariance a penalty of the training (`image_soft`). None
of these libraries is needed by the project: where one does not import, the table says so, as it
does of a way that no package offers.
"""

import sys
from collections.abc import Callable
from functools import cache
from types import ModuleType, SimpleNamespace
from typing import Any

import image_soft
import torch
from image_loop import PaperLoop
from torch import Tensor, nn

from equitune.actions import Rotate90, Trivial
from equitune.symmetrize import EquiTuned

PLAIN, TRAINED = "plain", "plain, trained"
SOFT = "equivariance_regularizer"
REFERENCES = {SOFT: TRAINED}  # what a peer is compared with, where that is not the plain network
# Rahman et al. 2026 project a network's weights (arXiv 2603.26657)
NO_PACKAGE = {"SoftEq": "no package: its authors publish a repository without one"}
CLASSES = 10
WIDTHS = ((64, 1), (128, 2), (256, 2), (512, 2))  # channels and stride of each stage


def models(size: int) -> tuple[dict[str, nn.Module], dict[str, str]]:
    """Classifiers of images (batch, 3, size, size), by name; the plain one is first.

    All but those of `image_soft` have random weights. Beside them, why a peer is not among them.
    """
    import torchvision  # after equitune, which repairs it beside a CPU-only torch

    torch.manual_seed(0)
    plain = torchvision.models.resnet18(num_classes=CLASSES).eval()
    rotate = Rotate90()
    found: dict[str, nn.Module] = {
        PLAIN: plain,
        "EquiTuned": EquiTuned(plain, rotate, Trivial(rotate.group)),
        "published loop": PaperLoop(plain),
    }
    absent = {}
    _declare_unused()
    builders: dict[str, Callable[[], dict[str, nn.Module]]] = {
        "ttach": lambda: {"ttach": augmented(plain)},
        "equiadapt": lambda: {"equiadapt": canonicalized(plain, size)},
        "escnn": lambda: {"escnn": equivariant()},
        SOFT: lambda: dict(zip((SOFT, TRAINED), image_soft.pair(plain, size), strict=True)),
    }
    for name, build in builders.items():
        try:
            found |= build()
        except ImportError as error:
            absent[name] = f"not installed: {error}"
    return {name: model.eval() for name, model in found.items()}, absent | NO_PACKAGE


def augmented(plain: nn.Module) -> nn.Module:
    """The plain model behind ttach's test-time augmentation: a pass for each turn, and the mean."""
    import ttach

    turns = ttach.Compose([ttach.Rotate90(angles=[0, 90, 180, 270])])
    model: nn.Module = ttach.ClassificationTTAWrapper(plain, turns, merge_mode="mean")
    return model


def canonicalized(plain: nn.Module, size: int) -> nn.Module:
    """The plain model behind equiadapt's canonicalization."""
    from equiadapt import CustomEquivariantNetwork, GroupEquivariantImageCanonicalization

    network = CustomEquivariantNetwork((3, size, size), 32, 5, num_layers=3, device="cpu")
    network.group_type, network.num_rotations = "rotation", 4  # the canonicalizer asks for them
    # the whole image at its own size: nothing cut off, nothing interpolated before the decision
    settings = SimpleNamespace(beta=1.0, input_crop_ratio=1.0, resize_shape=size)
    turn = GroupEquivariantImageCanonicalization(network, settings, (3, size, size))

    class Canonicalized(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.turn, self.plain = turn, plain

        def forward(self, images: Tensor) -> Tensor:
            logits: Tensor = self.plain(self.turn.canonicalize(images))
            return logits

    return Canonicalized()


@cache  # it takes images of any size, and seconds to build
def equivariant() -> nn.Module:
    """A C4 ResNet-18 in escnn, a quarter as many fields of four channels each."""
    from escnn import gspaces
    from escnn import nn as enn

    space = gspaces.rot2dOnR2(4)
    colours = enn.FieldType(space, 3 * [space.trivial_repr])

    def fields(channels: int) -> Any:
        return enn.FieldType(space, channels // 4 * [space.regular_repr])

    def convolution(before: Any, after: Any, kernel: int, stride: int) -> list[Any]:
        layer = enn.R2Conv(before, after, kernel, stride=stride, padding=kernel // 2, bias=False)
        return [layer, enn.InnerBatchNorm(after)]

    class Block(nn.Module):
        def __init__(self, before: Any, after: Any, stride: int) -> None:
            super().__init__()
            self.residual = enn.SequentialModule(
                *convolution(before, after, 3, stride),
                enn.ReLU(after),
                *convolution(after, after, 3, 1),
            )
            same = stride == 1 and before == after
            self.shortcut = (
                nn.Identity()
                if same
                else enn.SequentialModule(*convolution(before, after, 1, stride))
            )
            self.relu = enn.ReLU(after)

        def forward(self, x: Any) -> Any:
            return self.relu(self.residual(x) + self.shortcut(x))

    class ResNet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            stem = fields(WIDTHS[0][0])
            self.stem = enn.SequentialModule(
                *convolution(colours, stem, 7, 2),
                enn.ReLU(stem),
                enn.PointwiseMaxPool2D(stem, 3, 2, padding=1),
            )
            blocks, before = [], stem
            for channels, stride in WIDTHS:
                after = fields(channels)
                blocks += [Block(before, after, stride), Block(after, after, 1)]
                before = after
            self.blocks = nn.Sequential(*blocks)
            self.pool = enn.GroupPooling(before)
            self.classify = nn.Linear(WIDTHS[-1][0] // 4, CLASSES)

        def forward(self, images: Tensor) -> Tensor:
            features = self.pool(self.blocks(self.stem(enn.GeometricTensor(images, colours))))
            logits: Tensor = self.classify(features.tensor.mean((2, 3)))
            return logits

    return ResNet()


def _declare_unused() -> None:
    """Let escnn import without lie_learn, of which only SO(3) needs anything."""
    try:
        import lie_learn  # noqa: F401
    except ImportError:
        name = "lie_learn"
        for part in ("", ".representations", ".SO3", ".wigner_d"):
            name += part
            sys.modules[name] = ModuleType(name)
        sys.modules[name].__dict__["wigner_D_matrix"] = None
