"""The section `image` of the configuration."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from equitune.config.base import STRICT, Name, Place, Seed, Training, about, repeated
from equitune.config.image_groups import IMAGE_GROUPS
from equitune.config.image_kinds import IMAGE_KINDS, located
from equitune.io.architectures import fault_of
from equitune.io.names import nearest
from equitune.methods import names

Architecture = Annotated[
    str, Field(pattern=r"^(timm:)?[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*$", max_length=64)
]

Backbones = Literal["trained", "frozen"]
Heads = Literal["shared", "linear", "own"]

IMAGE_METHODS = names("image")
if TYPE_CHECKING:  # a checker cannot follow a literal that is computed
    ImageMethod = str
    GroupName = str
    KindName = str
else:
    ImageMethod = Literal[IMAGE_METHODS]
    GroupName = Literal[tuple(IMAGE_GROUPS)]
    KindName = Literal[tuple(IMAGE_KINDS)]


@dataclass(config=STRICT, frozen=True)
class ImageSource:
    """Where the images of a dataset come from, and how they are made equal in size."""

    kind: Annotated[
        KindName, about("; ".join(f"{name}: {kind.about}" for name, kind in IMAGE_KINDS.items()))
    ]
    size: Annotated[int, about("side of the square images in pixels", ge=8, le=4096)]
    upsample: Annotated[
        int,
        about(
            "enlargement on the way into the model, bilinear; times that of the builder",
            ge=1,
            le=64,
        ),
    ] = 1
    location: Annotated[Place | None, about(located())] = None
    crop: Annotated[
        Literal["center", "none"], about("cut the middle square, or keep images of one shape whole")
    ] = "center"
    broken: Annotated[
        Literal["refuse", "skip"], about("what is done about images that cannot be decoded")
    ] = "refuse"
    train_images: Annotated[
        int | None,
        about("how many of the training images, by class alike, for every seed the same", ge=2),
    ] = None
    test_images: Annotated[
        int | None,
        about("how many of the test images, by class alike, for every seed the same", ge=2),
    ] = None


@dataclass(config=STRICT, frozen=True)
class ImageBuilder:
    """How the models of one architecture are built, and what they have of their own."""

    architecture: Annotated[
        Architecture | None,
        about("the network, where the name is one of your own, as NETWORK_frozen; null: the name"),
    ] = None
    backbone: Annotated[
        Backbones | None, about("of this architecture alone; null: as image.model.backbone")
    ] = None
    head: Annotated[
        Heads | None, about("of this architecture alone; null: as image.model.head")
    ] = None
    weights: Annotated[
        Place | None, about("of this architecture alone; null: as image.weights")
    ] = None
    datasets: Annotated[
        list[Name] | None, about("which of image.datasets it is run on; null: all", min_length=1)
    ] = None
    upsample: Annotated[
        int,
        about("enlargement of the images, for architectures that take no small ones", ge=1, le=64),
    ] = 1
    channels_last: Annotated[
        bool | None, about("of this architecture alone; null: as image.model.channels_last")
    ] = None
    options: Annotated[dict[str, Any], about("arguments of the builder")] = Field(
        default_factory=dict
    )


@dataclass(config=STRICT, frozen=True)
class ImageModel:
    """What all architectures have in common."""

    head: Annotated[
        Heads,
        about(
            "two shared linear layers, average pooling and one linear layer, or the model's own "
            "classifier"
        ),
    ] = "shared"
    backbone: Annotated[
        Backbones,
        about("whether tuning trains the backbone; a frozen one's features are computed once"),
    ] = "trained"
    precision: Annotated[
        Literal["float32", "bfloat16", "float16"],
        about("of training, by autocast; evaluation is always in float32"),
    ] = "float32"
    channels_last: Annotated[
        bool, about("memory layout that pays from 224 pixels on, for some networks before")
    ] = False
    chunk_size: Annotated[
        int | None, about("copies of an orbit at once, to bound memory; null: all", ge=1)
    ] = None


@dataclass(config=STRICT, frozen=True)
class Image:
    """The image experiment."""

    datasets: Annotated[list[Name], about("names from image.sources", min_length=1)]
    architectures: Annotated[
        list[Architecture],
        about(
            "torchvision builders, efficientnet_lite0, timm:NAME, or names from image.builders",
            min_length=1,
        ),
    ]
    methods: Annotated[list[ImageMethod], about("what is done to the models", min_length=1)]
    seeds: Annotated[list[Seed], about("one run for each", min_length=1)]
    groups: Annotated[
        list[GroupName],
        about("models without a group are measured by the first", min_length=1),
    ]
    sources: Annotated[dict[Name, ImageSource], about("the datasets by name; add your own")]
    validation_fraction: Annotated[
        float, about("share of the training images held out for validation", gt=0, lt=1)
    ]
    subset: Annotated[
        int | None, about("trial runs: at most this many images of each part; null: all", ge=1)
    ]
    weights: Annotated[
        Place, about("imagenet, self (trained here on upright images), or a file of weights")
    ]
    model: Annotated[ImageModel, about("the models")]
    builders: Annotated[
        dict[Architecture, ImageBuilder], about("what an architecture needs, if anything")
    ]
    pretraining: Annotated[
        dict[Architecture, Training], about("training from scratch, by architecture")
    ]
    tuning: Annotated[
        dict[Architecture, Training], about("training of every method, by architecture")
    ]

    def builder(self, architecture: str) -> ImageBuilder:
        """How an architecture is built."""
        return self.builders.get(architecture, ImageBuilder())

    def network(self, architecture: str) -> str:
        """The network that an architecture is."""
        return self.builder(architecture).architecture or architecture

    def settings(self, architecture: str) -> ImageModel:
        """The settings of an architecture's models."""
        builder, model = self.builder(architecture), self.model
        own = {name: getattr(builder, name) for name in ("backbone", "head", "channels_last")}
        return replace(model, **{name: one for name, one in own.items() if one is not None})

    def weights_of(self, architecture: str) -> str:
        """Where the first weights of an architecture come from, as image.weights says it."""
        return self.builder(architecture).weights or self.weights

    def cells(self) -> list[dict[str, str]]:
        """The pairs of dataset and architecture that are run, dataset after dataset."""
        return [
            {"dataset": dataset, "architecture": architecture}
            for dataset in self.datasets
            for architecture in self.architectures
            if dataset in (self.builder(architecture).datasets or self.datasets)
        ]


