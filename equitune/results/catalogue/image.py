"""The figures of image classification."""

from equitune.results.catalogue.record import PUBLISHED, Figure, under

FIGURES = (
    Figure(
        name="image_accuracy",
        module="image",
        target="image",
        tables=("image", PUBLISHED),
        shows="upright and rotated accuracy",
        keys=under("image", "datasets", "architectures", "methods", "groups", "seeds"),
        caption=(
            "Accuracy on the test set, for each dataset and architecture. Look at the step "
            "between the two bars of a pair: the pale one is measured on upright images, the "
            "solid one on the same images, each moved by a group element drawn at random. A "
            "model that is invariant has no step. Bars are means over the seeds, points the "
            "seeds themselves; the open markers are published accuracies on moved images, "
            "with their source."
        ),
    ),
    Figure(
        name="image_rotation",
        module="image",
        target="image",
        tables=("image_elements",),
        shows="accuracy against rotation",
        keys=under("image", "groups", "methods"),
        caption=(
            "Accuracy on the test set when all of its images are moved by the same group "
            "element; rotations are counter-clockwise. For each method the elements stand "
            "side by side, every point above the name of its own: the points of a method are "
            "at one height where a model is invariant. Lines are means over the seeds, points "
            "the seeds. Models without a group are measured by the first one."
        ),
    ),
    Figure(
        name="image_orbit",
        module="orbit",
        target="image",
        tables=("image", "image_examples"),
        shows="predictions over orbits, {dataset}, {architecture}",
        keys=under("image", "datasets", "architectures", "groups"),
        cells=("dataset", "architecture"),
        always=False,
        caption=(
            "A few test images (rows), moved by each group element (columns), and the class "
            "that each model predicts for each copy: a check mark where it is right, a cross "
            "and the wrong class where it is not. An invariant model says the same in a whole "
            "row, right or wrong. The images are drawn at random, with a fixed seed, from "
            "those on whose copies the models disagree: three that every model gets right "
            "upright, and two that one gets wrong, classes not yet shown first. So they are "
            "not a random sample of the test set. Models of the first seed."
        ),
    ),
    Figure(
        name="image_cost",
        module="image",
        target="image",
        tables=("image",),
        shows="training time",
        keys=under("image", "methods", "tuning"),
        caption=(
            "Wall-clock time of the training steps, in units of the mean that plain "
            "fine-tuning of the same architecture takes on the same dataset: the dashed line. "
            "Equi-tuning runs the model on every copy of an image, four for the quarter "
            "turns. Bars are means over the seeds, points the seeds themselves. The times are "
            "in seconds where plain fine-tuning was not run."
        ),
    ),
    Figure(
        name="image_gains",
        module="gains",
        target="image",
        tables=("image_gains",),
        shows="gain over fine-tuning, with intervals",
        keys=under("image", "datasets", "architectures", "methods", "groups", "seeds"),
        caption=(
            "How many points of accuracy an equi-tuned model has more than a fine-tuned one "
            "on the same test images, each moved by a random group element. Compared are "
            "fine-tuning on upright images, on images moved at random for as many steps, and "
            "the same for as many passes through the network as equi-tuning takes. Lines are "
            "intervals of 95 %, for other images and, where there are several seeds, for "
            "other seeds. On the left of the dashed line fine-tuning is better."
        ),
    ),
    Figure(
        name="image_forecast",
        module="gains",
        target="image",
        tables=("image_forecast",),
        shows="gain foretold without labels, and measured",
        keys=under("image", "datasets", "architectures", "groups", "seeds", "weights"),
        caption=(
            "Gains in the Brier score, against what was foretold before training without a "
            "label: the mean squared distance between a network's probabilities and their "
            "mean over the copies of an image. Filled: what this mean, of the same network, "
            "saves on the moved test images. By Elesedy & Zaidi (2021) the forecast is exact "
            "for it but for the sample, so the points should lie on the dashed line. Open: "
            "what the equi-tuned model saves against the fine-tuned one, after training; no "
            "theorem promises this. One point per seed, lines of 95 %."
        ),
    ),
)
