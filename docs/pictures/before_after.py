"""Draws docs/pictures/before_after.svg: a digit in four turns, as two models read it.

Both start from one network that has learned upright digits and take the same further steps, one as
it is and one equi-tuned. Run it: python docs/pictures/before_after.py (some seconds)
"""

import copy
from pathlib import Path
from typing import NamedTuple

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.nn import functional as F

from equitune import EquiTuned, actions
from equitune.image.data import Images
from equitune.image.features import as_input
from equitune.image.sources import read_digits
from equitune.methods import METHODS
from equitune.results.style import WRONG, look

PICTURE = Path(__file__).with_suffix(".svg")
PIXELS, STEPS, BATCH = 16, 200, 32
ROTATE = actions.Rotate90()
TURNS = ("upright", "90°", "180°", "270°")
TITLES = {"finetune": "fine-tuned", "equitune": "equi-tuned"}


class Reading(NamedTuple):
    """One test digit in its four turns, and what each model makes of them.

    Attributes:
        copies: (4, height, width), grey levels of 0 … 1.
        label: the digit.
        probabilities: by method, (4, 10).
    """

    copies: Tensor
    label: int
    probabilities: dict[str, Tensor]


def network() -> nn.Module:
    """Return a small network, untrained."""
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * (PIXELS // 4) ** 2, 10),
    )


def train(model: nn.Module, images: Images) -> None:
    """Train a model on upright images, and put it into evaluation mode."""
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    for _ in range(STEPS):
        batch = images[torch.randint(len(images), (BATCH,), generator=generator)]
        loss = F.cross_entropy(model(as_input(batch.pixels)), batch.labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()


def compute() -> Reading:
    """Train both models and read the first test digit that the plain one takes for three others."""
    torch.manual_seed(0)
    learned, test, _ = read_digits(PIXELS)
    base = network()
    train(base, learned)
    equal = EquiTuned(copy.deepcopy(base), ROTATE, actions.Trivial(ROTATE.group))
    models = {"finetune": base, "equitune": equal}
    copies = ROTATE.orbit(as_input(test.pixels))  # (4, n, 3, height, width)
    probabilities = {}
    for method, model in models.items():
        train(model, learned)
        with torch.no_grad():
            probabilities[method] = torch.stack([model(x).softmax(-1) for x in copies], 1)
    classes = probabilities["finetune"].argmax(-1)  # (n, 4)
    right = classes[:, 0] == test.labels
    others = torch.tensor([len(set(row.tolist())) for row in classes])
    place = int((right & (others == len(TURNS))).nonzero()[0])
    return Reading(
        copies[:, place, 0],
        int(test.labels[place]),
        {method: found[place] for method, found in probabilities.items()},
    )


def draw(reading: Reading) -> Figure:
    """Draw the turns above, the probabilities that each model gives below."""
    with look():
        figure = Figure(figsize=(7.2, 3.9), layout="constrained")
        rows = figure.subplots(3, len(TURNS), height_ratios=(1.2, 1, 1))
        for axes, turn, picture in zip(rows[0], TURNS, reading.copies, strict=True):
            axes.imshow((1 - picture).numpy(), cmap="gray", vmin=0, vmax=1)
            axes.set_title(turn)
            axes.axis("off")
        for line, (method, found) in zip(rows[1:], reading.probabilities.items(), strict=True):
            for axes, shares in zip(line, found, strict=True):
                _bars(axes, shares.tolist(), METHODS[method].colour, reading.label)
            line[0].set_ylabel(f"{TITLES[method]}\nprobability")
    return figure


def _bars(axes: Axes, shares: list[float], colour: str, label: int) -> None:
    """The ten classes as bars; the one that is chosen stands above, in red where it is wrong."""
    chosen = shares.index(max(shares))
    axes.bar(range(len(shares)), shares, color=colour)
    axes.set(ylim=(0, 1.25), yticks=(0, 1), xticks=range(len(shares)))
    axes.tick_params(length=0, labelsize=7)
    axes.text(
        chosen,
        shares[chosen] + 0.04,
        str(chosen),
        ha="center",
        weight="bold",
        color="black" if chosen == label else WRONG,
    )


def main(path: Path = PICTURE) -> None:
    """Compute and write the picture."""
    figure = draw(compute())
    with look():
        figure.savefig(path, metadata={"Date": None, "Creator": None})


if __name__ == "__main__":
    main()
