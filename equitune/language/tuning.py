"""Equi-tuning of a language model: adapters trained inside the average over the group.

M_G is fair whatever the weights of M are, so it is fair after every step (Basu et al. 2023, arXiv
2210.06475, fine-tune it this way). The adapters are LoRA (Hu et al. 2022, arXiv 2106.09685): the
pretrained weights stay as they are. It knows files and settings; what is averaged stands elsewhere.
"""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from equitune import devices, runs
from equitune.config import CHOOSING, LanguageTuning
from equitune.extras import extra
from equitune.files import atomic_files
from equitune.language import measures
from equitune.language.data import encode_prompt, read_text, text_parts
from equitune.language.lexicon import read_lexicon
from equitune.language.methods import build, load, vocabulary, weights
from equitune.language.prompts import read_prompts
from equitune.language.words import words_on
from equitune.results.tables import TUNING_COLUMNS
from equitune.vision import import_transformers

if TYPE_CHECKING:
    from equitune.language.models import EquiCausalLM

logger = logging.getLogger(__name__)

TABLE = "tuning.csv"
TRACED = ("step", "perplexity", "counterfactual_tv")


class Adapters(nn.Module):
    """The weights that are trained, and what was measured of the model meanwhile.

    Training keeps the state of this and not of the whole model, which is a hundred times as large.

    Attributes:
        weights: the adapters' own tensors, shared with the model that they are in.
        trace: (validations + 1, 3) in float64, columns `TRACED`; not numbers where not yet filled.
    """

    trace: Tensor

    def __init__(self, model: nn.Module, rows: int) -> None:
        """Collect the parameters of a model that are trained."""
        super().__init__()
        self.weights = nn.ParameterList([p for p in model.parameters() if p.requires_grad])
        self.register_buffer("trace", torch.full((rows, 3), math.nan, dtype=torch.float64))

    @property
    def filled(self) -> int:
        """Return how many rows of the trace are filled."""
        return int((~self.trace[:, 0].isnan()).sum())

    def note(self, step: int, perplexity: float, tv: float) -> None:
        """Put down a measurement in the first row that is free."""
        numbers = torch.tensor([step, perplexity, tv], dtype=torch.float64)
        self.trace[self.filled] = numbers


