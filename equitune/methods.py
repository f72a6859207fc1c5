"""The methods of the three experiments, one record each; what depends on a method is read here.

The configuration's values, the models that are built, colours and labels in figures, comparisons in
tables and the workflow's wildcards come from `METHODS`. A new method is a record, and, if none of
the ways to combine copies fits, one of its own in the `COMBINE` of its experiment.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

Experiment = Literal["scan", "image", "language"]

PLAIN = "plain"  # a language model as it is; published texts are of it


@dataclass(frozen=True)
class Method:
    """One method.

    Attributes:
        name: as the configuration, tables and paths have it.
        label: as figures have it.
        colour: of its bars, lines and points, as #RRGGBB; its own in each of its experiments.
        experiments: those it can be named in.
        combine: how the outputs of the copies gx become one: "mean", "weighted", "select", or
            another key of the experiment's `COMBINE`; None: there is one copy, x. A language model
            that selects chooses among whole texts.
        augments: the group moves the training images at random.
        matched: it is trained for |G| times as many steps, as many passes as equi-tuning takes.
        head_only: nothing but a new head is trained, on the pretrained features; without a new
            head nothing is.
        relaxed: general words of the lexicon stay where they are.
        layers: each layer of its network is equivariant by itself, so it is trained from scratch,
            by the settings of pretraining.
        teacher: the method of the model that it learns from instead of labels, of the same group.
    """

    name: str
    label: str
    colour: str
    experiments: tuple[Experiment, ...]
    combine: str | None = None
    augments: bool = False
    matched: bool = False
    head_only: bool = False
    relaxed: bool = False
    layers: bool = False
    teacher: str | None = None

    @property
    def moves(self) -> bool:
        """Whether the group does anything; models of all other methods have no group's name."""
        return self.combine is not None or self.augments or self.layers


BOTH: tuple[Experiment, ...] = ("scan", "image")
# Okabe & Ito's colours, told apart by colour-blind readers. There are eight of them, and yellow is
# too pale for a line on white, so language models have those of what corresponds to them in the
# other experiments. Figures, tables and messages name the methods in this order.
METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method("pretrained", "pretrained", "#999999", BOTH, head_only=True),
        Method(PLAIN, "plain", "#999999", ("language",)),
        Method("finetune", "fine-tuned", "#E69F00", BOTH),
        Method("finetune_augment", "fine-tuned, augmented", "#D55E00", ("image",), augments=True),
        # a darker shade of the one above: the same method, longer
        Method(
            "finetune_augment_matched",
            "fine-tuned, augmented, equal compute",
            "#7A3600",
            ("image",),
            augments=True,
            matched=True,
        ),
        Method("equitune", "equi-tuned", "#0072B2", BOTH, "mean"),
        Method(
            "equitune_augment",
            "equi-tuned, augmented",
            "#56B4E9",
            ("image",),
            "mean",
            augments=True,
        ),
        Method("canonical", "canonicalized", "#003A5C", ("image",), "canonical"),
        Method("equivariant", "equivariant layers", "#003A5C", ("scan",), layers=True),
        Method("distilled", "distilled", "#332288", ("image",), augments=True, teacher="equitune"),
        Method("equi", "equi", "#0072B2", ("language",), "mean"),
        # the other exact one, at the cost of the plain model
        Method("frame", "frame", "#56B4E9", ("language",), "frame"),
        Method("lambda_equitune", "λ-equi-tuned", "#009E73", BOTH, "weighted"),
        Method("relaxed", "relaxed", "#009E73", ("language",), "mean", relaxed=True),
        Method("equizero", "equizero", "#CC79A7", (*BOTH, "language"), "select"),
        # again a darker shade of the one above
        Method(
            "relaxed_equizero",
            "relaxed equizero",
            "#7D2E5C",
            ("language",),
            "select",
            relaxed=True,
        ),
    )
}


def names(experiment: Experiment | None = None, **facts: Any) -> tuple[str, ...]:
    """Return the names of methods, in their order.

    Args:
        experiment: of which; None: of all.
        **facts: attributes of `Method` with the values that they must have.
    """
    return tuple(
        name
        for name, method in METHODS.items()
        if (experiment is None or experiment in method.experiments)
        and all(getattr(method, key) == value for key, value in facts.items())
    )


# of methods that somebody else's tables name: told apart from those above and from each other
FOREIGN = ("#000000", "#A6761D", "#5E4FA2", "#B2182B", "#4D9221", "#35978F")
LONGEST_LABEL = 40


@contextmanager
def with_foreign(found: Iterable[str]) -> Iterator[list[str]]:
    """Let `METHODS` have methods that it does not know, last and under their own names.

    Figures of somebody else's tables are drawn so; no experiment can be asked for them.

    Args:
        found: names of methods, known ones too.

    Yields:
        Those that were unknown.
    """
    added = sorted({str(name) for name in found} - METHODS.keys())
    for place, name in enumerate(added):
        colour = FOREIGN[place % len(FOREIGN)]
        METHODS[name] = Method(name, name[:LONGEST_LABEL], colour, ())
    try:
        yield added
    finally:
        for name in added:
            del METHODS[name]
