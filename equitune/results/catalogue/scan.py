"""The figures of SCAN."""

from equitune.results.catalogue.record import PUBLISHED, Figure, under

FIGURES = (
    Figure(
        name="scan_accuracy",
        module="scan",
        target="scan",
        tables=("scan", PUBLISHED),
        shows="test accuracy",
        keys=under("scan", "tasks", "architectures", "methods", "groups", "seeds"),
        caption=(
            "Exact match on SCAN's two compositional test sets, for each recurrent "
            "architecture. Look at the orange bars beside the blue ones: both come from the "
            "same pretrained model and the same number of further steps; only the blue ones "
            "average over the group of two that exchanges two words. Bars are means over the "
            "seeds, points the seeds themselves; the open markers are published values of "
            "other methods, with their source."
        ),
    ),
)
