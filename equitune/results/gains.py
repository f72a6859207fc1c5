"""What equi-tuning gains over plain and augmented fine-tuning, with intervals; draws nothing.

Models are compared on the same images, image by image, so an image that is easy for all of them
adds no noise. The interval is of 95 % and holds for other images and for other seeds: with the
standard errors of the mean over the images (each averaged over its seeds) and over the seeds (each
averaged over its images), half its width is √((1.96 s_images)² + (t s_seeds)²), t being that of
seeds - 1. What images and seeds do together is in both terms, so it is rather too wide than too
narrow. Of one seed it holds for other images alone.
"""

from __future__ import annotations

from math import hypot, sqrt

import pandas as pd
from scipy import stats

from equitune.methods import METHODS, names
from equitune.results.tables import (
    IMAGE_FORECAST_COLUMNS,
    IMAGE_FORECAST_KEYS,
    IMAGE_GAIN_COLUMNS,
    IMAGE_SCORES,
)

CONFIDENCE = 0.95
# equi-tuned methods and what learns from one, and those without copies whose whole model is trained
TUNED = tuple(name for name in names("image") if METHODS[name].combine or METHODS[name].teacher)
AGAINST = names("image", combine=None, head_only=False)
MEASURES = {  # of the score: how the gain is called, and the sign that makes more better
    "rotated_correct": ("rotated_accuracy", 1),
    "upright_correct": ("upright_accuracy", 1),
    "rotated_brier": ("rotated_brier", -1),
    "upright_brier": ("upright_brier", -1),
}


def gains(scores: pd.DataFrame) -> pd.DataFrame:
    """Compare every equi-tuned model with every fine-tuned one of its dataset and architecture.

    Args:
        scores: a row for each model, seed and test image, with `IMAGE_SCORE_COLUMNS`.

    Returns:
        Rows of `IMAGE_GAIN_COLUMNS`; none where there is nothing to compare. A gain is how much
        the equi-tuned model is better: accuracy more, Brier score less.
    """
    rows = []
    for (dataset, architecture), cell in scores.groupby(["dataset", "architecture"]):
        for group in sorted(set(cell.loc[cell["method"].isin(TUNED), "group"])):
            for method in TUNED:
                for against in (other for other in AGAINST if other != method):
                    ours = cell[(cell["method"] == method) & (cell["group"] == group)]
                    theirs = _measured_by(cell[cell["method"] == against], group)
                    keys = {"dataset": dataset, "architecture": architecture, "group": group}
                    keys |= {"method": method, "against": against}
                    rows += [keys | found for found in _compared(ours, theirs, method, against)]
    return pd.DataFrame(rows, columns=list(IMAGE_GAIN_COLUMNS))


def forecasts(parts: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """Put what training brought beside the forecasts made before it.

    Args:
        parts: a row for each dataset, architecture, group and seed, with
            `IMAGE_FORECAST_PART_COLUMNS`.
        scores: as for `gains`.

    Returns:
        The same with tuned_gain, the mean Brier score of the fine-tuned model on the moved test
        images minus that of the equi-tuned one, and tuned_error, its standard error over the
        images; empty where one of the two was not run.
    """
    brought = []
    for dataset, architecture, group, seed in parts[list(IMAGE_FORECAST_KEYS)].to_numpy():
        cell = scores[
            (scores["dataset"] == dataset)
            & (scores["architecture"] == architecture)
            & (scores["seed"] == seed)
        ]
        plain = _measured_by(cell[cell["method"] == "finetune"], group)
        tuned = cell[(cell["method"] == "equitune") & (cell["group"] == group)]
        saved = -_differences(tuned, plain)["rotated_brier"]
        error = float(saved.std()) / sqrt(len(saved)) if len(saved) else None
        brought.append((saved.mean() if len(saved) else None, error))
    tuned_gain, tuned_error = zip(*brought, strict=True) if brought else ((), ())
    table = parts.assign(tuned_gain=tuned_gain, tuned_error=tuned_error)
    return table[list(IMAGE_FORECAST_COLUMNS)].astype({"tuned_gain": float, "tuned_error": float})


def interval(differences: pd.DataFrame, column: str) -> tuple[float, float]:
    """Return the ends of the 95 % interval of a mean difference; see the head of this module.

    Args:
        differences: one row per image and seed, with the columns image_id and seed.
        column: which difference.
    """
    tail = (1 + CONFIDENCE) / 2
    images = differences.groupby("image_id")[column].mean()
    seeds = differences.groupby("seed")[column].mean()
    half = stats.norm.ppf(tail) * float(images.std()) / sqrt(len(images))
    if len(seeds) > 1:
        of_seeds = stats.t.ppf(tail, len(seeds) - 1) * float(seeds.std()) / sqrt(len(seeds))
        half = hypot(half, of_seeds)
    mean = float(differences[column].mean())
    return mean - half, mean + half


def _compared(
    ours: pd.DataFrame, theirs: pd.DataFrame, method: str, against: str
) -> list[dict[str, object]]:
    """Return one row per measure, none where a model is missing or one image alone is shared."""
    differences = _differences(ours, theirs)
    if differences["image_id"].nunique() < 2:
        return []
    rows = []
    for score, (measure, sign) in MEASURES.items():
        signed = differences.assign(gain=sign * differences[score])
        gain, (low, high) = float(signed["gain"].mean()), interval(signed, "gain")
        rows.append(
            {
                "measure": measure,
                "gain": gain,
                "low": low,
                "high": high,
                "images": differences["image_id"].nunique(),
                "seeds": differences["seed"].nunique(),
                "answer": _answer(method, against, measure, gain, low, high),
            }
        )
    return rows


def _measured_by(rows: pd.DataFrame, group: str) -> pd.DataFrame:
    """Return the rows of models that are scored on images which this group moved.

    Models without a group are scored on those of the first, so none is left for another.
    """
    return rows[rows["measured_by"] == group]


def _differences(ours: pd.DataFrame, theirs: pd.DataFrame) -> pd.DataFrame:
    """Return ours minus theirs for each seed and image that both have, equal images averaged."""
    keys, scores = ["seed", "image_id"], list(IMAGE_SCORES)
    first, second = (rows.groupby(keys)[scores].mean() for rows in (ours, theirs))
    return (first - second).dropna().reset_index()


def _answer(method: str, against: str, measure: str, gain: float, low: float, high: float) -> str:
    """Say in words whether the method is better; a negative answer is one too."""
    factor, unit = (100, "points of accuracy") if "accuracy" in measure else (1, "Brier score")
    digits = 1 if factor == 100 else 3
    number, bottom, top = (f"{factor * x:.{digits}f}" for x in (abs(gain), low, high))
    ours, theirs = METHODS[method].label, METHODS[against].label
    where = "moved" if measure.startswith("rotated") else "upright"
    if low > 0:
        verdict = f"yes: {ours} is better than {theirs} by {number} {unit}"
    elif high < 0:
        verdict = f"no: {ours} is worse than {theirs} by {number} {unit}"
    else:
        verdict = f"not shown: {ours} and {theirs} differ by {factor * gain:.{digits}f} {unit}"
    return f"{verdict} [{bottom}, {top}] on {where} images"