def problems(image: Image) -> Iterator[str]:
    """What no single key shows: names used but not defined, or named twice."""
    for key in ("datasets", "architectures", "methods", "seeds", "groups"):
        if twice := repeated(getattr(image, key)):
            yield f"{key}: {twice[0]!r} is listed twice; list it once"
    for place, name in enumerate(image.datasets):
        if name not in image.sources:
            yield f"datasets[{place}]: unknown dataset {name!r}{nearest(name, image.sources)}"
    for name, source in image.sources.items():
        if (source.location is None) != (IMAGE_KINDS[source.kind].location is None):
            needed = "is needed" if source.location is None else "has no meaning"
            yield f"sources.{name}.location {needed} for kind {source.kind}"
    for architecture in image.architectures:
        if fault := fault_of(image.network(architecture)):
            yield f"architectures: {fault}"
        for name in image.builder(architecture).datasets or ():
            if name not in image.datasets:
                key = f"builders.{architecture}.datasets"
                yield f"{key}: unknown dataset {name!r}{nearest(name, image.datasets)}"
        for stage, missing in (("pretraining", "a model from scratch"), ("tuning", "")):
            plan = getattr(image, stage).get(architecture)
            if missing == "" and image.settings(architecture).backbone == "frozen":
                missing = "a frozen backbone"
            if missing and plan is not None and plan.adapter is not None:
                yield f"{stage}.{architecture}.adapter has no meaning for {missing}: leave it out"
        trained_here = image.weights_of(architecture) == "self"
        stages = ("pretraining", "tuning") if trained_here else ("tuning",)
        for stage in stages:
            if architecture not in getattr(image, stage):
                yield f"{stage}: nothing for {architecture}; add image.{stage}.{architecture}"
