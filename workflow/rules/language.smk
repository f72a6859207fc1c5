# Language: models -> sampled by each method -> measured, scored -> table.
localrules:  # seconds each: a job of its own would wait longer than that
    read_published_texts,
    read_texts,
    count_pronouns,


LANGUAGE_FILES = [
    LANGUAGE.wheels.notes,  # one that was deleted is written anew, and what depends on it
    "results/tables/regard.csv",
    "results/tables/fairness.csv",
    "results/tables/language_texts.csv",
    "results/findings/language.html",
    *catalogue.asked_for("language"),
    available(LANGUAGE.wheels, LANGUAGE.optional),
]


rule language:
    input:
        *LANGUAGE_FILES,
        page_of("language"),


# all axes and tasks in one job: it loads the model once
rule generate_texts:
    input:
        base=lambda w: LANGUAGE.base(w.model, w.seed),
        scorer=lambda w: LANGUAGE.chooser_files(w.model, w.method),
        reader=lambda w: LANGUAGE.chooser_reader(w.model, w.method),
    output:
        f"{LANGUAGE_CELL}/{{method}}/samples.jsonl",
    log:
        log_of(f"{LANGUAGE_CELL}/{{method}}/samples.jsonl"),
    benchmark:
        benchmark_of("generate_texts", f"{LANGUAGE_CELL}/{{method}}/samples.jsonl")
    wildcard_constraints:
        model=one_of(*LANGUAGE.writing),
    conda:
        "../../envs/equitune.yaml"
    resources:
        mem_mb=per_attempt(6000),
        runtime=per_attempt(240),
        gpu=GPU,
    params:
        code=CODE.of("language generate"),
        how=lambda w: how(w.method),
        choosing=lambda w: LANGUAGE.chooser_folder(w.model, w.method),
        words=lambda w: LANGUAGE.words(w.model),
        weights=lambda w: LANGUAGE.folder(w.model),
        base=lambda w, input: folder_or_file(input.base),
        axes=lambda w: LANGUAGE.axes(w.model),
        tasks=lambda w: LANGUAGE.tasks(w.model),
        sampling=lambda w: as_text(LANGUAGE.of[w.model].sampling),
        prompts=LANGUAGE.prompts,
        forms=LANGUAGE.forms,
        scorer=lambda w: LANGUAGE.chooser(w.model, w.method),
        trained=lambda w, input: option("--trained", *map(folder_or_file, input.scorer)),
        reader=lambda w, input: option(
            "--scorer-base", *map(folder_or_file, input.reader)
        ),
    shell:
        COMMANDS.compute(
            "language generate --base {params.base:q} --model {wildcards.model}"
            " --method {wildcards.method} --axes {params.axes:q} {params.tasks}"
            " --sampling {params.sampling:q} --seed {wildcards.seed} {params.prompts}"
            " {params.forms} {params.scorer} {params.trained} {params.reader}"
            " --output {output:q}"
        )


rule measure_language:
    input:
        base=lambda w: LANGUAGE.base(w.model, w.seed),
        text=lambda w: LANGUAGE.text(w.model, w.seed),
    output:
        f"{LANGUAGE_CELL}/{{method}}/measures.csv",
    log:
        log_of(f"{LANGUAGE_CELL}/{{method}}/measures.csv"),
    benchmark:
        benchmark_of("measure_language", f"{LANGUAGE_CELL}/{{method}}/measures.csv")
    wildcard_constraints:
        model=one_of(*LANGUAGE.writing),
    conda:
        "../../envs/equitune.yaml"
    resources:
        mem_mb=per_attempt(6000),
        runtime=per_attempt(240),
        gpu=GPU,
    params:
        code=CODE.of("language measure"),
        how=lambda w: how(w.method),
        words=lambda w: LANGUAGE.words(w.model),
        weights=lambda w: LANGUAGE.folder(w.model),
        base=lambda w, input: folder_or_file(input.base),
        axes=lambda w: LANGUAGE.axes(w.model),
        tasks=lambda w: LANGUAGE.tasks(w.model),
        text=lambda w, input: option("--text", *input.text),
        block=lambda w: LANGUAGE.block(w.model),
        blocks=option("--blocks", CONFIG.language.blocks),
        precision=LANGUAGE.precision,
        prompts=LANGUAGE.prompts,
        forms=LANGUAGE.forms,
    shell:
        COMMANDS.compute(
            "language measure --base {params.base:q} --method {wildcards.method}"
            " --axes {params.axes:q} {params.tasks} {params.text} {params.block} {params.blocks}"
            " {params.precision} {params.prompts} {params.forms}"
            " --output {output:q}"
        )


