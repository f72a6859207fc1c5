"""EfficientNet-Lite0 as it was published: layers and the names of its weights.

Tan & Le 2019, EfficientNet (arXiv 1905.11946), in the "lite" variant for small devices: no
squeeze-and-excitation, ReLU6 throughout, stem and head of fixed width. The names of parts are those
in the published state dict, so that its keys fit.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# width, height and padding are TensorFlow's: the weights were trained there
EPSILON = 1e-3  # of BatchNorm
MOMENTUM = 0.01  # of BatchNorm, in torch's sense
STEM, HEAD = 32, 1280  # channels
# repeats, side of the kernel, stride of the first, expansion, channels out
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


class SameConv2d(nn.Conv2d):
    """A convolution padded as TensorFlow's "SAME": ⌈size / stride⌉ out, the odd row at the end.

    `nn.Conv2d` pads both ends alike, which with stride 2 and an even size reads pixels one further
    to the upper left.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Return the convolution (batch, channels, ⌈height / stride⌉, ⌈width / stride⌉)."""
        if self.stride == (1, 1):  # odd kernels: both ends alike
            bottom, right = (side // 2 for side in self.kernel_size)
            return F.conv2d(input, self.weight, None, 1, (bottom, right), 1, self.groups)
        padding: list[int] = []
        for size, side, stride in zip(
            input.shape[:-3:-1], self.kernel_size[::-1], self.stride[::-1], strict=True
        ):
            total = max((-(-size // stride) - 1) * stride + side - size, 0)
            padding += [total // 2, total - total // 2]
        padded = F.pad(input, padding)
        return F.conv2d(padded, self.weight, None, self.stride, 0, 1, self.groups)


class Block(nn.Module):
    """An inverted residual block: wider, filtered channel by channel, narrower again.

    Args:
        channels: number of channels in.
        out: number of channels out.
        kernel: side of the filters in pixels.
        stride: of the filters.
        expansion: how many times wider; 1 leaves the widening out.
        momentum: of BatchNorm.
    """

    def __init__(
        self, channels: int, out: int, kernel: int, stride: int, expansion: int, momentum: float
    ) -> None:
        """Make the layers."""
        super().__init__()
        wide = channels * expansion
        if expansion != 1:
            self._expand_conv = SameConv2d(channels, wide, 1, bias=False)
            self._bn0 = nn.BatchNorm2d(wide, EPSILON, momentum)
        self._depthwise_conv = SameConv2d(wide, wide, kernel, stride, groups=wide, bias=False)
        self._bn1 = nn.BatchNorm2d(wide, EPSILON, momentum)
        self._project_conv = SameConv2d(wide, out, 1, bias=False)
        self._bn2 = nn.BatchNorm2d(out, EPSILON, momentum)
        self.widens = expansion != 1
        self.skips = stride == 1 and channels == out

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, out, ⌈height / stride⌉, ⌈width / stride⌉) of (batch, channels, …)."""
        wide = _relu6(self._bn0(self._expand_conv(x))) if self.widens else x
        wide = _relu6(self._bn1(self._depthwise_conv(wide)))
        y: Tensor = self._bn2(self._project_conv(wide))
        return x + y if self.skips else y


class EfficientNetLite0(nn.Module):
    """4 652 008 parameters for 1 000 classes; made for images of 224 pixels.

    Args:
        num_classes: length of the logits.
        dropout: share of the pooled features that training leaves out.
        momentum: of BatchNorm, in torch's sense: how fast its statistics follow the batches.
    """

    def __init__(
        self, num_classes: int = 1000, dropout: float = 0.2, momentum: float = MOMENTUM
    ) -> None:
        """Make the layers."""
        super().__init__()
        self._conv_stem = SameConv2d(3, STEM, 3, 2, bias=False)
        self._bn0 = nn.BatchNorm2d(STEM, EPSILON, momentum)
        blocks, channels = [], STEM
        for repeats, kernel, first, expansion, out in STAGES:
            for place in range(repeats):
                stride = first if place == 0 else 1
                blocks.append(Block(channels, out, kernel, stride, expansion, momentum))
                channels = out
        self._blocks = nn.ModuleList(blocks)
        self._conv_head = SameConv2d(channels, HEAD, 1, bias=False)
        self._bn1 = nn.BatchNorm2d(HEAD, EPSILON, momentum)
        self._avg_pooling = nn.AdaptiveAvgPool2d(1)
        self._dropout = nn.Dropout(dropout)
        self._fc = nn.Linear(HEAD, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (batch, num_classes) of normalised images (batch, 3, height, width)."""
        x = _relu6(self._bn0(self._conv_stem(x)))
        for block in self._blocks:
            x = block(x)
        x = _relu6(self._bn1(self._conv_head(x)))
        x = torch.flatten(self._avg_pooling(x), 1)
        logits: Tensor = self._fc(self._dropout(x))
        return logits


def _relu6(x: Tensor) -> Tensor:
    """Return x bounded to 0 … 6, in its own place: nothing else needs what BatchNorm gave."""
    return F.relu6(x, inplace=True)
