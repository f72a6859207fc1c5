"""Equi-tuning of a language model: adapters trained inside the average over the group.

M_G is fair whatever the weights of M are, so it is fair after every step (Basu et al. 2023, arXiv
2210.06475, fine-tune it this way). The adapters are LoRA (Hu et al. 2022, arXiv 2106.09685): the
pretrained weights stay as they are. It knows files and settings; what is averaged stands elsewhere.
"""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor, nn

from equitune import adapters
from equitune.compat import extra
from equitune.config import CHOOSING, MEASURED, LanguageTuning
from equitune.io.files import atomic_files
from equitune.language import measures
from equitune.language.data import encode_prompt, read_text, text_parts
from equitune.language.lexicon import read_lexicon
from equitune.language.methods import build, load, vocabulary, weights
from equitune.language.moves import check_moved
from equitune.language.prompts import read_prompts
from equitune.language.run import TuningRun
from equitune.language.words import words_on
from equitune.results.tables import TUNING_COLUMNS
from equitune.run import devices
from equitune.run.job import Job, train
from equitune.run.loop import Objective
from equitune.run.ranks import check_ranks

if TYPE_CHECKING:
    import pandas as pd
    from peft import PeftModel
    from transformers import PreTrainedModel

    from equitune.actions import TokenPermutation
    from equitune.language.models import EquiCausalLM

logger = logging.getLogger(__name__)

TABLE = "tuning.csv"
TRACED = ("step", "perplexity", "counterfactual_tv")


class Adapters(nn.Module):
    """A model of which adapters are trained, and what was measured of it meanwhile.

    Its state is that of the adapters and not of the whole model, which is a hundred times as large.
    It stays in evaluation mode: copies of a block without a word that moves are computed once.

    Attributes:
        model: what is trained.
        trace: (validations + 1, 3) in float64, columns `TRACED`; not numbers where not yet filled.
    """

    trace: Tensor

    def __init__(self, model: nn.Module, rows: int) -> None:
        """Store the model; rows: how often it will be measured."""
        super().__init__()
        self.model = model
        self.register_buffer("trace", torch.full((rows, 3), math.nan, dtype=torch.float64))

    def state_dict(  # type: ignore[override]
        self, *arguments: Any, **options: Any
    ) -> dict[str, Any]:
        """Return what training changes: weights that require a gradient, and the trace."""
        kept = {name for name, weight in self.named_parameters() if weight.requires_grad}
        whole = super().state_dict(*arguments, **options)
        return {name: value for name, value in whole.items() if name in kept | {"trace"}}

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """Take up what `state_dict` returned."""
        if strict and (names := state_dict.keys() ^ self.state_dict().keys()):
            raise ValueError(f"a state has {min(names)} too much or too little")
        return super().load_state_dict(state_dict, strict=False, assign=assign)

    def train(self, mode: bool = True) -> Self:
        """Leave the model in evaluation mode."""
        return super().train(False)

    @property
    def filled(self) -> int:
        """Return how many rows of the trace are filled."""
        return int((~self.trace[:, 0].isnan()).sum())

    def note(self, step: int, perplexity: float, tv: float) -> None:
        """Put down a measurement in the first row that is free."""
        numbers = torch.tensor([step, perplexity, tv], dtype=torch.float64)
        self.trace[self.filled] = numbers