rule read_published_texts:
    input:
        lambda w: LANGUAGE.samples(w.model),
    output:
        f"{LANGUAGE_CELL}/{{method}}/samples.jsonl",
    log:
        log_of(f"{LANGUAGE_CELL}/{{method}}/samples.jsonl"),
    benchmark:
        benchmark_of(
            "read_published_texts", f"{LANGUAGE_CELL}/{{method}}/samples.jsonl"
        )
    wildcard_constraints:
        model=one_of(*LANGUAGE.published),
        method=PLAIN,
    conda:
        "../../envs/equitune.yaml"
    params:
        code=CODE.of("language published"),
        words=lambda w: LANGUAGE.words(w.model),
        prompts=LANGUAGE.prompts,
    shell:
        COMMANDS.run(
            "language published --source {input:q} --model {wildcards.model}"
            " {params.prompts} --output {output:q}"
        )


rule read_texts:
    input:
        lambda w: CONFIG.language.sources[w.model].location,
    output:
        f"{LANGUAGE_CELL}/{{method}}/samples.jsonl",
    log:
        log_of(f"{LANGUAGE_CELL}/{{method}}/samples.jsonl"),
    benchmark:
        benchmark_of("read_texts", f"{LANGUAGE_CELL}/{{method}}/samples.jsonl")
    wildcard_constraints:
        model=one_of(*LANGUAGE.foreign),
        method=PLAIN,
    conda:
        "../../envs/equitune.yaml"
    params:
        code=CODE.of("language texts"),
        axis=lambda w: LANGUAGE.of[w.model].axes[0],
        columns=lambda w: as_text(CONFIG.language.sources[w.model].columns),
    shell:
        COMMANDS.run(
            "language texts --source {input:q} --model {wildcards.model} --axis {params.axis}"
            " --columns {params.columns:q} --output {output:q}"
        )


rule train_scorer:
    input:
        train=lambda w: LANGUAGE.scorer_text(w.scorer),
        dev="results/sources/nlg-bias/dev.tsv",
        test="results/sources/nlg-bias/test.tsv",
        base=lambda w: LANGUAGE.reader(w.scorer),
    output:
        scorer="results/language/scorer/{scorer}/model.safetensors",
        accuracy="results/language/scorer/{scorer}/accuracy.csv",
    log:
        log_of("results/language/scorer/{scorer}/model.safetensors"),
    benchmark:
        benchmark_of(
            "train_scorer", "results/language/scorer/{scorer}/model.safetensors"
        )
    conda:
        "../../envs/equitune.yaml"
    resources:
        mem_mb=per_attempt(4000),
        runtime=per_attempt(30),
        gpu=GPU,
    params:
        code=CODE.of("language scorer"),
        weights=lambda w: LANGUAGE.scorer_folder(w.scorer),
        kind=lambda w: LANGUAGE.scorers[w.scorer].kind,
        base=lambda w, input: option("--base", *map(folder_or_file, input.base)),
    shell:
        COMMANDS.compute(
            "language scorer --train {input.train:q} --dev {input.dev:q}"
            " --test {input.test:q} --output {output.scorer:q} --accuracy {output.accuracy:q}"
            " --name {wildcards.scorer} --kind {params.kind} {params.base}"
        )


