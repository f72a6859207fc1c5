"""The language experiment: pretrain, sample by a method, measure; the functions the rules call.

It knows files and settings; what a group, a model or a training loop is stands elsewhere.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from equitune import devices, runs
from equitune.batches import length_buckets
from equitune.config import CHOOSING, Sampling, SmallGPT2, Training
from equitune.extras import extra
from equitune.files import atomic_files, atomic_write, configuration_hash, sha256
from equitune.language import measures
from equitune.language.chooser import Chooser, check_chooser
from equitune.language.data import (
    cut_at,
    decode,
    encode_prompt,
    read_text,
    sentence_rows,
    stop_ids,
    text_parts,
)
from equitune.language.equizero import equizero
from equitune.language.lexicon import read_lexicon
from equitune.language.methods import build, load, moved_ids, vocabulary, weights
from equitune.language.prompts import Prompt, read_prompts
from equitune.language.samples import Sample, restore, write_samples
from equitune.language.sampling import Choice, sample
from equitune.language.tokenizer import build_tokenizer
from equitune.language.words import words_on
from equitune.manifests import describe
from equitune.results.tables import MEASURE_COLUMNS
from equitune.states import state_of

logger = logging.getLogger(__name__)

EVALUATION_BATCH = 128  # rows


def pretrain(
    train: Path,
    validation: Path,
    prompts: Path | None,
    seed: int,
    network: SmallGPT2,
    training: Training,
    output: Path,
    device: str = "auto",
    state_folder: Path | None = None,
) -> None:
    """Train a small GPT-2 with a word-level tokenizer of its own.

    Args:
        train: a sentence on each line.
        validation: the same, held out.
        prompts: file of prompts, whose words the tokenizer knows too; None: those shipped.
        seed: seeds the weights and the order of the data.
        network: the model's size.
        training: optimizer, schedule and number of steps.
        output: manifest.json, written last; the model and its tokenizer stand beside it.
        device: "auto" or a torch device.
        state_folder: where the state is kept while training, for resuming.

    Raises:
        ValueError: a text that cannot be read, or a sentence longer than the context.
    """
    with extra("language"):
        from transformers import GPT2Config, GPT2LMHeadModel
        from transformers.utils import logging as messages

    messages.disable_progress_bar()  # for one file
    messages.set_verbosity_error()  # on a mask for padding: behind the end, it reaches no loss
    torch.manual_seed(seed)
    chosen = devices.prepare(device)
    text = read_text(train)
    tokenizer = build_tokenizer([text, *(prompt.text for prompt in read_prompts(prompts))])
    end = tokenizer.convert_tokens_to_ids(tokenizer.eos_token)
    ids, labels, lengths = sentence_rows(tokenizer, text, end, network.context)
    held = sentence_rows(tokenizer, read_text(validation), end, network.context)[:2]
    rates = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), network.dropout)
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_positions=network.context,
        n_embd=network.width,
        n_layer=network.layers,
        n_head=network.heads,
        initializer_range=network.width**-0.5,  # GPT-2's .02 is for widths of many hundreds
        activation_function="gelu_pytorch_tanh",  # GPT-2's own, in one operation
        bos_token_id=end,
        eos_token_id=end,
        pad_token_id=end,
        **rates,
    )
    model = GPT2LMHeadModel(config).to(chosen)

    def loss(rows: Tensor) -> Tensor:
        length = int(lengths[rows].max())
        batch, targets = (x[rows, :length].to(chosen) for x in (ids, labels))
        value: Tensor = model(batch, labels=targets).loss
        return value

    @torch.no_grad()
    def validate() -> float:
        parts = zip(*(torch.split(x, EVALUATION_BATCH) for x in held), strict=True)
        losses = [float(model(x.to(chosen), labels=y.to(chosen)).loss) * len(x) for x, y in parts]
        return -sum(losses) / len(held[0])

    def save() -> None:
        with atomic_files(output.parent) as folder:
            model.cpu().save_pretrained(folder)
            tokenizer.save_pretrained(folder)

    runs.train(
        model,
        training,
        {"architecture": "gpt2", "seed": seed, "network": asdict(network)},
        [train, validation],
        output,
        epoch=lambda generator: length_buckets(lengths, training.batch_size, generator),
        loss=loss,
        validate=validate,
        save=save,
        label="language small GPT-2",
        device=chosen,
        state_folder=state_folder,
    )


def generate(
    base: Path,
    name: str,
    method: str,
    axes: Mapping[str, str],
    tasks: Sequence[str],
    sampling: Sampling,
    seed: int,
    output: Path,
    prompts: Path | None = None,
    forms: bool = False,
    device: str = "auto",
    state_folder: Path | None = None,
    chooser: Chooser | None = None,
) -> None:
    """Continue all prompts by a model.

    Args:
        base: the pretrained model's folder.
        name: what the model is called in the tables.
        method: plain, equi or relaxed.
        axes: for each axis its lexicon, a shipped name or a file.
        tasks: names in the file of prompts.
        sampling: how many texts, and how they are continued.
        seed: of the run; each text has a seed of its own that follows from it.
        output: samples, as `write_samples` writes them.
        prompts: file of prompts; None: those shipped.
        forms: other forms of the lexicons' words move too.
        device: "auto" or a torch device.
        state_folder: where finished axes and tasks are kept meanwhile, for resuming.
        chooser: of equizero: who chooses among the candidates for a text.

    Raises:
        ValueError: a model, lexicon, file of prompts or scorer that cannot be read or do not fit.
    """
    check_chooser(method, chooser)
    model, tokenizer = load(base, device, sampling.precision)
    choice = Choice(sampling.temperature, sampling.top_k, sampling.top_p)
    stops = stop_ids(tokenizer)
    scorer = chooser.scorer(model.device) if chooser else None
    asked_for = _asked_for(prompts, axes, tasks)
    settings = {
        "model": name,
        "method": method,
        "axes": dict(axes),
        "tasks": list(tasks),
        "sampling": asdict(sampling),
        "seed": seed,
        "forms": forms,
        **(chooser.facts() if chooser else {}),
    }
    inputs = _inputs(base, axes, prompts, *(chooser.files() if chooser else ()))
    read = {str(path): sha256(path) for path in inputs}
    checksums = {file.name: read[str(file)] for file in weights(base)}
    state = state_of(state_folder, output, {**settings, "inputs": read})
    kept = state.load() if state else None
    samples = [restore(row) for row in kept["samples"]] if kept else []
    done = {(one.axis, one.task) for one in samples}
    for axis, lexicon in axes.items():
        words = read_lexicon(lexicon)
        wrapped = build(model, tokenizer, words, method, forms)
        facts = {"weights": checksums, "method": method, "action": wrapped.config.action}
        if chooser:
            facts |= chooser.facts() | {"trained": [read[str(file)] for file in chooser.files()]}
        moves = moved_ids(model, tokenizer, words, method, forms)
        for task in tasks:
            if (axis, task) in done:
                continue
            asked = [p for p in asked_for[axis, task] for _ in range(sampling.samples)]
            numbers = [place % sampling.samples for place in range(len(asked))]
            pairs = list(zip(asked, numbers, strict=True))
            seeds = [_seed(seed, p, number, sampling.shared_stream) for p, number in pairs]
            how = (seeds, sampling.new_tokens, choice, stops, sampling.batch_size)
            if chooser and scorer:
                who, named = [p.demographic for p in asked], [p.text for p in asked]
                continued = equizero(
                    *(wrapped, tokenizer, scorer, named, *how),
                    demographics=who,
                    read=chooser.read(),
                )
            else:
                texts = {p: encode_prompt(tokenizer, p.text) for p in dict.fromkeys(asked)}
                continued = sample(wrapped, [texts[p] for p in asked], *how)
            samples += [
                Sample(
                    model=name,
                    method=method,
                    axis=axis,
                    task=task,
                    demographic=p.demographic,
                    context=p.context,
                    prompt=p.text,
                    continuation=decode(tokenizer, ids),
                    seed=own,
                    sample=number,
                    model_hash=configuration_hash(facts),
                    pieces=None if moves is None else cut_at(tokenizer, ids, moves),
                )
                for (p, number), ids, own in zip(pairs, continued, seeds, strict=True)
            ]
            logger.info("%s %s: %s %s, %d texts", name, method, axis, task, len(asked))
            if state:
                state.save({"samples": [asdict(one) for one in samples]})
    write_samples(output, samples)
    describe(output, settings, inputs, model.device)
    if state:
        state.remove()


def measure(
    base: Path,
    method: str,
    axes: Mapping[str, str],
    tasks: Sequence[str],
    text: Path | None,
    block: int | None,
    output: Path,
    prompts: Path | None = None,
    forms: bool = False,
    precision: str = "float32",
    device: str = "auto",
    blocks: int | None = None,
) -> None:
    """Measure counterfactual_tv on the prompts and perplexity on a text; a row an axis and task.

    Args:
        base: the pretrained model's folder.
        method: one of `LANGUAGE_METHODS`.
        axes: for each axis its lexicon, a shipped name or a file.
        tasks: names in the file of prompts.
        text: what perplexity is measured on; None: it is left empty.
        block: tokens in a block of the text; None: each line is a block.
        output: CSV with `MEASURE_COLUMNS`.
        prompts: file of prompts; None: those shipped.
        forms: other forms of the lexicons' words move too.
        precision: of the weights.
        device: "auto" or a torch device.
        blocks: at most so many blocks, evenly spread; None: all.

    Raises:
        ValueError: as `generate`, a text that cannot be read, or a method that chooses among whole
            texts, as equizero: it has no distribution of the next token.
    """
    with extra("workflow"):
        import pandas as pd

    if method in CHOOSING:
        raise ValueError(
            f"method {method} chooses among whole texts, so there is no distribution of the next "
            "token to measure: expected plain, equi or relaxed"
        )
    model, tokenizer = load(base, device, precision)
    asked_for = _asked_for(prompts, axes, tasks)
    parts = None if text is None else text_parts(tokenizer, read_text(text), block, blocks)
    rows, plain = [], None
    for axis, lexicon in axes.items():
        words = read_lexicon(lexicon)
        wrapped = build(model, tokenizer, words, method, forms)
        action = words_on(words, tokenizer, vocabulary(model), forms=forms).action
        value = plain
        if parts is not None and value is None:
            value = measures.perplexity(wrapped, parts)
        if method == "plain":
            plain = value  # of no axis in particular
        for task in tasks:
            asked = [encode_prompt(tokenizer, p.text) for p in asked_for[axis, task]]
            tv = measures.prompt_tv(wrapped, action, asked)
            rows.append(dict(zip(MEASURE_COLUMNS, (axis, task, tv, value), strict=True)))
            logger.info("%s: %s %s, tv %.4f, perplexity %s", method, axis, task, tv, value)
    with atomic_write(output) as temporary:
        pd.DataFrame(rows, columns=list(MEASURE_COLUMNS)).to_csv(temporary, index=False)
    settings = {
        "method": method,
        "axes": dict(axes),
        "tasks": list(tasks),
        "block": block,
        "blocks": blocks,
        "forms": forms,
        "precision": precision,
    }
    describe(output, settings, _inputs(base, axes, prompts, text), model.device)


def _inputs(base: Path, axes: Mapping[str, str], *files: Path | None) -> list[Path]:
    """The files that a step has read: a model's weights, lexicons of one's own, what was given."""
    own = (Path(lexicon) for lexicon in axes.values())
    return [*weights(base), *filter(Path.is_file, own), *filter(None, files)]


def _asked_for(
    prompts: Path | None, axes: Iterable[str], tasks: Sequence[str]
) -> dict[tuple[str, str], tuple[Prompt, ...]]:
    """The prompts of all axes and tasks, read before the work so that errors come first."""
    known = read_prompts(prompts)
    return {(axis, task): known(axis, task) for axis in axes for task in tasks}


def _seed(seed: int, prompt: Prompt, number: int, shared: bool) -> int:
    """Return a text's own seed; with a shared stream the demographics of a family have the same."""
    name = prompt.context if shared else prompt.text
    facts: list[Any] = [seed, prompt.axis, prompt.task, name, number]
    digest = hashlib.sha256(repr(facts).encode()).digest()
    return int.from_bytes(digest[:8]) >> 1  # 63 bits: any reader of JSON takes it
