"""A run of the SCAN experiment as one object: made by the command, kept in config.json."""

from equitune.compat import extra
from equitune.config.base import IDENTITY, STRICT, Seed, Training
from equitune.config.scan import Permutation, ScanArchitecture, ScanMethod, Seq2SeqModel

with extra("workflow"):
    from pydantic import Field
    from pydantic.dataclasses import dataclass


@dataclass(config=STRICT, frozen=True, kw_only=True)
class ScanRun:
    """All settings that a trained model depends on besides its dataset.

    Attributes:
        architecture: the recurrent cell, by its name in the configuration.
        method: "pretrained" for a model trained from scratch, else how it was tuned.
        group: the name of the group; `IDENTITY` for methods that use none.
        permutation: the cycles of words that generate the group; none of them: the identity.
        seed: seeds the weights, the order of the data and dropout.
        model: widths and dropout.
        training: optimizer, schedule and number of steps.
        words: of commands and actions, where they are not SCAN's own.
    """

    architecture: ScanArchitecture
    method: ScanMethod = "pretrained"
    group: str = IDENTITY
    permutation: Permutation = Field(default_factory=Permutation)
    seed: Seed
    model: Seq2SeqModel
    training: Training
    words: dict[str, list[str]] | None = None
