# What everything costs, measured on this machine; `snakemake benchmarks`. Each benchmark takes all
# cores, so that nothing runs beside it and the clock is its own.
localrules:
    cost_table,
    cost_figures,


COST_FIGURES = {
    "loop": "speed-up over a loop",
    "floor": "distance to the floor",
    "order": "time and memory against |G|",
    "peers": "other libraries",
    "state": "writing the state",
}
SCAN_FIRST = {"task": SCAN.tasks[0], "seed": SCAN.seeds[0]}
SCAN_PRETRAINED, SCAN_TUNED = (
    expand(
        f"{SCAN_CELL}/{method}/{group}/model.safetensors",
        architecture=SCAN.architectures,
        **SCAN_FIRST,
    )
    for method, group in (
        ("pretrained", configuration.IDENTITY),
        ("equitune", SCAN.groups[SCAN.tasks[0]][0]),
    )
)


rule scan_benchmark:
    input:
        dataset="results/scan/{task}/seed{seed}/dataset.safetensors".format(
            **SCAN_FIRST
        ),
        models=SCAN_TUNED,
    output:
        "results/cost/scan.csv",
    log:
        "results/logs/scan_benchmark.log",
    conda:
        "../../envs/equitune.yaml"
    threads: lambda w: workflow.cores
    resources:
        mem_mb=per_attempt(2000),
        runtime=per_attempt(30),
    params:
        script=str(ROOT / "benchmarks" / "scan_cost.py"),
        training=json.dumps({a: asdict(SCAN.tuning[a]) for a in SCAN.architectures}),
    shell:
        "python {params.script:q} {input.models:q} --dataset {input.dataset:q}"
        " --training {params.training:q} --output {output:q} > {log:q} 2>&1"


# no dataset and no trained model: the digits are embedded, random weights cost what trained ones do
rule image_benchmark:
    output:
        "results/cost/image.csv",
    log:
        "results/logs/image_benchmark.log",
    conda:
        "../../envs/equitune.yaml"
    threads: lambda w: workflow.cores
    resources:
        mem_mb=per_attempt(4000),
        runtime=per_attempt(30),
    params:
        script=str(ROOT / "benchmarks" / "image_cost.py"),
    shell:
        "python {params.script:q} --output {output:q} > {log:q} 2>&1"


# no model either
rule language_benchmark:
    output:
        "results/cost/language.csv",
    log:
        "results/logs/language_benchmark.log",
    conda:
        "../../envs/equitune.yaml"
    threads: lambda w: workflow.cores
    resources:
        mem_mb=per_attempt(4000),
        runtime=per_attempt(60),
    params:
        script=str(ROOT / "benchmarks" / "language_cost.py"),
    shell:
        "python {params.script:q} --output {output:q} > {log:q} 2>&1"


# the models that scan_benchmark needs tell what writing their states has cost
rule state_benchmark:
    input:
        models=[*SCAN_PRETRAINED, *SCAN_TUNED],
        larger=str(ROOT / "config" / "paper.yaml"),
    output:
        "results/cost/states.csv",
    log:
        "results/logs/state_benchmark.log",
    conda:
        "../../envs/equitune.yaml"
    threads: lambda w: workflow.cores
    resources:
        mem_mb=per_attempt(4000),
        runtime=per_attempt(30),
    params:
        script=str(ROOT / "benchmarks" / "state_overhead.py"),
        configuration=lambda w: json.dumps(config),  # no wildcards, whatever stands in braces
    shell:
        "python {params.script:q} {input.models:q} --configuration {params.configuration:q}"
        " --larger {input.larger:q} --output {output:q} > {log:q} 2>&1"


rule cost_table:
    input:
        rules.scan_benchmark.output,
        rules.image_benchmark.output,
        rules.language_benchmark.output,
        rules.state_benchmark.output,
    output:
        report(
            "results/tables/cost.csv",
            category="Cost",
            caption="../report/cost_table.rst",
            labels={"what": "all measurements", "kind": "table"},
        ),
    log:
        "results/logs/cost_table.log",
    conda:
        "../../envs/equitune.yaml"
    threads: 1
    shell:
        "python -m equitune --log {log:q} results table cost {input:q} --output {output:q}"


# one job, as each figure takes a second
rule cost_figures:
    input:
        cost="results/tables/cost.csv",
    output:
        *[
            report(
                f"results/figures/cost_{name}.svg",
                category="Cost",
                caption=f"../report/cost_{name}.rst",
                labels={"what": what, "kind": "figure"},
            )
            for name, what in COST_FIGURES.items()
        ],
        [
            f"results/figures/cost_{name}.{suffix}"
            for name in COST_FIGURES
            for suffix in ("pdf", "csv")
        ],
    log:
        "results/logs/cost_figures.log",
    conda:
        "../../envs/equitune.yaml"
    threads: 1
    params:
        folder=lambda w, output: Path(output[0]).parent,
    shell:
        "python -m equitune --log {log:q} results figure cost --cost {input.cost:q}"
        " --folder {params.folder:q}"
