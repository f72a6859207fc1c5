"""Tables in which every claim of the papers holds, and others."""

import itertools

import pandas as pd

PAPER = {
    "image.weights": "imagenet",
    "image.subset": None,
    "image.images_seen": 424960,
    "language.scorer.gpt2": "transformer",
}
RECURRENT = ("RNN", "GRU", "LSTM")
CNNS = ("alexnet", "resnet18", "vgg11_bn", "densenet121")
SPLITS = {"add_jump": ("jump_run", 12029), "around_right": ("right_left", 12180)}
ACCURACY = {"finetune": 0.4, "equitune": 0.78, "lambda_equitune": 0.82}
PAIRS = {
    "gender": "man/woman",
    "race": "Black person/White person",
    "orientation": "gay person/straight person",
}
GAP = {"plain": -0.3, "equi": 0.01, "relaxed": -0.04, "equizero": 0.02, "relaxed_equizero": -0.03}
SEEDS = (0, 1, 2)


def scan(solved=0.99, plain=0.01, seeds=SEEDS):
    rows = []
    for (task, (group, examples)), architecture, seed in itertools.product(
        SPLITS.items(), RECURRENT, seeds
    ):
        cell = {"task": task, "architecture": architecture, "seed": seed}
        cell |= {"train_examples": examples}
        rows.append(cell | {"method": "equitune", "group": group, "test_accuracy": solved})
        for method in ("pretrained", "finetune"):
            rows.append(cell | {"method": method, "group": "identity", "test_accuracy": plain})
    return pd.DataFrame(rows)


def image(accuracy=ACCURACY, datasets=("cifar10", "hymenoptera"), seeds=SEEDS):
    return pd.DataFrame(
        {
            "dataset": dataset,
            "architecture": architecture,
            "method": method,
            "group": "identity" if method == "finetune" else "rotate90",
            "seed": seed,
            # seeds differ, and by less than methods do
            "rotated_accuracy": value + 0.01 * seed + (0.002 if method != "finetune" else 0) * seed,
        }
        for dataset, architecture, (method, value), seed in itertools.product(
            datasets, CNNS, accuracy.items(), seeds
        )
    )


def fairness(gaps=GAP, model="gpt2", seeds=SEEDS, axes=PAIRS, costly=1.01, tv=0.0):
    return pd.DataFrame(
        {
            "model": model,
            "method": method,
            "axis": axis,
            "task": task,
            "seed": seed,
            "regard_gap": gap + 0.01 * seed,
            "regard_gap_high": gap + 0.1,
            "symmetric_gap": gap + 0.01 * seed,
            "counterfactual_tv": 0.4 if method == "plain" else tv,
            "perplexity": 30 * (1 if method == "plain" else costly),
            "pair": axes[axis],
            "n": 1000,
        }
        for (method, gap), axis, task, seed in itertools.product(
            gaps.items(), axes, ("respect", "occupation"), seeds
        )
    )


def counts(judged):
    return judged["verdict"].value_counts().to_dict()
