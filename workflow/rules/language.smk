# Language: corpus or hub -> pretrained -> sampled by each method -> measured, scored -> table.
localrules:  # seconds each: a job of its own would wait longer than that
    language_corpus,
    language_truth,
    language_published,


rule language:
    input:
        notes(PACKAGES),  # one that was deleted is written anew, and what depends on it
        "results/tables/regard.csv",
        "results/tables/fairness.csv",
        "results/tables/language_texts.csv",
        "results/figures/language_regard.svg",
        "results/figures/language_gaps.svg",
        "results/figures/language_fairness.svg",
        of_models(scorer_table),
        of_models(pronoun_results),
        of_models(tuning_results),


rule language_corpus:
    output:
        train="results/language/corpus/seed{seed}/train.txt",
        validation="results/language/corpus/seed{seed}/validation.txt",
    log:
        "results/logs/language_corpus/{seed}.log",
    conda:
        "../../envs/equitune.yaml"
    threads: 1
    params:
        per_prompt=LANGUAGE.per_prompt,
        prompts=PROMPTS,
    shell:
        "python -m equitune --log {log:q} language corpus --per-prompt {params.per_prompt}"
        " --seed {wildcards.seed} {params.prompts} --train {output.train:q}"
        " --validation {output.validation:q}"


rule language_truth:
    output:
        report(
            "results/tables/truth.csv",
            category="Fairness of language models",
            caption="../report/language_truth.rst",
            labels={
                "what": "what the generated corpus was made with",
                "kind": "table",
            },
        ),
    log:
        "results/logs/language_truth.log",
    conda:
        "../../envs/equitune.yaml"
    threads: 1
    params:
        prompts=PROMPTS,
    shell:
        "python -m equitune --log {log:q} language truth {params.prompts} --output {output:q}"


rule language_pretrain:
    input:
        train=rules.language_corpus.output.train,
        validation=rules.language_corpus.output.validation,
    output:
        "results/language/corpus/seed{seed}/base/manifest.json",
    log:
        "results/logs/language_pretrain/{seed}.log",
    benchmark:
        "results/benchmarks/language_pretrain/{seed}.tsv"
    conda:
        "../../envs/equitune.yaml"
    threads: 1
    resources:
        mem_mb=per_attempt(2000),
        runtime=30,
        gpu=GPU,
    params:
        network=as_json(LANGUAGE.network),
        training=as_json(LANGUAGE.pretraining),
        prompts=PROMPTS,
        device=CONFIG.device,
        determinism=CONFIG.determinism,
        states=STATES,
    shell:
        "python -m equitune --log {log:q} --minutes {resources.runtime}"
        " --determinism {params.determinism} language pretrain --train {input.train:q}"
        " --validation {input.validation:q} --seed {wildcards.seed} {params.prompts}"
        " --network {params.network:q} --training {params.training:q} --device {params.device}"
        " --state-folder {params.states:q} --output {output:q}"


# measured for 135 million weights: 1.6 GB of memory; on the disk 0.55 GB, twice while it is replaced
rule language_convert:
    input:
        lambda w: f"results/sources/{FILES[w.name]}",
    output:
        "results/language/packages/{name}/manifest.json",
    log:
        "results/logs/language_convert/{name}.log",
    benchmark:
        "results/benchmarks/language_convert/{name}.tsv"
    wildcard_constraints:
        name=one_of(*PACKAGED),
    conda:
        "../../envs/equitune.yaml"
    threads: 1
    resources:
        mem_mb=per_attempt(3000),
        disk_mb=1500,
        runtime=per_attempt(15),
    shell:  # no bars of its readers among the lines of all jobs
        "TQDM_DISABLE=1 python -m equitune --log {log:q} language convert {input:q}"
        " --output {output:q}"


