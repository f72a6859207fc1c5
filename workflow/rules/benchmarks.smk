# What everything costs, measured on this machine; `snakemake benchmarks`. Each benchmark takes all
# cores, so that nothing runs beside it and the clock is its own.
localrules:
    tabulate_cost,


SCAN_FIRST = {"task": CONFIG.scan.tasks[0], "seed": CONFIG.scan.seeds[0]}
CORPUS_BASE = f"{CORPUS}/base/manifest.json".format(seed=CONFIG.language.seeds[0])
SCAN_PRETRAINED, SCAN_TUNED = (
    expand(
        f"{SCAN_CELL}/{method}/{group}/model.safetensors",
        architecture=CONFIG.scan.architectures,
        **SCAN_FIRST,
    )
    for method, group in (
        ("pretrained", configuration.IDENTITY),
        ("equitune", CONFIG.scan.groups[CONFIG.scan.tasks[0]][0]),
    )
)


rule measure_scan_cost:
    input:
        dataset="results/scan/{task}/seed{seed}/dataset.safetensors".format(
            **SCAN_FIRST
        ),
        models=SCAN_TUNED,
    output:
        "results/cost/scan.csv",
    log:
        log_of("results/cost/scan.csv"),
    benchmark:
        benchmark_of("measure_scan_cost", "results/cost/scan.csv")
    conda:
        "../../envs/equitune.yaml"
    threads: lambda w: workflow.cores
    resources:
        mem_mb=per_attempt(2000),
        runtime=per_attempt(30),
    params:
        script=str(ROOT / "benchmarks" / "scan_cost.py"),
        models=lambda w, input: braces(input.models),
        training=json.dumps(
            {a: asdict(CONFIG.scan.tuning[a]) for a in CONFIG.scan.architectures}
        ),
    shell:
        COMMANDS.python(
            "{params.script:q} {params.models} --dataset {input.dataset:q}"
            " --training {params.training:q} --output {output:q} > {log:q} 2>&1"
        )


# no dataset and no trained model: the digits are embedded, random weights cost what trained ones do
rule measure_image_cost:
    output:
        "results/cost/image.csv",
    log:
        log_of("results/cost/image.csv"),
    benchmark:
        benchmark_of("measure_image_cost", "results/cost/image.csv")
    conda:
        "../../envs/equitune.yaml"
    threads: lambda w: workflow.cores
    resources:
        mem_mb=per_attempt(4000),
        runtime=per_attempt(30),
    params:
        script=str(ROOT / "benchmarks" / "image_cost.py"),
    shell:
        COMMANDS.python("{params.script:q} --output {output:q} > {log:q} 2>&1")


# no model either
rule measure_language_cost:
    output:
        "results/cost/language.csv",
    log:
        log_of("results/cost/language.csv"),
    benchmark:
        benchmark_of("measure_language_cost", "results/cost/language.csv")
    conda:
        "../../envs/equitune.yaml"
    threads: lambda w: workflow.cores
    resources:
        mem_mb=per_attempt(4000),
        runtime=per_attempt(60),
    params:
        script=str(ROOT / "benchmarks" / "language_cost.py"),
    shell:
        COMMANDS.python("{params.script:q} --output {output:q} > {log:q} 2>&1")


# the models that measure_scan_cost needs tell what writing their states has cost
rule measure_checkpoint_cost:
    input:
        models=[*SCAN_PRETRAINED, *SCAN_TUNED],
        larger=str(ROOT / "config" / "paper.yaml"),
    output:
        "results/cost/states.csv",
    log:
        log_of("results/cost/states.csv"),
    benchmark:
        benchmark_of("measure_checkpoint_cost", "results/cost/states.csv")
    conda:
        "../../envs/equitune.yaml"
    threads: lambda w: workflow.cores
    resources:
        mem_mb=per_attempt(4000),
        runtime=per_attempt(30),
    params:
        script=str(ROOT / "benchmarks" / "state_overhead.py"),
        models=lambda w, input: braces(input.models),
        configuration=lambda w: json.dumps(CHANGED),  # no wildcards, whatever stands in braces
    shell:
        COMMANDS.python(
            "{params.script:q} {params.models} --configuration {params.configuration:q}"
            " --larger {input.larger:q} --output {output:q} > {log:q} 2>&1"
        )


rule measure_product_cost:
    input:
        dataset="results/scan/{task}/seed{seed}/dataset.safetensors".format(
            **SCAN_FIRST
        ),
        model=SCAN_PRETRAINED[0],
        # of other prompts it may not know the words of these axes
        language=[] if CONFIG.language.prompts else [CORPUS_BASE],
    output:
        "results/cost/products.csv",
    log:
        log_of("results/cost/products.csv"),
    benchmark:
        benchmark_of("measure_product_cost", "results/cost/products.csv")
    conda:
        "../../envs/equitune.yaml"
    threads: lambda w: workflow.cores
    resources:
        mem_mb=per_attempt(2000),
        runtime=per_attempt(30),
    params:
        script=str(ROOT / "benchmarks" / "product_cost.py"),
        language=lambda w, input: option(
            "--language", *map(folder_or_file, input.language)
        ),
    shell:
        COMMANDS.python(
            "{params.script:q} {input.model:q} --dataset {input.dataset:q} {params.language}"
            " --output {output:q} > {log:q} 2>&1"
        )


# data and models of its own, at several sizes
rule measure_growth_cost:
    output:
        "results/cost/growth.csv",
    log:
        log_of("results/cost/growth.csv"),
    benchmark:
        benchmark_of("measure_growth_cost", "results/cost/growth.csv")
    conda:
        "../../envs/equitune.yaml"
    threads: lambda w: workflow.cores
    resources:
        mem_mb=per_attempt(4000),
        runtime=per_attempt(30),
    params:
        script=str(ROOT / "benchmarks" / "growth.py"),
    shell:
        COMMANDS.python("{params.script:q} --output {output:q} > {log:q} 2>&1")


# a table of its own: of a GPU in one call; without one at sizes that only try the script
rule measure_gpu:
    output:
        "results/cost/gpu.csv",
    log:
        log_of("results/cost/gpu.csv"),
    benchmark:
        benchmark_of("measure_gpu", "results/cost/gpu.csv")
    conda:
        "../../envs/equitune.yaml"
    threads: lambda w: workflow.cores
    resources:
        mem_mb=per_attempt(16000),
        runtime=per_attempt(60),
        gpu=GPU,
    params:
        script=str(ROOT / "benchmarks" / "gpu.py"),
        device=CONFIG.device,
    shell:
        COMMANDS.python(
            "{params.script:q} --device {params.device} --output {output:q} > {log:q} 2>&1"
        )


rule gpu_benchmarks:
    input:
        rules.measure_gpu.output,


rule tabulate_cost:
    input:
        rules.measure_scan_cost.output,
        rules.measure_image_cost.output,
        rules.measure_language_cost.output,
        rules.measure_checkpoint_cost.output,
        rules.measure_product_cost.output,
        rules.measure_growth_cost.output,
    output:
        shown_table(
            "cost",
            (catalogue.CATEGORIES["benchmarks"], "cost_table", "all measurements"),
        ),
    log:
        log_of("results/tables/cost.csv"),
    benchmark:
        benchmark_of("tabulate_cost", "results/tables/cost.csv")
    conda:
        "../../envs/equitune.yaml"
    params:
        code=CODE.of("results table"),
        rows=lambda w, input: braces(input),
    shell:
        COMMANDS.run("results table cost {params.rows} --output {output:q}")
