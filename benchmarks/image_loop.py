"""Invariant images written the way of the published research code, for comparison.

The batch is turned once for each element in a Python loop, by `torch.rot90`; the copies are
stacked, pass through the network as one batch, and the mean of what comes out is taken. So unlike
for SCAN and language the network itself runs once, and not copy by copy. Only the order of work is
taken over.
"""

import torch
from torch import Tensor, nn

TURNS = 4


class PaperLoop(nn.Module):
    """A network of images, and the group as numbers of quarter turns.

    Args:
        network: images (batch, channels, side, side) to logits (batch, classes).
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """The mean over the turns of the logits of images: (batch, classes)."""
        copies = torch.stack([torch.rot90(images, turn, (2, 3)) for turn in range(TURNS)])
        logits: Tensor = self.network(copies.reshape(-1, *images.shape[1:]))
        return logits.reshape(TURNS, len(images), -1).mean(0)
