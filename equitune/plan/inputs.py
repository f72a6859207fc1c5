"""What a configuration names on this machine, looked at before the first job.

What is retrieved or made by the run is not asked for; what an earlier run retrieved is looked at.
"""

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import Any

from equitune.config import Config, Language, LanguageSource, Scan
from equitune.config.image_kinds import IMAGE_KINDS
from equitune.image.listed import SUFFIX as LISTING
from equitune.image.tree import EXPECTED, Place, classes_of, parts_of
from equitune.io.architectures import WEIGHTS
from equitune.io.archives import is_archive
from equitune.io.places import has_tokenizer, looked_at, misplaced
from equitune.language.corpus import read_corpus
from equitune.language.lexicon import Lexicon, read_lexicon
from equitune.language.moves import check_moved
from equitune.language.planted import check_known
from equitune.language.prompts import Prompts, read_prompts
from equitune.methods import METHODS
from equitune.plan.image import ImagePlan
from equitune.plan.language import LanguagePlan
from equitune.plan.registry import Registry

EXPERIMENTS = ("scan", "image", "language")
REDRAWN = ("figures", "report")  # targets that ask nobody how tables were made
TOKENIZERS = ("tokenizer.json", "vocab.json", "tokenizer.model")
LENGTHS = ("n_positions", "max_position_embeddings", "n_ctx")  # of a context, in config.json


def experiments(targets: Iterable[str]) -> list[str]:
    """Return the experiments that targets of the workflow may need, by their names.

    Args:
        targets: rules and files; none for the default target.
    """
    needed = set[str]()
    for target in (targets := list(targets)) or ["all"]:
        if target in REDRAWN:
            continue
        if target.startswith("shown_"):  # what a page of the report shows is there already
            continue
        named = {*re.split(r"[^a-z]+", target)} & {*EXPERIMENTS}
        needed |= named or {*EXPERIMENTS}
    return [name for name in EXPERIMENTS if name in needed]


def check(
    config: Config,
    registry: Registry,
    among: Collection[str] = EXPERIMENTS,
    known: Path | None = None,
) -> None:
    """Check what a configuration names on this machine, relative paths from the working folder.

    Args:
        config: the configuration.
        registry: what can be retrieved.
        among: the experiments to look at.
        known: folder in which it is written down which lexicons fit which tokenizers.

    Raises:
        ValueError: one line about the first thing that is missing or does not fit.
    """
    found = list(dict.fromkeys(_problems(config, registry, among)))
    if not found and "language" in among:
        found = list(_words(LanguagePlan(config.language, registry), known))
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise ValueError(f"config: {found[0]}{more}")


def _problems(config: Config, registry: Registry, among: Collection[str]) -> Iterator[str]:
    if "scan" in among:
        yield from _scan(config.scan)
    if "image" in among:
        yield from _image(ImagePlan(config.image, registry))
    if "language" in among:
        yield from _language(LanguagePlan(config.language, registry))


def _scan(scan: Scan) -> Iterator[str]:
    """Files of lines."""
    for task in scan.tasks:
        for part in ("train", "test") if task in scan.splits else ():
            key = f"scan.splits.{task}.{part}"
            yield from _file(key, getattr(scan.splits[task], part), "lines IN: … OUT: …")


def _image(plan: ImagePlan) -> Iterator[str]:
    """Images of one's own and files of weights."""
    image = plan.config
    for name in image.datasets:
        kind, place = image.sources[name].kind, str(image.sources[name].location)
        if kind == "folder":
            yield from _images(name, place)
        elif IMAGE_KINDS[kind].location == "path":
            yield from _file(f"image.sources.{name}.location", place, IMAGE_KINDS[kind].about)
    for name in image.architectures:
        weights = image.weights_of(name)
        if weights not in ("self", "imagenet"):
            own = image.builder(name).weights is not None
            key = f"image.builders.{name}.weights" if own else "image.weights"
            if (suffix := Path(weights).suffix) not in WEIGHTS and not Path(weights).is_dir():
                known = ", ".join(WEIGHTS)
                yield f"{key}: {weights} has suffix {suffix!r}: expected one of {known}"
            yield from _file(key, weights, "weights; or imagenet, or self")


def _images(name: str, location: str) -> Iterator[str]:
    """What is wrong with images of one's own: folders are listed, nothing is decoded."""
    key, place = f"image.sources.{name}.location", Path(location).expanduser()
    if place.is_dir():
        tree = Place(place, Path(location), name)
        try:
            classes_of(tree, parts_of(tree, place))
        except (OSError, ValueError) as error:
            yield f"{key}: {error}"
    elif wrong := misplaced(place, f"expected a {EXPECTED}"):
        yield f"{key}: {wrong}"
    elif place.suffix != LISTING and not is_archive(place):
        yield f"{key}: {location} is a file: expected a {EXPECTED}{looked_at(place)}"