def tune(
    base: Path,
    name: str,
    method: str,
    lexicon: str,
    text: Path,
    test: Path,
    tasks: Sequence[str],
    tuning: LanguageTuning,
    seed: int,
    output: Path,
    prompts: Path | None = None,
    forms: bool = False,
    device: str = "auto",
    state_folder: Path | None = None,
) -> None:
    """Train adapters on a text, inside the model that a method makes.

    Args:
        base: the pretrained model's folder.
        name: what the model is called in the table.
        method: plain, equi or relaxed; plain trains the model as it is, for comparison.
        lexicon: which words move along `tuning.axis`, a shipped name or a file.
        text: what is trained on; the last blocks are held out for validation.
        test: what perplexity is measured on before and after.
        tasks: names in the file of prompts, on which counterfactual_tv is measured.
        tuning: blocks, rank and training.
        seed: seeds the adapters and the order of the blocks.
        output: manifest.json, written last; the adapters stand beside it as PEFT writes them, and
            tuning.csv with `TUNING_COLUMNS`, a row for each validation and one before all steps.
        prompts: file of prompts; None: those shipped.
        forms: other forms of the lexicon's words move too.
        device: "auto" or a torch device.
        state_folder: where the state is kept while training, for resuming.

    Raises:
        ValueError: another method, a model, lexicon, text or file of prompts that cannot be read
            or does not fit, or a text of too few blocks.
    """
    if method in CHOOSING:
        raise ValueError(
            f"method {method} chooses among whole texts, so there is nothing to train: expected "
            "plain, equi or relaxed"
        )
    import_transformers()  # before PEFT imports a model of it
    with extra("language"):
        from peft import LoraConfig, get_peft_model
    with extra("workflow"):
        import pandas as pd

    chosen = devices.prepare(device)
    model, tokenizer = load(base, device)
    words = read_lexicon(lexicon)
    action = words_on(words, tokenizer, vocabulary(model), forms=forms).action
    known = read_prompts(prompts)
    asked = [encode_prompt(tokenizer, p.text) for task in tasks for p in known(tuning.axis, task)]
    ids, held = _parts(text_parts(tokenizer, read_text(text), tuning.block), tuning, text)
    tested = text_parts(tokenizer, read_text(test), tuning.block, tuning.test_blocks)
    torch.manual_seed(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on GPT-2's kind of layer, and a name of transformers'
        adapted = get_peft_model(model, LoraConfig(r=tuning.rank, target_modules="all-linear"))
    # evaluation mode throughout: copies of a block without a word that moves are computed once
    wrapped = build(adapted, tokenizer, words, method, forms).eval()
    training = tuning.training
    checks = math.ceil(training.steps / (training.validate_every or max(training.steps, 1)))
    adapters = Adapters(adapted, 1 + checks)

    def validate() -> float:
        step = min(adapters.filled * (training.validate_every or training.steps), training.steps)
        perplexity = measures.perplexity(wrapped, held)
        adapters.note(step, perplexity, measures.prompt_tv(wrapped, action, asked))
        return -math.log(perplexity)

    validate()
    before = measures.perplexity(wrapped, tested)

    def save() -> None:
        rows = pd.DataFrame(adapters.trace[: adapters.filled].tolist(), columns=[*TRACED])
        rows = rows.assign(model=name, method=method, axis=tuning.axis, seed=seed)
        rows["step"] = rows["step"].astype(int)
        after = measures.perplexity(wrapped, tested)
        rows["test_perplexity"] = [before, *[math.nan] * (len(rows) - 2), after][: len(rows)]
        rows["test_tokens"] = sum(len(part) - 1 for part in tested)
        with atomic_files(output.parent) as folder:
            adapted.save_pretrained(str(folder))
            rows[list(TUNING_COLUMNS)].to_csv(folder / TABLE, index=False)
        steps = training.steps
        logger.info(
            "%s %s: perplexity %.2f, after %d steps %.2f", name, method, before, steps, after
        )

    settings = {key: value for key, value in asdict(tuning).items() if key != "training"}
    runs.train(
        adapters,
        training,
        {"model": name, "method": method, "tasks": [*tasks], "seed": seed, "tuning": settings},
        [*weights(base), text, test, *filter(Path.is_file, [Path(lexicon)])],
        output,
        epoch=lambda generator: torch.split(
            torch.randperm(len(ids), generator=generator), training.batch_size
        ),
        loss=_loss(wrapped, ids),
        validate=validate,
        save=save,
        label=f"language {name} {method}",
        device=chosen,
        state_folder=state_folder,
    )


def _parts(
    parts: Sequence[Sequence[int]], tuning: LanguageTuning, text: Path
) -> tuple[Tensor, list[Sequence[int]]]:
    """Divide a text's blocks: ids to train on, (blocks, block), and the last ones, held out.

    A shorter last block is left out.
    """
    whole = [part for part in parts if len(part) == tuning.block]
    count = tuning.validation_blocks
    if len(whole) <= count:
        raise ValueError(
            f"{text} has {len(whole)} blocks of {tuning.block} tokens: expected {count + 1} or "
            "more; set a smaller block, or take a longer text"
        )
    return torch.tensor(whole[:-count]), whole[-count:]


def _loss(model: EquiCausalLM, ids: Tensor) -> Callable[[Tensor], Tensor]:
    """Return the function from the numbers of blocks to their mean negative log-likelihood."""

    def loss(rows: Tensor) -> Tensor:
        batch = ids[rows].to(model.device)
        value: Tensor = model(batch, labels=batch, use_cache=False).loss
        return value

    return loss
