"""Commands of the language experiment: arguments to calls."""

from pathlib import Path
from typing import Annotated

from equitune.compat import extra
from equitune.config import LanguageTuning, RegardScorer, Sampling, SmallGPT2, Training
from equitune.language.text_cli import Model, PromptFile, published, texts
from equitune.methods import names
from equitune.options import (
    Beside,
    Device,
    Input,
    Mirror,
    Output,
    Seed,
    Settings,
    States,
    beside,
    build,
    lexicons,
    settings,
    states,
)

with extra("workflow"):
    import typer

app = typer.Typer(help="Group-theoretic fairness of language models.")
lexicon = typer.Typer(help="Lists of words that a group moves.")
app.add_typer(lexicon, name="lexicon")

Axes = Annotated[
    str, typer.Option(help="axis=lexicon,…, a shipped one or a file; or YAML; or a name, as race.")
]
Base = Annotated[Path, typer.Option(help="Folder of the pretrained model.")]
Block = Annotated[int | None, typer.Option(help="Tokens in a block of the text; else lines.")]
Forms = Annotated[bool, typer.Option("--forms", help="Capitalised and initial forms move too.")]
Method = Annotated[str, typer.Option(help=", ".join(names("language")))]
Precision = Annotated[str, typer.Option(help="float32 or bfloat16.")]
Cut = Annotated[bool, typer.Option(help="Score the first sentence only.")]
Mask = Annotated[bool, typer.Option(help="XYZ for the demographic.")]
ScorerBase = Annotated[
    Path | None, typer.Option(help="Of kind hidden: folder of the language model.")
]
ScorerName = Annotated[
    str | None, typer.Option(help="What it is called in the tables; else its kind.")
]
Trained = Annotated[Path | None, typer.Option(help="File or folder of the scorer.")]
Tasks = Annotated[list[str], typer.Option("--task", help="A task of the prompts.")]


@lexicon.command()
def check(
    file: Annotated[str, typer.Argument(help="A lexicon: a file, or the name of a shipped one.")],
    tokenizer: Annotated[
        str,
        typer.Option(help="Folder of a tokenizer; or an id whose files were downloaded before."),
    ],
    forms: Forms = False,
    skip_multi_token: Annotated[
        bool, typer.Option("--skip-multi-token", help="Leave out words of several tokens.")
    ] = False,
) -> None:
    """Say whether a lexicon is a permutation of a tokenizer's tokens, or which words are not."""
    from equitune.language import words
    from equitune.language.lexicon import read_lexicon

    read = read_lexicon(file)
    loaded = words.load_tokenizer(tokenizer)
    options = {"forms": forms, "skip_multi_token": skip_multi_token}
    typer.echo(words.report(read, loaded, **options))
    words.check_words_on(read, loaded, **options)


@app.command()
def fetch(
    location: Annotated[str, typer.Option(help="Id on the hub.")],
    revision: Annotated[str, typer.Option(help="The commit.")],
    output: Annotated[Path, typer.Option(help="manifest.json, beside which the files will be.")],
    mirror: Mirror = None,
) -> None:
    """Bring a model of the Hugging Face hub here, at one commit."""
    from equitune.language import hub

    hub.fetch(location, revision, output, mirror)


@app.command()
def convert(
    file: Annotated[Path, typer.Argument(help="A language model as GGUF.")],
    output: Annotated[Path, typer.Option(help="manifest.json, beside which the model will be.")],
) -> None:
    """Write a GGUF as safetensors with its tokenizer, once for all steps that read it."""
    from equitune.language import conversion

    conversion.convert(file, output)


@app.command()
def corpus(
    per_prompt: Annotated[int, typer.Option(help="Sentences for each prompt.")],
    seed: Seed,
    train: Output,
    validation: Output,
    prompts: PromptFile = None,
) -> None:
    """Generate sentences whose bias is known: a training and a validation text."""
    from equitune.language.corpus import write_corpus

    write_corpus(per_prompt, seed, prompts, train, validation)


@app.command()
def truth(output: Output, prompts: PromptFile = None) -> None:
    """Write the probabilities that the generated sentences are drawn with."""
    from equitune.language.corpus import write_truth

    write_truth(prompts, output)


@app.command()
def pretrain(
    train: Input,
    validation: Input,
    seed: Seed,
    training: Settings,
    output: Annotated[Path, typer.Option(help="manifest.json, beside which the model will be.")],
    prompts: PromptFile = None,
    network: Annotated[
        str, typer.Option(help="Layers, heads, width, context: layers=2,…; or YAML.")
    ] = "{}",
    device: Device = "auto",
    state_folder: States = None,
) -> None:
    """Train a small GPT-2 on a text of one sentence a line."""
    from equitune.language import experiment
    from equitune.language.run import CorpusRun
    from equitune.run.job import Job

    run = build(
        CorpusRun,
        network=settings(SmallGPT2, network, "--network"),
        seed=seed,
        training=settings(Training, training, "--training"),
    )
    job = Job(output=output, device=device, state_folder=states(state_folder, output))
    experiment.pretrain(run, train, validation, job, prompts=prompts)