def _language(plan: LanguagePlan) -> Iterator[str]:
    """Folders of models, texts, prompts, lexicons and lengths."""
    language = plan.config
    wrong = (
        []
        if language.prompts is None
        else [*_file("language.prompts", language.prompts, "prompts")]
    )
    yield from wrong or _prompts(plan)
    tuned = language.tuning.models
    axes = {axis for own in plan.of.values() for axis in own.axes}
    for axis in sorted(axes | ({language.tuning.axis} if tuned else set())):
        if axis in language.lexicons:  # texts of another system may have an axis without one
            yield from _lexicon(axis, language.lexicons[axis], _relaxed(plan, axis))
    for name in plan.writing:
        key, source = f"language.sources.{name}", language.sources[name]
        if source.kind == "folder":
            yield from _folder(f"{key}.location", str(source.location))
        if source.text not in (None, "corpus"):
            yield from _text(f"{key}.text", source.text, plan.registry)
        yield from _lengths(plan, name)
    for name in plan.foreign:
        place = language.sources[name].location
        key, source = f"language.sources.{name}", language.sources[name]
        missing = list(_file(f"{key}.location", str(place), "texts"))
        yield from missing or _table(key, Path(str(place)), source)
    for name, scorer in plan.scorers.items():
        if scorer.kind == "transformer" and not scorer.revision:
            yield from _folder(f"language.scorers.{name}.location", str(scorer.location))
        if scorer.kind == "python":
            yield from _own_scorer(f"language.scorers.{name}.location", str(scorer.location))
    for key in ("text", "test") if tuned else ():
        yield from _text(f"language.tuning.{key}", getattr(language.tuning, key), plan.registry)


def _table(key: str, file: Path, source: LanguageSource) -> Iterator[str]:
    """What the first lines of a file of texts tell to be wrong."""
    from equitune.language.texts import check_header

    try:
        check_header(file, source.columns)
    except (OSError, ValueError) as error:
        yield f"{key}: {error}"


def _own_scorer(key: str, location: str) -> Iterator[str]:
    """Why a scorer of one's own cannot be found."""
    from equitune.language.own_scorer import check_path

    try:
        check_path(location)
    except ValueError as error:
        yield f"{key}: {error}"


def _folder(key: str, location: str) -> Iterator[str]:
    """What is missing of a model's folder."""
    folder = Path(location)
    do = "expected a folder of a model (config.json, *.safetensors, tokenizer)"
    if wrong := misplaced(location, do, folder=True, having=["config.json"]):
        yield f"{key}: {wrong}"
    elif not any(folder.glob("*.safetensors")):
        yield f"{key}: {location} has no *.safetensors: save the model with safetensors"
    elif not has_tokenizer(file.name for file in folder.iterdir()):
        yield f"{key}: {location} has no tokenizer files, as tokenizer.json: save it there too"


def _text(key: str, text: Any, registry: Registry) -> Iterator[str]:
    if text not in registry.files:
        yield from _file(key, str(text), "text, or a name in resources/sources.csv")


def _lexicon(axis: str, name: str, relaxed: list[str]) -> Iterator[str]:
    """What is wrong with a lexicon by itself, or for relaxed methods."""
    try:
        lexicon = read_lexicon(name)
    except (OSError, ValueError) as error:
        yield f"language.lexicons.{axis}: {error}"
        return
    if relaxed and not lexicon.general:
        methods = " and ".join(relaxed)
        yield (
            f"language.lexicons.{axis}: {name} has no general words, which {methods} leave alone: "
            f"name some under general, or leave {methods} out of language.methods"
        )


def _relaxed(plan: LanguagePlan, axis: str) -> list[str]:
    """The methods of an axis that leave its lexicon's general words alone."""
    methods = [*plan.config.tuning.methods] if plan.config.tuning.models else []
    methods = methods if plan.config.tuning.axis == axis else []
    for name in plan.writing:
        methods += plan.of[name].methods if axis in plan.of[name].axes else []
    return [method for method in dict.fromkeys(methods) if METHODS[method].relaxed]


