"""Commands of the image experiment: arguments to calls."""

from pathlib import Path
from typing import Annotated

from equitune.compat import extra
from equitune.config import ImageBuilder, ImageModel, ImageSource, Training
from equitune.config.base import IDENTITY
from equitune.config.image_groups import IMAGE_GROUPS
from equitune.io.layout import SUFFIX, features_of
from equitune.methods import names
from equitune.options import (
    ELSE,
    Beside,
    Dataset,
    Device,
    Input,
    Mirror,
    Output,
    RunSeed,
    Seed,
    Settings,
    States,
    beside,
    build,
    placed,
    settings,
    states,
)

with extra("workflow"):
    import typer

app = typer.Typer(help="Image classification under rotations and flips.")

ARCHITECTURE = "A torchvision builder, or timm:NAME"
Architecture = Annotated[str, typer.Option(help=f"{ARCHITECTURE}.")]
RunArchitecture = Annotated[str | None, typer.Option(help=f"{ARCHITECTURE}{ELSE}")]
Builder = Annotated[
    str, typer.Option(help="Upsampling, the builder's options: upsample=2,…; or YAML.")
]
Model = Annotated[str, typer.Option(help="Head, backbone, precision: backbone=frozen,…; or YAML.")]
Group = Annotated[str, typer.Option(help=", ".join(IMAGE_GROUPS))]
Features = Annotated[
    list[str],
    typer.Option(
        help="What image features wrote, once for each group: NAME.safetensors, or NETWORK/GROUP of"
        " the folder features beside that of the dataset."
    ),
]


@app.command()
def dataset(
    source: Annotated[
        str, typer.Option(help="Kind, size and place: kind=folder,…; YAML; or a name, as digits.")
    ],
    name: Annotated[str, typer.Option(help="Name of the dataset, kept with it.")],
    seed: Seed,
    validation_fraction: Annotated[float, typer.Option(help="Share held out of training.")],
    output: Output,
    subset: Annotated[
        int | None, typer.Option(help="Trial runs: at most this many images of each part.")
    ] = None,
    archive: Annotated[Path | None, typer.Option(help="The retrieved archive, if any.")] = None,
) -> None:
    """Read the images of a source and split off the validation part."""
    from equitune.image.data import build_dataset, save_dataset
    from equitune.image.sources import read_source

    chosen = settings(ImageSource, source, "--source", "image.sources")
    train, test, classes = read_source(chosen, archive, seed, name)
    parts = build_dataset(train, test, seed, validation_fraction, subset)
    save_dataset(
        output,
        parts,
        classes,
        dataset=name,
        size=chosen.size,
        upsample=chosen.upsample,
        seed=seed,
        validation_fraction=validation_fraction,
        subset=subset,
    )


@app.command()
def transform(
    dataset: Input,
    group: Group,
    seed: Seed,
    output: Output,
) -> None:
    """Move each test image by a group element of its own, drawn by the seed and kept."""
    from equitune.image import data

    parts, about = data.load_dataset(dataset)
    images, elements = data.transform(parts["test"], data.image_action(group), seed)
    data.save_transformed(
        output, images, elements, dataset=about["dataset"], group=group, seed=seed
    )


@app.command()
def weights(
    architecture: Architecture,
    output: Output,
    mirror: Mirror = None,
) -> None:
    """Retrieve torchvision's ImageNet weights of an architecture, checked."""
    from equitune.image.weights import imagenet_source
    from equitune.io.retrieve import retrieve

    retrieve(imagenet_source(architecture), output, mirror)


@app.command()
def features(
    datasets: Annotated[list[Path], typer.Argument(help="The dataset as each seed divides it.")],
    weights: Input,
    architecture: Architecture,
    group: Group,
    output: Output,
    builder: Builder = "{}",
    model: Model = "{}",
    device: Device = "auto",
) -> None:
    """Compute a frozen network's features of every copy of every image, once for all."""
    from equitune.image.extraction import extract
    from equitune.image.run import ImageDesign

    run = build(
        ImageDesign,
        architecture=architecture,
        builder=settings(ImageBuilder, builder, "--builder"),
        method="pretrained",
        model=settings(ImageModel, model, "--model"),
    )
    extract(run, datasets, weights, group=group, output=output, device=device)