# one job a cell: scoring all methods' texts takes seconds
rule evaluate_language:
    input:
        samples=lambda w: LANGUAGE.methods("samples.jsonl", w.model, w.seed),
        measures=lambda w: LANGUAGE.measures(w.model, w.seed),
        scorer=lambda w: LANGUAGE.scorer(w.model),
        reader=lambda w: LANGUAGE.reader(LANGUAGE.of[w.model].scorer),
    output:
        regard=f"{LANGUAGE_CELL}/regard.csv",
        fairness=f"{LANGUAGE_CELL}/fairness.csv",
        texts=f"{LANGUAGE_CELL}/texts.csv",
    log:
        log_of(f"{LANGUAGE_CELL}/regard.csv"),
    benchmark:
        benchmark_of("evaluate_language", f"{LANGUAGE_CELL}/regard.csv")
    conda:
        "../../envs/equitune.yaml"
    resources:
        mem_mb=per_attempt(4000),
        runtime=per_attempt(60),
        gpu=GPU,
    params:
        code=CODE.of("language evaluate"),
        words=lambda w: LANGUAGE.words(w.model),
        weights=lambda w: LANGUAGE.scorer_folder(LANGUAGE.of[w.model].scorer),
        samples=lambda w, input: braces(input.samples),
        measures=lambda w, input: braces(input.measures, "--measures"),
        # no wildcards, whatever stands in braces
        scorer=lambda w: LANGUAGE.scorer_settings(w.model),
        name=lambda w: LANGUAGE.of[w.model].scorer,
        trained=lambda w, input: option("--trained", *map(folder_or_file, input.scorer)),
        reader=lambda w, input: option(
            "--scorer-base", *map(folder_or_file, input.reader)
        ),
        prompts=LANGUAGE.prompts,
        axes=lambda w: LANGUAGE.symmetric(w.model),
        forms=LANGUAGE.forms,
        read=LANGUAGE.read,
    shell:
        COMMANDS.compute(
            "language evaluate {params.samples} {params.measures}"
            " --scorer {params.scorer:q} --scorer-name {params.name} {params.trained}"
            " {params.reader} --seed {wildcards.seed} {params.prompts} {params.read}"
            " {params.axes} {params.forms} --output {output.regard:q}"
        )


rule tune_language:
    input:
        base=lambda w: LANGUAGE.base(w.model, w.seed),
        text=REGISTRY.text(CONFIG.language.tuning.text),
        test=REGISTRY.text(CONFIG.language.tuning.test),
    output:
        manifest=f"{LANGUAGE_CELL}/{{method}}/tuned/manifest.json",
        rows=f"{LANGUAGE_CELL}/{{method}}/tuned/tuning.csv",
    log:
        log_of(f"{LANGUAGE_CELL}/{{method}}/tuned/manifest.json"),
    benchmark:
        benchmark_of("tune_language", f"{LANGUAGE_CELL}/{{method}}/tuned/manifest.json")
    wildcard_constraints:
        model=one_of(*CONFIG.language.tuning.models),
    conda:
        "../../envs/equitune.yaml"
    threads: RANKS
    resources:
        mem_mb=per_attempt(6000 * RANKS),
        runtime=240,
        gpu=GPUS,
    params:
        code=CODE.of("language tune"),
        start=start,
        how=lambda w: how(w.method),
        words=lambda w: LANGUAGE.words(w.model),
        weights=lambda w: LANGUAGE.folder(w.model),
        base=lambda w, input: folder_or_file(input.base),
        lexicon=CONFIG.language.lexicons.get(CONFIG.language.tuning.axis, ""),
        tasks=lambda w: LANGUAGE.tasks(w.model),
        tuning=as_text(CONFIG.language.tuning),
        prompts=LANGUAGE.prompts,
        forms=LANGUAGE.forms,
    shell:
        COMMANDS.train(
            "language tune --base {params.base:q} --model {wildcards.model}"
            " --method {wildcards.method} --lexicon {params.lexicon:q} --text {input.text:q}"
            " --test {input.test:q} {params.tasks} --tuning {params.tuning:q}"
            " --seed {wildcards.seed} {params.prompts} {params.forms}"
            " --output {output.manifest:q}"
        )


rule count_pronouns:
    input:
        lambda w: LANGUAGE.methods("samples.jsonl", w.model, w.seed),
    output:
        f"{LANGUAGE_CELL}/pronouns.csv",
    log:
        log_of(f"{LANGUAGE_CELL}/pronouns.csv"),
    benchmark:
        benchmark_of("count_pronouns", f"{LANGUAGE_CELL}/pronouns.csv")
    conda:
        "../../envs/equitune.yaml"
    params:
        code=CODE.of("language pronouns"),
        samples=lambda w, input: braces(input),
        words=lambda w: LANGUAGE.words(w.model),
        prompts=LANGUAGE.prompts,
        axes=lambda w: LANGUAGE.axes(w.model),
    shell:
        COMMANDS.run(
            "language pronouns {params.samples} --axes {params.axes:q} --seed {wildcards.seed}"
            " {params.prompts} --output {output:q}"
        )