# all axes and tasks in one job: it loads the model once
rule language_generate:
    input:
        base=language_base,
        scorer=of_choosers(language_scorer),
        reader=of_choosers(language_reader),
    output:
        f"{LANGUAGE_CELL}/{{method}}/samples.jsonl",
    log:
        "results/logs/language_generate/{model}_{method}_{seed}.log",
    benchmark:
        "results/benchmarks/language_generate/{model}_{method}_{seed}.tsv"
    wildcard_constraints:
        model=one_of(*LANGUAGE_MODELS),
    conda:
        "../../envs/equitune.yaml"
    threads: 1
    resources:
        mem_mb=per_attempt(6000),
        runtime=per_attempt(240),
        gpu=GPU,
    params:
        base=lambda w, input: str(Path(input.base).parent),
        axes=language_axes,
        tasks=language_tasks,
        sampling=lambda w: as_json(LANGUAGE_OF[w.model].sampling),
        prompts=PROMPTS,
        forms="--forms" if LANGUAGE.forms else "",
        scorer=of_choosers(
            lambda w: f"{option('--scorer', language_scorer_settings(w))} {READ}"
        ),
        trained=lambda w, input: option("--trained", *map(trained, input.scorer)),
        reader=lambda w, input: option("--scorer-base", *map(trained, input.reader)),
        device=CONFIG.device,
        determinism=CONFIG.determinism,
        states=STATES,
    shell:
        "python -m equitune --log {log:q} --determinism {params.determinism}"
        " language generate --base {params.base:q}"
        " --model {wildcards.model} --method {wildcards.method} --axes {params.axes:q}"
        " {params.tasks} --sampling {params.sampling:q} --seed {wildcards.seed} {params.prompts}"
        " {params.forms} {params.scorer} {params.trained} {params.reader}"
        " --device {params.device} --state-folder {params.states:q}"
        " --output {output:q}"


rule language_measure:
    input:
        base=language_base,
        text=language_text,
    output:
        f"{LANGUAGE_CELL}/{{method}}/measures.csv",
    log:
        "results/logs/language_measure/{model}_{method}_{seed}.log",
    wildcard_constraints:
        model=one_of(*LANGUAGE_MODELS),
    conda:
        "../../envs/equitune.yaml"
    threads: 1
    resources:
        mem_mb=per_attempt(6000),
        runtime=per_attempt(240),
        gpu=GPU,
    params:
        base=lambda w, input: str(Path(input.base).parent),
        axes=language_axes,
        tasks=language_tasks,
        text=lambda w, input: option("--text", *input.text),
        block=lambda w: (
            "" if language_by_line(w.model) else option("--block", LANGUAGE.block)
        ),
        blocks=option("--blocks", LANGUAGE.blocks),
        precision=LANGUAGE.sampling.precision,
        prompts=PROMPTS,
        forms="--forms" if LANGUAGE.forms else "",
        device=CONFIG.device,
        determinism=CONFIG.determinism,
    shell:
        "python -m equitune --log {log:q} --determinism {params.determinism}"
        " language measure --base {params.base:q}"
        " --method {wildcards.method} --axes {params.axes:q} {params.tasks} {params.text}"
        " {params.block} {params.blocks} --precision {params.precision} {params.prompts} {params.forms}"
        " --device {params.device} --output {output:q}"


rule language_published:
    input:
        language_samples,
    output:
        f"{LANGUAGE_CELL}/{{method}}/samples.jsonl",
    log:
        "results/logs/language_published/{model}_{method}_{seed}.log",
    wildcard_constraints:
        model=one_of(*LANGUAGE_PUBLISHED),
        method="plain",
    conda:
        "../../envs/equitune.yaml"
    threads: 1
    params:
        prompts=PROMPTS,
    shell:
        "python -m equitune --log {log:q} language published --source {input:q}"
        " --model {wildcards.model} {params.prompts} --output {output:q}"


rule language_scorer:
    input:
        train=lambda w: f"results/sources/{FILES[SCORERS[w.scorer].location]}",
        dev="results/sources/nlg-bias/dev.tsv",
        test="results/sources/nlg-bias/test.tsv",
        base=lambda w: reader(w.scorer),
    output:
        scorer="results/language/scorer/{scorer}/model.safetensors",
        accuracy="results/language/scorer/{scorer}/accuracy.csv",
    log:
        "results/logs/language_scorer/{scorer}.log",
    conda:
        "../../envs/equitune.yaml"
    threads: 1
    resources:
        mem_mb=per_attempt(4000),
        runtime=per_attempt(30),
        gpu=GPU,
    params:
        kind=lambda w: SCORERS[w.scorer].kind,
        base=lambda w, input: option("--base", *map(trained, input.base)),
        device=CONFIG.device,
        determinism=CONFIG.determinism,
    shell:
        "python -m equitune --log {log:q} --determinism {params.determinism}"
        " language scorer --train {input.train:q}"
        " --dev {input.dev:q} --test {input.test:q} --output {output.scorer:q}"
        " --accuracy {output.accuracy:q} --name {wildcards.scorer} --kind {params.kind}"
        " {params.base} --device {params.device}"