def tune(
    run: TuningRun,
    base: Path,
    text: Path,
    test: Path,
    *,
    job: Job,
    prompts: Path | None = None,
) -> None:
    """Train adapters on a text, inside the model that a method makes.

    Args:
        run: method, lexicon, rank and training.
        base: the pretrained model's folder.
        text: what is trained on; the last blocks are held out for validation.
        test: what perplexity is measured on before and after.
        job: its output is manifest.json, written last; the adapters stand beside it as PEFT writes
            them, and tuning.csv with `TUNING_COLUMNS`, a row per validation and one before all
            steps.
        prompts: file of prompts; None: those shipped.

    Raises:
        ValueError: another method, a model, lexicon, text or file of prompts that cannot be read
            or does not fit, or a text of too few blocks.
    """
    if run.method in CHOOSING:
        raise ValueError(
            f"method {run.method} chooses among whole texts, so there is nothing to train: "
            f"expected one of {', '.join(MEASURED)}"
        )
    check_ranks(run.training, run.tuning.precision)  # before perplexity is measured
    chosen = devices.prepare(job.device)
    model, tokenizer = load(base, job.device)
    tuning, training = run.tuning, run.training
    words = read_lexicon(run.lexicon)
    known = read_prompts(prompts)
    texts = [p.text for task in run.tasks for p in known(tuning.axis, task)]
    check_moved(words, known.axes[tuning.axis], run.forms)
    ids, held = _parts(text_parts(tokenizer, read_text(text), tuning.block), tuning, text)
    adapted = _adapted(model, run)
    wrapped = build(adapted, tokenizer, words, run.method, run.forms).eval()
    checks = math.ceil(training.steps / (training.validate_every or max(training.steps, 1)))
    watch = _Watch(
        run=run,
        model=wrapped,
        trained=Adapters(wrapped, 1 + checks),
        held=held,
        tested=text_parts(tokenizer, read_text(test), tuning.block, tuning.test_blocks),
        action=words_on(words, tokenizer, vocabulary(model), forms=run.forms).action,
        prompts=[encode_prompt(tokenizer, each) for each in texts],
    )
    watch.validate()
    before = watch.tested_perplexity()

    def save() -> None:
        after = watch.tested_perplexity()
        with atomic_files(job.output.parent) as folder:
            adapted.save_pretrained(str(folder))
            watch.table(before, after).to_csv(folder / TABLE, index=False)
        numbers = (before, training.steps, after)
        logger.info("%s %s: perplexity %.2f, after %d steps %.2f", run.model, run.method, *numbers)

    own = [*filter(Path.is_file, [Path(run.lexicon)]), *filter(None, [prompts])]
    train(
        watch.trained,
        run,
        job,
        Objective(
            epoch=lambda generator: torch.split(
                torch.randperm(len(ids), generator=generator), training.batch_size
            ),
            loss=_loss(wrapped, ids),
            validate=watch.validate,
            precision=tuning.precision,
        ),
        data={},
        inputs=[*weights(base), text, test, *own],
        save=save,
        label=f"language {run.model} {run.method}",
        device=chosen,
    )


@dataclass(frozen=True, kw_only=True)
class _Watch:
    """What is measured of a model while its adapters are trained."""

    run: TuningRun
    model: EquiCausalLM
    trained: Adapters
    held: Sequence[Sequence[int]]  # blocks that are not trained on
    tested: Sequence[Sequence[int]]
    action: TokenPermutation
    prompts: Sequence[Sequence[int]]

    def validate(self) -> float:
        """Note perplexity and counterfactual_tv of now; return the mean log-likelihood."""
        trained, training = self.trained, self.run.training
        step = trained.filled * (training.validate_every or training.steps)
        perplexity = measures.perplexity(self.model, self.held)
        tv = measures.prompt_tv(self.model, self.action, self.prompts)
        trained.note(min(step, training.steps), perplexity, tv)
        return -math.log(perplexity)

    def tested_perplexity(self) -> float:
        """Return the perplexity on the test text."""
        return measures.perplexity(self.model, self.tested)

    def table(self, before: float, after: float) -> pd.DataFrame:
        """Return a row for each validation, with the test text's perplexity at both ends."""
        with extra("workflow"):
            import pandas as pd

        run, trained = self.run, self.trained
        rows = pd.DataFrame(trained.trace[: trained.filled].tolist(), columns=[*TRACED])
        rows = rows.assign(model=run.model, method=run.method, axis=run.tuning.axis, seed=run.seed)
        rows["step"] = rows["step"].astype(int)
        rows["test_perplexity"] = [before, *[math.nan] * (len(rows) - 2), after][: len(rows)]
        rows["test_tokens"] = sum(len(part) - 1 for part in self.tested)
        return rows[list(TUNING_COLUMNS)]


def _adapted(model: PreTrainedModel, run: TuningRun) -> PeftModel:
    """Return the model with LoRA inside, as the run's training says."""
    with extra("language"):
        from peft import get_peft_model

    adapter = run.training.adapter
    if adapter is None:
        raise ValueError("training.adapter is null: adapters are all that is tuned; give its rank")
    settings = adapters.lora(model, adapter.rank, adapter.targets)
    torch.manual_seed(run.seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on GPT-2's kind of layer, and a name of transformers'
        adapted: PeftModel = get_peft_model(model, settings)
    logger.info("%s %s: %s", run.model, run.method, adapters.report(adapted))
    return adapted


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
