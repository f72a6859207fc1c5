"""What the language experiment consists of."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from equitune.config import CHOOSING, TRAINED_SCORERS, Language, LanguageSource, RegardScorer
from equitune.io import flat
from equitune.language.corpus import CORPUS as PHRASES
from equitune.language.lexicon import LEXICONS, read_lexicon
from equitune.language.own_scorer import module_file
from equitune.language.prompts import PROMPTS
from equitune.plan.braces import braces
from equitune.plan.commands import as_text, option
from equitune.plan.fingerprint import of_place, of_texts
from equitune.plan.registry import Registry
from equitune.plan.wheels import Wheels

CELL = "results/language/{model}/seed{seed}"
CORPUS = "results/language/corpus/seed{seed}"


class LanguagePlan:
    """Files and arguments of the language experiment by model, method and seed.

    Attributes:
        of: the settings of each model.
        published: the models of which there are published texts alone.
        foreign: the systems of which there are texts of one's own.
        writing: the others.
        scorers: those that score a model's texts, by name.
        trained: the names of those that are trained here.
        hub: what comes from the Hugging Face hub, by the name of its folder.
        wheels: models that come out of wheels, or are read by such a one.
    """

    def __init__(self, config: Language, registry: Registry) -> None:
        """Store the settings."""
        self.config, self.registry = config, registry
        kinds = {name: config.sources[name].kind for name in config.models}
        self.published = [name for name, kind in kinds.items() if kind == "samples"]
        self.foreign = [name for name, kind in kinds.items() if kind == "texts"]
        self.writing = [name for name in kinds if name not in self.published + self.foreign]
        self.of = {name: config.of(name) for name in config.models}
        self.scorers = {own.scorer: config.scorers[own.scorer] for own in self.of.values()}
        self.trained = [n for n, one in self.scorers.items() if one.kind in TRAINED_SCORERS]
        readers = [one.model for one in self.scorers.values() if one.kind == "hidden"]
        self.hub: dict[str, LanguageSource | RegardScorer] = {
            name: config.sources[name]
            for name in [*self.writing, *filter(None, readers)]
            if config.sources[name].kind == "hub"
        }
        self.hub |= {
            f"scorer_{name}": scorer
            for name, scorer in self.scorers.items()
            if scorer.kind == "transformer" and scorer.revision
        }
        needed = {name: files for name in config.models if (files := self._wheels(name))}
        self.wheels = Wheels("language model", "language.models", config.models, needed)

    def _wheels(self, model: str) -> list[str]:
        """The files of wheels that a model needs: its weights, and those that read its texts."""
        reader = self.scorers[self.of[model].scorer].model
        needed = [self.config.sources[name] for name in (model, reader) if name is not None]
        return [str(source.location) for source in needed if source.kind == "package"]

    # --- options that several commands share

    @property
    def prompts(self) -> str:
        """The option for prompts of one's own."""
        return option("--prompts", self.config.prompts)

    @property
    def forms(self) -> str:
        """The option for other forms of the words."""
        return "--forms" if self.config.forms else ""

    @property
    def read(self) -> str:
        """The options for what is read of a text that is scored; none where it is as by default."""
        asked = {"mask": self.config.mask, "first-sentence": self.config.first_sentence}
        return " ".join(f"--no-{name}" for name, yes in asked.items() if not yes)

    def axes(self, model: str) -> str:
        """The lexicons of a model's axes as the commands take them."""
        return flat.write(self._lexicons(model))

    def symmetric(self, model: str) -> str:
        """The option for the lexicons that the scorer is made symmetric by; none without one."""
        lexicons = self._lexicons(model)
        return option("--axes", flat.write(lexicons)) if lexicons else ""

    def _lexicons(self, model: str) -> dict[str, str]:
        """The lexicon of each axis; texts of another system may have an axis without one."""
        known = self.config.lexicons
        return {axis: known[axis] for axis in self.of[model].axes if axis in known}

    def tasks(self, model: str) -> str:
        """The tasks of a model as the commands take them."""
        return braces(self.of[model].tasks, "--task")

    def block(self, model: str) -> str:
        """The option for the tokens in a block; generated sentences are blocks by themselves."""
        by_line = self.config.sources[model].text == "corpus"
        return "" if by_line else option("--block", self.config.block)

    def scorer_settings(self, model: str) -> str:
        """The settings of a model's scorer as the commands take them."""
        return as_text(self.scorers[self.of[model].scorer])

    def scorer_kinds(self) -> dict[str, str]:
        """The kind of each model's scorer, as the claims ask for it."""
        return {
            f"language.scorer.{model}": self.scorers[own.scorer].kind
            for model, own in self.of.items()
        }

    def chooser(self, model: str, method: str) -> str:
        """The options for the scorer of a method that chooses among texts, else none."""
        if method not in CHOOSING:
            return ""
        return f"{option('--scorer', self.scorer_settings(model))} {self.read}"

    @property
    def precision(self) -> str:
        """The option for the precision of the weights."""
        precision = self.config.sampling.precision
        return "" if precision == "float32" else f"--precision {precision}"

    def chooser_files(self, model: str, method: str) -> list[str]:
        """The file of the scorer of a method that chooses among texts, else none."""
        return self.scorer(model) if method in CHOOSING else []

    def chooser_reader(self, model: str, method: str) -> list[str]:
        """What stands beside the model that this scorer reads texts by, if it has one."""
        return self.reader(self.of[model].scorer) if method in CHOOSING else []

    # --- files

    def base(self, model: str, seed: str) -> str:
        """What stands beside the files of a model that writes."""
        if self.config.sources[model].kind == "corpus":
            return f"{CORPUS}/base/manifest.json".format(seed=seed)
        return self.pretrained(model)

    def pretrained(self, model: str) -> str:
        """What stands beside the files of a model that was not trained here."""
        source = self.config.sources[model]
        if source.kind == "hub":
            return f"results/language/hub/{model}/manifest.json"
        if source.kind == "package":
            return f"results/language/packages/{source.location}/manifest.json"
        return f"{source.location}/config.json"

    def bases(self) -> list[str]:
        """The manifests of the models that are trained here."""
        return [
            self.base(model, str(seed))
            for model in self.writing
            if self.config.sources[model].kind == "corpus"
            for seed in self.config.seeds
        ]

    def text(self, model: str, seed: str) -> list[str]:
        """The text that a model's perplexity is measured on, none where none is asked for."""
        text = self.config.sources[model].text
        if text == "corpus":
            return [f"{CORPUS}/validation.txt".format(seed=seed)]
        return [] if text is None else [self.registry.text(text)]

    def samples(self, model: str) -> str:
        """The file of a model's published texts."""
        return self.registry.retrieved(str(self.config.sources[model].location))

    def words(self, model: str) -> str:
        """What changes with the prompts and with the lexicons of a model's axes."""
        lexicons = self._lexicons(model).values()
        shipped = [LEXICONS / f"{name}.yaml" for name in lexicons]
        return of_texts([self._prompts, *shipped, *map(Path, lexicons)])

    def corpus(self) -> str:
        """What changes with the prompts and with the phrases of the generated corpus."""
        return of_texts([self._prompts, PHRASES])

    def folder(self, model: str) -> str:
        """What changes with the files of a model in a folder of one's own."""
        source = self.config.sources[model]
        return of_place(str(source.location)) if source.kind == "folder" else ""

    def scorer_folder(self, scorer: str) -> str:
        """What changes with a scorer in a folder or module of one's own, or the model it reads by.

        Of a module it is its own file alone, not what that imports.
        """
        one = self.scorers[scorer]
        if one.kind == "python":
            with suppress(ValueError):  # it is not there: the check says so
                file = module_file(str(one.location))
                return "" if file is None else of_texts([file])
            return ""
        if one.kind == "transformer" and not one.revision:
            return of_place(str(one.location))
        return "" if one.model is None else self.folder(one.model)

    def chooser_folder(self, model: str, method: str) -> str:
        """As `scorer_folder`, of the scorer of a method that chooses among texts, else nothing."""
        return self.scorer_folder(self.of[model].scorer) if method in CHOOSING else ""

    @property
    def _prompts(self) -> Path:
        return PROMPTS if self.config.prompts is None else Path(self.config.prompts)

    def methods(self, name: str, model: str, seed: str) -> list[str]:
        """A file of each method of a model."""
        cell = CELL.format(model=model, seed=seed)
        return [f"{cell}/{method}/{name}" for method in self.of[model].methods]

    def measures(self, model: str, seed: str) -> list[str]:
        """What was measured of each method.

        Nothing of published texts, and of methods that choose among whole texts.
        """
        if model not in self.writing:
            return []
        cell, methods = CELL.format(model=model, seed=seed), self.of[model].methods
        return [f"{cell}/{method}/measures.csv" for method in methods if method not in CHOOSING]

    def scorer(self, model: str) -> list[str]:
        """The file of a model's scorer, none for one that needs none."""
        name = self.of[model].scorer
        scorer = self.scorers[name]
        if name in self.trained:
            return [f"results/language/scorer/{name}/model.safetensors"]
        if scorer.kind != "transformer":
            return []
        hub = f"results/language/hub/scorer_{name}/manifest.json"
        return [hub if scorer.revision else f"{scorer.location}/config.json"]

    def reader(self, scorer: str) -> list[str]:
        """What stands beside the files of the model that a scorer reads texts by, if it has one."""
        model = self.scorers[scorer].model
        return [] if model is None else [self.pretrained(model)]

    def scorer_text(self, scorer: str) -> str:
        """The file that a scorer is trained on."""
        return self.registry.retrieved(str(self.scorers[scorer].location))

    def parts(self, name: str, models: Iterable[str]) -> list[str]:
        """A file of every seed of models; published texts are of no seed of ours."""
        return [
            f"{CELL}/{name}".format(model=model, seed=seed)
            for model in models
            for seed in self.config.seeds[: None if model in self.writing else 1]
        ]

    def accuracies(self, models: Iterable[str]) -> list[str]:
        """A file of each scorer that is trained here for models."""
        used = dict.fromkeys(self.of[model].scorer for model in models)
        return [f"results/language/scorer/{n}/accuracy.csv" for n in used if n in self.trained]

    def tuned(self, models: Iterable[str]) -> list[str]:
        """The table of every model that is tuned."""
        tuning = self.config.tuning
        return [
            f"{CELL}/{method}/tuned/tuning.csv".format(model=model, seed=seed)
            for model in models
            if model in tuning.models
            for method in tuning.methods
            for seed in tuning.seeds or self.config.seeds
        ]

    def truth(self) -> list[str]:
        """What the generated corpus was made with, where a model learns it."""
        kinds = {self.config.sources[name].kind for name in self.config.models}
        return ["results/tables/truth.csv"] if "corpus" in kinds else []

    def with_pronouns(self, models: Iterable[str]) -> list[str]:
        """The models with an axis whose lexicon has pronouns."""
        return [name for name in models if self._has_pronouns(name)]

    def _has_pronouns(self, model: str) -> bool:
        """Say whether a lexicon has pronouns; one that cannot be read is left to its own step."""
        for axis in self.of[model].axes:
            try:
                lexicon = self.config.lexicons.get(axis)
                if lexicon is not None and read_lexicon(lexicon).pronouns:
                    return True
            except (OSError, ValueError):
                continue
        return False

    def optional(self, models: Iterable[str]) -> list[str]:
        """Tables and figures of what not every configuration has."""
        models = list(models)
        made: list[tuple[Callable[[Iterable[str]], list[str]], list[str]]] = [
            (self.accuracies, ["results/tables/regard_scorer.csv"]),
            (self.with_pronouns, _table_and_figure("language_pronouns")),
            (self.tuned, _table_and_figure("language_tuning")),
        ]
        return [file for needs, files in made if needs(models) for file in files]

    def retrieved(self) -> list[str]:
        """All that is fetched ahead, besides what comes out of wheels."""
        files = [f"results/language/hub/{name}/manifest.json" for name in self.hub]
        for name in self.config.models:
            source = self.config.sources[name]
            names = [source.text, source.location if source.kind == "samples" else None]
            files += [self.registry.retrieved(one) for one in names if one in self.registry.files]
        if (tuning := self.config.tuning).models:
            texts = (tuning.text, tuning.test)
            files += [self.registry.retrieved(one) for one in texts if one in self.registry.files]
        files += [self.scorer_text(name) for name in self.trained]
        if self.trained:
            files += [f"results/sources/nlg-bias/{part}.tsv" for part in ("dev", "test")]
        return files


def folder_or_file(file: str) -> str:
    """Return a model as the commands take it: a file, or the folder of one by what stands there."""
    path = Path(file)
    return str(path.parent if path.suffix == ".json" else path)


def _table_and_figure(name: str) -> list[str]:
    return [f"results/tables/{name}.csv", f"results/figures/{name}.svg"]
