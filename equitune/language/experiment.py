"""The language experiment: pretrain, sample by a method, measure; what the rules call."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from equitune.compat import extra
from equitune.config import CHOOSING, MEASURED, Sampling
from equitune.io.files import atomic_files, atomic_write, configuration_hash, sha256
from equitune.io.texts import lines_of
from equitune.language import measures
from equitune.language.chooser import Chooser, check_chooser
from equitune.language.corpus import read_corpus
from equitune.language.data import (
    cut_at,
    decode,
    encode_prompt,
    labels_of,
    read_text,
    sentence_rows,
    stop_ids,
    text_parts,
)
from equitune.language.equizero import equizero
from equitune.language.lexicon import read_lexicon
from equitune.language.methods import build, load, moved_ids, vocabulary, weights
from equitune.language.models import EquiCausalLM
from equitune.language.moves import check_moved
from equitune.language.planted import unsaid
from equitune.language.prompts import Prompt, read_prompts
from equitune.language.regard import Scorer
from equitune.language.run import CorpusRun, LanguageRun
from equitune.language.samples import Sample, restore, write_samples
from equitune.language.sampling import Choice, sample
from equitune.language.small import build_network
from equitune.language.tokenizer import build_tokenizer
from equitune.language.words import words_on
from equitune.methods import METHODS
from equitune.results.tables import MEASURE_COLUMNS
from equitune.run import devices
from equitune.run.batches import length_buckets
from equitune.run.checkpoint import state_of
from equitune.run.job import Job
from equitune.run.job import train as fit
from equitune.run.loop import Objective
from equitune.run.manifests import describe

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

logger = logging.getLogger(__name__)

EVALUATION_BATCH = 128  # rows


def pretrain(
    run: CorpusRun, train: Path, validation: Path, job: Job, *, prompts: Path | None = None
) -> None:
    """Train a small GPT-2 with a word-level tokenizer of its own.

    Args:
        run: size, seed and training.
        train: a sentence on each line.
        validation: the same, held out.
        job: its output is manifest.json, written last; the model and its tokenizer stand beside it.
        prompts: their words are tokens, as all pronouns of the corpus; None: the shipped file.

    Raises:
        ValueError: a text that cannot be read, or a sentence longer than the context.
    """
    with extra("language"):
        from transformers.utils import logging as messages

    messages.disable_progress_bar()  # for one file
    messages.set_verbosity_error()  # on a mask for padding: behind the end, it reaches no loss
    torch.manual_seed(run.seed)
    chosen = devices.prepare(job.device)
    network, text = run.network, read_text(train)
    known = [prompt.text for prompt in read_prompts(prompts)]
    known += unsaid(read_corpus(), lines_of(text))
    tokenizer = build_tokenizer(chain(lines_of(text), known))  # no token goes over a line's end
    end = tokenizer.convert_tokens_to_ids(tokenizer.eos_token)
    ids, lengths = sentence_rows(tokenizer, text, end, network.context)
    held = sentence_rows(tokenizer, read_text(validation), end, network.context)
    model = build_network(network, len(tokenizer), end).to(chosen)

    def loss_of(ids: Tensor, lengths: Tensor) -> Tensor:
        ids = ids.long()
        value: Tensor = model(ids.to(chosen), labels=labels_of(ids, lengths).to(chosen)).loss
        return value

    def loss(rows: Tensor) -> Tensor:
        return loss_of(ids[rows, : int(lengths[rows].max())], lengths[rows])

    @torch.no_grad()
    def validate() -> float:
        parts = zip(*(torch.split(x, EVALUATION_BATCH) for x in held), strict=True)
        return -sum(float(loss_of(*part)) * len(part[0]) for part in parts) / len(held[0])

    def save() -> None:
        with atomic_files(job.output.parent) as folder:
            model.cpu().save_pretrained(folder)
            tokenizer.save_pretrained(folder)

    fit(
        model,
        run,
        job,
        Objective(
            epoch=lambda generator: length_buckets(lengths, run.training.batch_size, generator),
            loss=loss,
            validate=validate,
            terms=lambda rows: int((lengths[rows] - 1).sum()),  # all but the first token
        ),
        data={"architecture": "gpt2"},
        inputs=[train, validation],
        save=save,
        label="language small GPT-2",
        device=chosen,
    )


def generate(
    run: LanguageRun,
    base: Path,
    sampling: Sampling,
    job: Job,
    *,
    prompts: Path | None = None,
    chooser: Chooser | None = None,
) -> None:
    """Continue all prompts by a model.

    Args:
        run: model, method, axes, tasks and seed.
        base: the pretrained model's folder.
        sampling: how many texts, and how they are continued.
        job: its output are samples, as `write_samples` writes them; finished axes and tasks are
            kept in its state folder meanwhile, for resuming.
        prompts: file of prompts; None: those shipped.
        chooser: of equizero: who chooses among the candidates for a text.

    Raises:
        ValueError: a model, lexicon, file of prompts or scorer that cannot be read or do not fit.
    """
    check_chooser(run.method, chooser)
    asked_for = _asked_for(run, prompts, moved=METHODS[run.method].combine is not None)
    model, tokenizer = load(base, job.device, sampling.precision)
    scorer = chooser.scorer(model.device) if chooser else None
    settings = {
        **asdict(run),
        "sampling": asdict(sampling),
        **(chooser.facts() if chooser else {}),
    }
    inputs = _inputs(run, base, prompts, *(chooser.files() if chooser else ()))
    read = {str(path): sha256(path) for path in inputs}
    checksums = {file.name: read[str(file)] for file in weights(base)}
    state = state_of(job.state_folder, job.output, {**settings, "inputs": read})
    kept = state.load() if state else None
    samples = [restore(row) for row in kept["samples"]] if kept else []
    done = {(one.axis, one.task) for one in samples}
    for axis, lexicon in run.axes.items():
        words = read_lexicon(lexicon)
        wrapped = build(model, tokenizer, words, run.method, run.forms)
        facts = {"weights": checksums, "method": run.method, "action": wrapped.config.action}
        if chooser:
            facts |= chooser.facts() | {"trained": [read[str(file)] for file in chooser.files()]}
        moves = moved_ids(model, tokenizer, words, run.method, run.forms)
        writer = _Writer(
            *(run, sampling, wrapped, tokenizer, moves),
            model_hash=configuration_hash(facts),
            chooser=chooser,
            scorer=scorer,
        )
        for task in run.tasks:
            if (axis, task) in done:
                continue
            texts = writer.texts(axis, task, asked_for[axis, task])
            samples += texts
            logger.info("%s %s: %s %s, %d texts", run.model, run.method, axis, task, len(texts))
            if state:
                state.save({"samples": [asdict(one) for one in samples]})
    write_samples(job.output, samples)
    describe(job.output, settings, inputs, model.device)
    if state:
        state.remove()


@dataclass(frozen=True)
class _Writer:
    """What continues the prompts of an axis, a task at a time."""

    run: LanguageRun
    sampling: Sampling
    model: EquiCausalLM
    tokenizer: PreTrainedTokenizerBase
    moves: Collection[int] | None  # the token ids that the lexicon moves; None: it does not fit
    model_hash: str
    chooser: Chooser | None
    scorer: Scorer | None

    def texts(self, axis: str, task: str, prompts: Sequence[Prompt]) -> list[Sample]:
        """Continue each prompt as often as the sampling asks."""
        run, times = self.run, self.sampling.samples
        pairs = [(prompt, number) for prompt in prompts for number in range(times)]
        seeds = [_seed(run.seed, *pair, self.sampling.shared_stream) for pair in pairs]
        continued = self._continued([prompt for prompt, _ in pairs], seeds)
        return [
            Sample(
                model=run.model,
                method=run.method,
                axis=axis,
                task=task,
                demographic=prompt.demographic,
                context=prompt.context,
                prompt=prompt.text,
                continuation=decode(self.tokenizer, ids),
                seed=seed,
                sample=number,
                model_hash=self.model_hash,
                pieces=None if self.moves is None else cut_at(self.tokenizer, ids, self.moves),
            )
            for (prompt, number), ids, seed in zip(pairs, continued, seeds, strict=True)
        ]

    def _continued(self, prompts: list[Prompt], seeds: list[int]) -> list[list[int]]:
        """The tokens after each prompt, each from a seed of its own."""
        sampling = self.sampling
        choice = Choice(sampling.temperature, sampling.top_k, sampling.top_p)
        stops = stop_ids(self.tokenizer)
        how = (seeds, sampling.new_tokens, choice, stops, sampling.batch_size)
        if self.chooser and self.scorer:
            named = [prompt.text for prompt in prompts]
            return equizero(
                *(self.model, self.tokenizer, self.scorer, named, *how),
                demographics=[prompt.demographic for prompt in prompts],
                read=self.chooser.read(),
            )
        encoded = {p: encode_prompt(self.tokenizer, p.text) for p in dict.fromkeys(prompts)}
        return sample(self.model, [encoded[prompt] for prompt in prompts], *how)


def measure(
    run: LanguageRun,
    base: Path,
    job: Job,
    *,
    prompts: Path | None = None,
    text: Path | None = None,
    block: int | None = None,
    blocks: int | None = None,
    precision: str = "float32",
) -> None:
    """Measure counterfactual_tv on the prompts and perplexity on a text; a row per axis and task.

    Args:
        run: model, method, axes and tasks; its seed is not looked at.
        base: the pretrained model's folder.
        job: its output is a CSV with `MEASURE_COLUMNS`.
        prompts: as for `generate`.
        text: what perplexity is measured on; None: it is left empty.
        block: tokens in a block of the text; None: each line is a block.
        blocks: at most this many blocks, evenly spread; None: all.
        precision: of the weights.

    Raises:
        ValueError: as `generate`, a text that cannot be read, or a method that chooses among whole
            texts, as equizero: it has no distribution of the next token.
    """
    with extra("workflow"):
        import pandas as pd

    if run.method in CHOOSING:
        raise ValueError(
            f"method {run.method} chooses among whole texts, so there is no distribution of the "
            f"next token to measure: expected one of {', '.join(MEASURED)}"
        )
    asked_for = _asked_for(run, prompts, moved=True)
    model, tokenizer = load(base, job.device, precision)
    parts = None if text is None else text_parts(tokenizer, read_text(text), block, blocks)
    rows, plain = [], None
    for axis, lexicon in run.axes.items():
        words = read_lexicon(lexicon)
        wrapped = build(model, tokenizer, words, run.method, run.forms)
        action = words_on(words, tokenizer, vocabulary(model), forms=run.forms).action
        value = plain
        if parts is not None and value is None:
            value = measures.perplexity(wrapped, parts)
        if METHODS[run.method].combine is None:
            plain = value  # of no axis in particular
        for task in run.tasks:
            asked = [encode_prompt(tokenizer, p.text) for p in asked_for[axis, task]]
            tv = measures.prompt_tv(wrapped, action, asked)
            rows.append(dict(zip(MEASURE_COLUMNS, (axis, task, tv, value), strict=True)))
            logger.info("%s: %s %s, tv %.4f, perplexity %s", run.method, axis, task, tv, value)
    with atomic_write(job.output) as temporary:
        pd.DataFrame(rows, columns=list(MEASURE_COLUMNS)).to_csv(temporary, index=False)
    settings = asdict(run) | {"block": block, "blocks": blocks, "precision": precision}
    describe(job.output, settings, _inputs(run, base, prompts, text), model.device)


def _inputs(run: LanguageRun, base: Path, *files: Path | None) -> list[Path]:
    """The files that a step has read: a model's weights, lexicons of one's own, what was given."""
    own = (Path(lexicon) for lexicon in run.axes.values())
    return [*weights(base), *filter(Path.is_file, own), *filter(None, files)]


def _asked_for(
    run: LanguageRun, prompts: Path | None, moved: bool
) -> dict[tuple[str, str], tuple[Prompt, ...]]:
    """The prompts of all axes and tasks, read before the work so that errors come first.

    If moved, the lexicons are to take the demographics to each other.
    """
    known = read_prompts(prompts)
    found = {(axis, task): known(axis, task) for axis in run.axes for task in run.tasks}
    for axis, lexicon in run.axes.items() if moved else ():
        check_moved(read_lexicon(lexicon), known.axes[axis], run.forms)
    return found


def _seed(seed: int, prompt: Prompt, number: int, shared: bool) -> int:
    """Return a text's own seed; with a shared stream the demographics of a family have the same."""
    name = prompt.context if shared else prompt.text
    facts: list[Any] = [seed, prompt.axis, prompt.task, name, number]
    digest = hashlib.sha256(repr(facts).encode()).digest()
    return int.from_bytes(digest[:8]) >> 1  # 63 bits: any reader of JSON takes it
