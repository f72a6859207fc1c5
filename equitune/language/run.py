"""Runs of the language experiment as objects: made by the command, kept in manifests."""

from equitune.compat import extra
from equitune.config.base import STRICT, Seed, Training
from equitune.config.language import LanguageMethod, LanguageTuning, SmallGPT2

with extra("workflow"):
    from pydantic import Field
    from pydantic.dataclasses import dataclass


@dataclass(config=STRICT, frozen=True, kw_only=True)
class CorpusRun:
    """A small GPT-2 trained from scratch.

    Attributes:
        network: the model's size.
        seed: seeds the weights and the order of the data.
        training: optimizer, schedule and number of steps.
    """

    network: SmallGPT2
    seed: Seed
    training: Training


@dataclass(config=STRICT, frozen=True, kw_only=True)
class LanguageRun:
    """A pretrained model as a method makes it fair, and what it is asked.

    Attributes:
        model: what the model is called in the tables.
        method: how it is made fair.
        axes: for each axis its lexicon, a shipped name or a file.
        tasks: names in the file of prompts.
        forms: other forms of the lexicons' words move too.
        seed: of the run; each text has a seed of its own that follows from it.
    """

    model: str
    method: LanguageMethod
    axes: dict[str, str] = Field(min_length=1)
    tasks: list[str]
    forms: bool = False
    seed: Seed = 0


@dataclass(config=STRICT, frozen=True, kw_only=True)
class TuningRun:
    """Adapters trained on a text, inside the model that a method makes.

    Attributes:
        model: as for `LanguageRun`.
        method: one that does not choose among whole texts; plain trains the model as it is.
        lexicon: which words move along `tuning.axis`, a shipped name or a file.
        tasks: names in the file of prompts, on which counterfactual_tv is measured.
        forms: as for `LanguageRun`.
        seed: seeds the adapters and the order of the blocks.
        tuning: axis, blocks, rank and training.
    """

    model: str
    method: LanguageMethod
    lexicon: str
    tasks: list[str]
    forms: bool = False
    seed: Seed
    tuning: LanguageTuning

    @property
    def training(self) -> Training:
        """Optimizer, schedule and number of steps."""
        return self.tuning.training
