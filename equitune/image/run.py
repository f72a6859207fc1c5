"""A run of the image experiment as one object: made by the command, kept in config.json."""

from typing import Literal

from equitune.compat import extra
from equitune.config.base import IDENTITY, STRICT, Seed, Training
from equitune.config.image import ImageBuilder, ImageMethod, ImageModel
from equitune.methods import METHODS

with extra("workflow"):
    from pydantic import Field
    from pydantic.dataclasses import dataclass

BASE: Literal["base"] = "base"  # the model that methods start from, where it is trained here


@dataclass(config=STRICT, frozen=True, kw_only=True)
class ImageDesign:
    """What a model is built from, besides its dataset.

    Attributes:
        architecture: its name in the tables; a network of torchvision, "efficientnet_lite0" or
            "timm:" and a name, unless the builder names one.
        builder: which network, upsampling, and arguments of the network's builder.
        method: `BASE` for a model trained from scratch, else how it was tuned.
        group: of `IMAGE_GROUPS`: under which the model becomes invariant, or by which its training
            images are moved; `IDENTITY` for methods that use none.
        model: head, backbone, precision, memory.
    """

    architecture: str
    builder: ImageBuilder = Field(default_factory=ImageBuilder)
    method: ImageMethod | Literal["base"] = BASE
    group: str = IDENTITY
    model: ImageModel

    @property
    def network(self) -> str:
        """The network's own name."""
        return self.builder.architecture or self.architecture

    @property
    def frozen(self) -> bool:
        """Whether the backbone keeps its weights."""
        return self.model.backbone == "frozen"

    @property
    def by_input(self) -> bool:
        """Whether the method looks at the pixels of copies, and not at their features alone."""
        return self.method != BASE and METHODS[self.method].combine == "canonical"


@dataclass(config=STRICT, frozen=True, kw_only=True)
class ImageRun(ImageDesign):
    """All settings that a trained model depends on besides its dataset and first weights.

    Attributes:
        seed: seeds the weights, the order of the data and dropout.
        training: optimizer, schedule and number of steps.
    """

    seed: Seed
    training: Training