@app.command()
def forecast(
    transformed: Annotated[Path, typer.Option(help="Group-transformed test part.")],
    model: Annotated[Path, typer.Option(help="model.safetensors of a model without a group.")],
    output: Output,
    dataset: Dataset = None,
    device: Device = "auto",
    features: Features = [],  # noqa: B006
) -> None:
    """Foretell what averaging over the group will gain, without labels; then measure it."""
    from equitune.image import forecast

    known = placed(output, dataset=dataset).dataset
    computed = _files(features, known)
    forecast.forecast(known, transformed, model, output, device=device, features=computed)


@app.command()
def pretrain(
    training: Settings,
    output: Output,
    dataset: Dataset = None,
    architecture: RunArchitecture = None,
    seed: RunSeed = None,
    builder: Builder = "{}",
    model: Model = "{}",
    device: Device = "auto",
    state_folder: States = None,
) -> None:
    """Train a model from scratch on the upright training images."""
    from equitune.image import experiment
    from equitune.image.run import ImageRun
    from equitune.run.job import Job

    place = placed(output, dataset=dataset, architecture=architecture, seed=seed)
    run = build(
        ImageRun,
        architecture=place.architecture,
        builder=settings(ImageBuilder, builder, "--builder"),
        seed=place.seed,
        model=settings(ImageModel, model, "--model"),
        training=settings(Training, training, "--training"),
    )
    job = Job(output=output, device=device, state_folder=states(state_folder, output))
    experiment.pretrain(run, place.dataset, job)


@app.command()
def tune(
    weights: Input,
    training: Settings,
    output: Output,
    dataset: Dataset = None,
    architecture: RunArchitecture = None,
    method: Annotated[str | None, typer.Option(help=f"{', '.join(names('image'))}{ELSE}")] = None,
    group: Annotated[
        str | None, typer.Option(help=f"{', '.join((*IMAGE_GROUPS, IDENTITY))}{ELSE}")
    ] = None,
    seed: RunSeed = None,
    builder: Builder = "{}",
    model: Model = "{}",
    device: Device = "auto",
    state_folder: States = None,
    features: Features = [],  # noqa: B006
    teacher: Annotated[
        Path | None, typer.Option(help="Of method distilled: the equi-tuned model.safetensors.")
    ] = None,
) -> None:
    """Train a pretrained model further by a method."""
    from equitune.image import experiment
    from equitune.image.run import ImageRun
    from equitune.run.job import Job

    given = {"architecture": architecture, "method": method, "group": group, "seed": seed}
    place = placed(output, dataset=dataset, **given)
    run = build(
        ImageRun,
        architecture=place.architecture,
        builder=settings(ImageBuilder, builder, "--builder"),
        method=place.method,
        group=place.group,
        seed=place.seed,
        model=settings(ImageModel, model, "--model"),
        training=settings(Training, training, "--training"),
    )
    job = Job(output=output, device=device, state_folder=states(state_folder, output))
    known = _files(features, place.dataset)
    experiment.tune(run, place.dataset, weights, job, features=known, teacher=teacher)


@app.command()
def evaluate(
    models: Annotated[list[Path], typer.Argument(help="model.safetensors of each model.")],
    transformed: Annotated[
        list[Path], typer.Option(help="Group-transformed test part; once for each group.")
    ],
    output: Output,
    dataset: Dataset = None,
    device: Device = "auto",
    features: Features = [],  # noqa: B006
    elements: Beside = None,
    examples: Beside = None,
    scores: Beside = None,
) -> None:
    """Score models on the test part, upright and moved by the group.

    Beside the output: the accuracy by group element (elements.csv), images with their predictions
    (examples.csv), a row for each model and test image (scores.csv).
    """
    from equitune.image import evaluation

    known = placed(output, dataset=dataset).dataset
    evaluation.evaluate(
        known,
        transformed,
        models,
        output=output,
        elements=beside(elements, output, "elements.csv"),
        examples=beside(examples, output, "examples.csv"),
        device=device,
        features=_files(features, known),
        scores=beside(scores, output, "scores.csv"),
    )


def _files(features: list[str], dataset: Path) -> list[Path]:
    """The files of features, those called NETWORK/GROUP beside the dataset."""
    return [
        Path(name) if name.endswith(SUFFIX) else features_of(dataset, name) for name in features
    ]