def _prompts(plan: LanguagePlan) -> Iterator[str]:
    """What the prompts lack of the axes and tasks that are asked for."""
    own = plan.config.prompts
    try:
        known = read_prompts(None if own is None else Path(own))
        for name in plan.writing:
            for axis, task in product(plan.of[name].axes, plan.of[name].tasks):
                known(axis, task)
    except (OSError, ValueError) as error:
        yield f"language.prompts: {error}"
        return
    asked = {axis for name in plan.writing for axis in plan.of[name].axes}
    tuned = {plan.config.tuning.axis} if plan.config.tuning.models else set()
    for axis in sorted((asked | tuned) & known.axes.keys()):
        yield from _moved(axis, plan.config, known)


def _moved(axis: str, language: Language, known: Prompts) -> Iterator[str]:
    """Where a lexicon does not take the demographics of the prompts to each other."""
    try:
        lexicon = read_lexicon(language.lexicons[axis])
    except (OSError, ValueError):
        return  # `_lexicon` reports it
    try:
        check_moved(lexicon, known.axes[axis], language.forms)
    except ValueError as error:
        yield f"language.lexicons.{axis}: {error}"


def _lengths(plan: LanguagePlan, name: str) -> Iterator[str]:
    """What does not fit into a model's context, where its length is known already."""
    language, source = plan.config, plan.config.sources[name]
    length = language.network.context if source.kind == "corpus" else _context(plan, name)
    if length is None:
        return
    advice = f"as {name} sees {length} tokens: set at most {length}"
    if source.text not in (None, "corpus") and language.block > length:
        yield f"language.block is {language.block}, too long {advice}"
    if name in language.tuning.models and language.tuning.block > length:
        yield f"language.tuning.block is {language.tuning.block}, too long {advice}"
    if (new := plan.of[name].sampling.new_tokens) >= length:
        yield (
            f"language.sampling.new_tokens is {new}, which leaves no room for a prompt, as {name} "
            f"sees {length} tokens: set fewer"
        )


def _context(plan: LanguagePlan, name: str) -> int | None:
    """The tokens that a model on this machine can see, None where that is not known."""
    file = Path(plan.pretrained(name)).with_name("config.json")
    try:
        facts = json.loads(file.read_text(encoding="utf-8"))
        facts = {**facts, **facts.get("text_config", {})}
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    lengths = [facts[key] for key in LENGTHS if isinstance(facts.get(key), int)]
    return lengths[0] if lengths else None


def _words(plan: LanguagePlan, known: Path | None) -> Iterator[str]:
    """Where a lexicon is not a permutation of the tokens of a model on this machine.

    A tokenizer takes seconds to load: what fitted is written down, and not asked for again.
    """
    language = plan.config
    for name in plan.writing:
        folder = Path(plan.pretrained(name)).parent
        files = [file for file in (folder / one for one in TOKENIZERS) if file.is_file()]
        if language.sources[name].kind == "corpus":
            yield from _planted(plan, name)
            continue
        if not files:
            continue
        for axis in plan.of[name].axes:
            lexicon = read_lexicon(language.lexicons[axis])
            stats = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
            facts = repr((str(folder.resolve()), stats, lexicon, language.forms))
            noted = known and known / hashlib.sha256(facts.encode()).hexdigest()[:16]
            if noted and noted.exists():
                continue
            if wrong := _unfitting(folder, lexicon, language.forms):
                yield f"language.lexicons.{axis} does not fit {name}: {wrong}"
            elif noted:
                with suppress(OSError):  # a folder that cannot be written to
                    noted.parent.mkdir(parents=True, exist_ok=True)
                    noted.touch()


def _planted(plan: LanguagePlan, name: str) -> Iterator[str]:
    """What a model of the generated corpus will not know: it stands there before it is trained."""
    own, corpus = plan.config.prompts, read_corpus()
    prompts = read_prompts(None if own is None else Path(own))
    try:
        corpus.check(prompts)
    except ValueError as error:
        yield f"language.prompts does not fit {name}: {error}"
        return
    for axis in plan.of[name].axes:
        try:
            check_known(corpus, prompts, read_lexicon(plan.config.lexicons[axis]))
        except ValueError as error:
            yield f"language.lexicons.{axis} does not fit {name}: {error}"


def _unfitting(folder: Path, lexicon: Lexicon, forms: bool) -> str:
    """Why a lexicon is not a permutation of a tokenizer's tokens, "" if it is one."""
    from equitune.language import words

    try:
        words.words_on(lexicon, words.load_tokenizer(str(folder)), forms=forms)
    except ModuleNotFoundError:  # jobs have an environment of their own
        return ""
    except ValueError as error:
        return str(error)
    return ""


def _file(key: str, place: str, what: str) -> Iterator[str]:
    """What is wrong with a file."""
    if wrong := misplaced(place, f"expected a file of {what}"):
        yield f"{key}: {wrong}"