# one job a cell: scoring all methods' texts takes seconds
rule language_evaluate:
    input:
        samples=language_methods("samples.jsonl"),
        measures=language_measures,
        scorer=language_scorer,
        reader=language_reader,
    output:
        regard=f"{LANGUAGE_CELL}/regard.csv",
        fairness=f"{LANGUAGE_CELL}/fairness.csv",
        texts=f"{LANGUAGE_CELL}/texts.csv",
    log:
        "results/logs/language_evaluate/{model}_{seed}.log",
    conda:
        "../../envs/equitune.yaml"
    threads: 1
    resources:
        mem_mb=per_attempt(4000),
        runtime=per_attempt(60),
        gpu=GPU,
    params:
        measures=lambda w, input: option("--measures", *input.measures),
        # no wildcards, whatever stands in braces
        scorer=language_scorer_settings,
        name=lambda w: LANGUAGE_OF[w.model].scorer,
        trained=lambda w, input: option("--trained", *map(trained, input.scorer)),
        reader=lambda w, input: option("--scorer-base", *map(trained, input.reader)),
        prompts=PROMPTS,
        axes=language_axes,
        forms="--forms" if LANGUAGE.forms else "",
        read=READ,
        device=CONFIG.device,
        determinism=CONFIG.determinism,
    shell:
        "python -m equitune --log {log:q} --determinism {params.determinism}"
        " language evaluate {input.samples:q} {params.measures}"
        " --scorer {params.scorer:q} --scorer-name {params.name} {params.trained}"
        " {params.reader} --seed {wildcards.seed} {params.prompts}"
        " {params.read} --axes {params.axes:q} {params.forms}"
        " --device {params.device} --regard {output.regard:q}"
        " --fairness {output.fairness:q} --texts {output.texts:q}"


rule language_tune:
    input:
        base=language_base,
        text=text_file(LANGUAGE.tuning.text),
        test=text_file(LANGUAGE.tuning.test),
    output:
        manifest=f"{LANGUAGE_CELL}/{{method}}/tuned/manifest.json",
        rows=f"{LANGUAGE_CELL}/{{method}}/tuned/tuning.csv",
    log:
        "results/logs/language_tune/{model}_{method}_{seed}.log",
    benchmark:
        "results/benchmarks/language_tune/{model}_{method}_{seed}.tsv"
    wildcard_constraints:
        model=one_of(*LANGUAGE.tuning.models),
    conda:
        "../../envs/equitune.yaml"
    threads: 1
    resources:
        mem_mb=per_attempt(6000),
        runtime=240,
        gpu=GPU,
    params:
        base=lambda w, input: str(Path(input.base).parent),
        lexicon=LANGUAGE.lexicons.get(LANGUAGE.tuning.axis, ""),
        tasks=language_tasks,
        tuning=as_json(LANGUAGE.tuning),
        prompts=PROMPTS,
        forms="--forms" if LANGUAGE.forms else "",
        device=CONFIG.device,
        determinism=CONFIG.determinism,
        states=STATES,
    shell:
        "python -m equitune --log {log:q} --minutes {resources.runtime}"
        " --determinism {params.determinism} language tune --base {params.base:q}"
        " --model {wildcards.model} --method {wildcards.method} --lexicon {params.lexicon:q}"
        " --text {input.text:q} --test {input.test:q} {params.tasks} --tuning {params.tuning:q}"
        " --seed {wildcards.seed} {params.prompts} {params.forms} --device {params.device}"
        " --state-folder {params.states:q} --output {output.manifest:q}"
