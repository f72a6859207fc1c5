# What the rules of language models take: files and settings by model, method and seed.
def language_base(wildcards):
    """What stands beside the files of a language model that writes."""
    if LANGUAGE.sources[wildcards.model].kind == "corpus":
        return f"results/language/corpus/seed{wildcards.seed}/base/manifest.json"
    return pretrained_base(wildcards.model)


def pretrained_base(model):
    """What stands beside the files of a language model that was not trained here."""
    source = LANGUAGE.sources[model]
    if source.kind == "hub":
        return f"results/language/hub/{model}/manifest.json"
    if source.kind == "package":
        return f"results/language/packages/{source.location}/manifest.json"
    return f"{source.location}/config.json"


def language_bases(wildcards):
    """The manifests of the language models that are trained here."""
    return [
        f"results/language/corpus/seed{seed}/base/manifest.json"
        for model in LANGUAGE_MODELS
        if LANGUAGE.sources[model].kind == "corpus"
        for seed in LANGUAGE.seeds
    ]


def language_text(wildcards):
    """The text that a model's perplexity is measured on, none where none is asked for."""
    text = LANGUAGE.sources[wildcards.model].text
    if text == "corpus":
        return [f"results/language/corpus/seed{wildcards.seed}/validation.txt"]
    if text is None:
        return []
    return [text_file(text)]


def language_samples(wildcards):
    """The file of published samples."""
    return f"results/sources/{FILES[LANGUAGE.sources[wildcards.model].location]}"


def language_axes(wildcards):
    """The lexicons of a model's axes, as the commands take them."""
    axes = LANGUAGE_OF[wildcards.model].axes
    return json.dumps({axis: LANGUAGE.lexicons[axis] for axis in axes})


def language_tasks(wildcards):
    """The tasks of a model, as the commands take them."""
    return option("--task", *LANGUAGE_OF[wildcards.model].tasks)


def language_methods(name, without=()):
    """A file of each method of a model, but for some."""

    def files(wildcards):
        return [
            f"{LANGUAGE_CELL.format(**wildcards)}/{method}/{name}"
            for method in LANGUAGE_OF[wildcards.model].methods
            if method not in without
        ]

    return files


def language_measures(wildcards):
    """What was measured of each method, nothing of published samples and of methods that choose
    among whole texts."""
    if wildcards.model in LANGUAGE_PUBLISHED:
        return []
    return language_methods("measures.csv", configuration.CHOOSING)(wildcards)


def language_scorer(wildcards):
    """The file of a model's scorer, none for one that needs none."""
    name = LANGUAGE_OF[wildcards.model].scorer
    scorer = SCORERS[name]
    if name in TRAINED:
        return [f"results/language/scorer/{name}/model.safetensors"]
    if scorer.kind != "transformer":
        return []
    hub = f"results/language/hub/scorer_{name}/manifest.json"
    return [hub if scorer.revision else f"{scorer.location}/config.json"]


def reader(scorer):
    """What stands beside the files of the model that a scorer reads texts by, if it has one."""
    model = SCORERS[scorer].model
    return [] if model is None else [pretrained_base(model)]


def language_reader(wildcards):
    """The same of a model's scorer."""
    return reader(LANGUAGE_OF[wildcards.model].scorer)


def language_scorer_settings(wildcards):
    """The settings of a model's scorer, as the commands take them."""
    return as_json(SCORERS[LANGUAGE_OF[wildcards.model].scorer])


def of_choosers(value):
    """A function of the wildcards for the methods that choose among texts by the scorer, and
    nothing for all others."""
    return lambda w: value(w) if w.method in configuration.CHOOSING else []


def trained(file):
    """A scorer as the command takes it: a file, or the folder of a model."""
    path = Path(file)
    return str(path.parent if path.suffix == ".json" else path)


def language_sources(source):
    """The files of the registry that a language model needs."""
    names = [source.text, source.location if source.kind == "samples" else None]
    return [f"results/sources/{FILES[name]}" for name in names if name in FILES]


def of_models(files):
    """What a function makes of language models."""
    return with_packaged(LANGUAGE.models, PACKAGES, files)


def language_parts(name, among=lambda model: True):
    """A file of every model and seed; published samples are of no seed of ours."""

    def files(models):
        return [
            f"{LANGUAGE_CELL}/{name}".format(model=model, seed=seed)
            for model in filter(among, models)
            for seed in (
                LANGUAGE.seeds[:1] if model in LANGUAGE_PUBLISHED else LANGUAGE.seeds
            )
        ]

    return of_models(files)


def trained_scorers(models):
    """The names of the scorers of models that are trained here."""
    used = dict.fromkeys(LANGUAGE_OF[model].scorer for model in models)
    return [name for name in used if name in TRAINED]


def scorer_accuracies(models):
    """A file of each scorer that is trained here for models."""
    names = trained_scorers(models)
    return [f"results/language/scorer/{name}/accuracy.csv" for name in names]


def scorer_table(models):
    """The table of the scorers that are trained here for models, none where there are none."""
    return ["results/tables/regard_scorer.csv"] if trained_scorers(models) else []


def language_truth_table(wildcards):
    """What the generated corpus was made with, where a model learns it."""
    kinds = {LANGUAGE.sources[name].kind for name in LANGUAGE.models}
    return ["results/tables/truth.csv"] if "corpus" in kinds else []


def has_pronouns(model):
    """Whether the lexicon of one of a model's axes has pronouns. A lexicon that cannot be read is
    left to the steps that need it."""
    for axis in LANGUAGE_OF[model].axes:
        try:
            if read_lexicon(LANGUAGE.lexicons[axis]).pronouns:
                return True
        except (OSError, ValueError):
            continue
    return False


def pronoun_results(models):
    """What is made of pronouns, nothing where no model's lexicons have any."""
    made = [
        "results/tables/language_pronouns.csv",
        "results/figures/language_pronouns.svg",
    ]
    return made if any(map(has_pronouns, models)) else []


def tuning_tables(models):
    """The table of every model that is tuned."""
    return [
        f"{LANGUAGE_CELL}/{method}/tuned/tuning.csv".format(model=model, seed=seed)
        for model in models
        if model in LANGUAGE.tuning.models
        for method in LANGUAGE.tuning.methods
        for seed in LANGUAGE.tuning.seeds or LANGUAGE.seeds
    ]


def tuning_results(models):
    """What is made of models that are tuned, nothing where there are none."""
    made = [
        "results/tables/language_tuning.csv",
        "results/figures/language_tuning.svg",
    ]
    return made if tuning_tables(models) else []


def language_by_line(model):
    """Whether perplexity is measured on the generated sentences, each by itself."""
    return LANGUAGE.sources[model].text == "corpus"
