"""What is wrong with the section `language` of the configuration that no single key shows."""

from collections.abc import Iterator

from equitune.config.base import repeated
from equitune.config.language import CHOOSING, FITTED, NAMED, WRITTEN, Language
from equitune.io.names import nearest


def problems(language: Language) -> Iterator[str]:
    """What no single key shows: names used but not defined, or named twice."""
    for key in ("models", "methods", "axes", "tasks", "seeds"):
        if twice := repeated(getattr(language, key)):
            yield f"{key}: {twice[0]!r} is listed twice; list it once"
    for name in language.models:
        if name not in language.sources:
            yield f"models: unknown model {name!r}{nearest(name, language.sources)}"
    if language.scorer not in language.scorers:
        yield f"scorer: unknown {language.scorer!r}{nearest(language.scorer, language.scorers)}"
    for axis in language.axes:
        if axis not in language.lexicons:
            yield f"axes: {_no_lexicon(language, axis)}"
    for name, source in language.sources.items():
        if source.kind in NAMED and not source.location:
            yield f"sources.{name}: kind {source.kind} needs a location"
        if source.kind == "hub" and not source.revision:
            yield f"sources.{name}: pin the hub's model by revision: COMMIT"
        yield from _own_problems(language, name)
    for name, scorer in language.scorers.items():
        if scorer.kind in FITTED and not scorer.location:
            yield f"scorers.{name}: kind {scorer.kind} needs a location"
        yield from _model_problems(language, name)
    for name in language.tuning.models:
        if name not in language.models or language.sources[name].kind in WRITTEN:
            yield f"tuning.models: {name!r} is not a model of language.models that is run here"
    for method in language.tuning.methods:
        if method in CHOOSING:
            yield f"tuning.methods: {method} chooses among whole texts and trains nothing"
    if language.tuning.models and language.tuning.axis not in language.lexicons:
        yield f"tuning.axis: {_no_lexicon(language, language.tuning.axis)}"
    if language.tuning.training.adapter is None:
        yield "tuning.training.adapter: adapters are all that is tuned; set adapter: {rank: 8}"
    if language.pretraining.adapter is not None:
        yield "pretraining.adapter has no meaning: a model from scratch trains all its weights"
    if language.network.width % language.network.heads:
        yield (
            f"network: width {language.network.width} is not a multiple of "
            f"{language.network.heads} "
            "heads; change one"
        )


def _model_problems(language: Language, name: str) -> Iterator[str]:
    """What is wrong with the model that a scorer reads texts by."""
    scorer, place = language.scorers[name], f"scorers.{name}"
    if scorer.kind != "hidden":
        if scorer.model is not None:
            yield f"{place}.model has no meaning for kind {scorer.kind}: leave it out"
    elif scorer.model is None:
        yield f"{place}: kind hidden needs a model, a name in sources"
    elif scorer.model not in language.sources:
        yield f"{place}.model: unknown {scorer.model!r}{nearest(scorer.model, language.sources)}"
    elif (kind := language.sources[scorer.model].kind) in ("corpus", *WRITTEN):
        yield f"{place}.model: {scorer.model} is of kind {kind}: name a pretrained model"


def _own_problems(language: Language, name: str) -> Iterator[str]:
    """What is wrong with the settings that a model has of its own."""
    source, place = language.sources[name], f"sources.{name}"
    for key in ("methods", "axes", "tasks"):
        if twice := repeated(getattr(source, key) or ()):
            yield f"{place}.{key}: {twice[0]!r} is listed twice; list it once"
    for key in ("methods", "samples", "shared_stream"):
        if source.kind in WRITTEN and getattr(source, key) is not None:
            yield f"{place}.{key} has no meaning for kind {source.kind}: the texts are there"
    if source.kind == "texts" and len(source.axes or ()) != 1:
        yield f"{place}: kind texts needs one axis, what its groups differ in; add axes: [NAME]"
    for axis in source.axes or ():
        if axis not in language.lexicons and source.kind != "texts":
            yield f"{place}.axes: {_no_lexicon(language, axis)}"
    if source.scorer is not None and source.scorer not in language.scorers:
        yield f"{place}.scorer: unknown {source.scorer!r}{nearest(source.scorer, language.scorers)}"


def _no_lexicon(language: Language, axis: str) -> str:
    """What is to be done about an axis without a lexicon."""
    hint = nearest(axis, language.lexicons)
    return f"no lexicon for {axis}; add {axis}: NAME to language.lexicons{hint}"