@app.command()
def generate(
    base: Base,
    model: Model,
    method: Method,
    axes: Axes,
    task: Tasks,
    sampling: Annotated[str, typer.Option(help="How texts are continued: samples=100,…; or YAML.")],
    seed: Seed,
    output: Output,
    prompts: PromptFile = None,
    forms: Forms = False,
    device: Device = "auto",
    state_folder: States = None,
    scorer: Annotated[
        str | None, typer.Option(help="Of equizero: who chooses, a name or settings.")
    ] = None,
    trained: Trained = None,
    scorer_base: ScorerBase = None,
    mask: Mask = True,
    first_sentence: Cut = True,
) -> None:
    """Continue all prompts by a model, each text from random numbers of its own."""
    from equitune.language import experiment
    from equitune.language.chooser import Chooser
    from equitune.language.run import LanguageRun
    from equitune.run.job import Job

    chooser = None
    if scorer is not None:
        asked = settings(RegardScorer, scorer, "--scorer", "language.scorers")
        chooser = Chooser(asked, trained, mask, first_sentence, scorer_base)
    run = build(
        LanguageRun,
        model=model,
        method=method,
        axes=lexicons(axes),
        tasks=task,
        forms=forms,
        seed=seed,
    )
    job = Job(output=output, device=device, state_folder=states(state_folder, output))
    asked_for = settings(Sampling, sampling, "--sampling")
    experiment.generate(run, base, asked_for, job, prompts=prompts, chooser=chooser)


@app.command()
def measure(
    base: Base,
    method: Method,
    axes: Axes,
    task: Tasks,
    output: Output,
    block: Block = None,
    text: Annotated[Path | None, typer.Option(help="Text that perplexity is measured on.")] = None,
    prompts: PromptFile = None,
    forms: Forms = False,
    precision: Precision = "float32",
    device: Device = "auto",
    blocks: Annotated[int | None, typer.Option(help="At most this many blocks; else all.")] = None,
) -> None:
    """Measure counterfactual_tv and perplexity, from a model's own distributions."""
    from equitune.language import experiment
    from equitune.language.run import LanguageRun
    from equitune.run.job import Job

    run = build(
        LanguageRun,
        model=base.name,
        method=method,
        axes=lexicons(axes),
        tasks=task,
        forms=forms,
    )
    job = Job(output=output, device=device)
    experiment.measure(
        run, base, job, prompts=prompts, text=text, block=block, blocks=blocks, precision=precision
    )


@app.command()
def tune(
    base: Base,
    model: Model,
    method: Method,
    lexicon: Annotated[str, typer.Option(help="Which words move: a shipped lexicon or a file.")],
    text: Annotated[Path, typer.Option(help="Text to train on.")],
    test: Annotated[Path, typer.Option(help="Text to measure perplexity on, before and after.")],
    task: Tasks,
    tuning: Annotated[str, typer.Option(help="Axis, blocks, rank, training, as YAML or JSON.")],
    seed: Seed,
    output: Annotated[Path, typer.Option(help="manifest.json, beside which adapters will be.")],
    prompts: PromptFile = None,
    forms: Forms = False,
    device: Device = "auto",
    state_folder: States = None,
) -> None:
    """Train adapters (LoRA) on a text inside the model that a method makes."""
    from equitune.language import tuning as adapters
    from equitune.language.run import TuningRun
    from equitune.run.job import Job

    run = build(
        TuningRun,
        model=model,
        method=method,
        lexicon=lexicon,
        tasks=task,
        forms=forms,
        seed=seed,
        tuning=settings(LanguageTuning, tuning, "--tuning"),
    )
    job = Job(output=output, device=device, state_folder=states(state_folder, output))
    adapters.tune(run, base, text, test, job=job, prompts=prompts)


app.command()(published)
app.command()(texts)


@app.command()
def scorer(
    train: Input,
    dev: Input,
    test: Input,
    output: Output,
    accuracy: Annotated[Path, typer.Option(help="CSV of its accuracy beside the published one.")],
    name: ScorerName = None,
    kind: Annotated[
        str, typer.Option(help="tfidf, or hidden: on a language model's hidden states.")
    ] = "tfidf",
    base: ScorerBase = None,
    device: Device = "auto",
) -> None:
    """Train a regard scorer on labelled sentences."""
    from equitune.language import scorers

    scorers.train_scorer(train, dev, test, output, accuracy, name, kind, base, device)


@app.command()
def evaluate(
    samples: Annotated[list[Path], typer.Argument(help="Samples, a file for each method.")],
    scorer: Annotated[
        str, typer.Option(help="The scorer of regard: a name, as words, or kind=words,…; or YAML.")
    ],
    seed: Seed,
    output: Output,
    fairness: Beside = None,
    texts: Beside = None,
    measures: Annotated[
        list[Path] | None, typer.Option(help="What `measure` wrote; its folder is the method's.")
    ] = None,
    prompts: PromptFile = None,
    trained: Trained = None,
    scorer_base: ScorerBase = None,
    scorer_name: ScorerName = None,
    mask: Mask = True,
    first_sentence: Cut = True,
    axes: Annotated[
        str | None, typer.Option(help="axis=lexicon,…: the scorer is made symmetric in them.")
    ] = None,
    forms: Forms = False,
    device: Device = "auto",
) -> None:
    """Score texts and compare demographics: regard, gaps (fairness.csv) and texts (texts.csv)."""
    from equitune.language import evaluation

    further = beside(fairness, output, "fairness.csv"), beside(texts, output, "texts.csv")
    evaluation.evaluate(
        samples,
        measures or [],
        settings(RegardScorer, scorer, "--scorer", "language.scorers"),
        trained,
        seed,
        evaluation.Outputs(output, *further),
        prompts,
        mask_demographic=mask,
        cut=first_sentence,
        device=device,
        axes=None if axes is None else lexicons(axes),
        forms=forms,
        scorer_name=scorer_name,
        base=scorer_base,
    )


@app.command()
def pronouns(
    samples: Annotated[list[Path], typer.Argument(help="Samples, a file for each method.")],
    axes: Axes,
    seed: Seed,
    output: Output,
    prompts: PromptFile = None,
) -> None:
    """Count the texts whose first gendered pronoun agrees with the subject."""
    from equitune.language.pronouns import write_pronouns

    write_pronouns(samples, lexicons(axes), seed, output, prompts)
