# Compositional generalization: SCAN split -> dataset -> pretrained -> tuned -> evaluated -> table.
CELL = "results/scan/{task}/{architecture}/seed{seed}"


def scan_models(wildcards):
    """All models of one task, architecture and seed, in the order of the configuration."""
    for method in SCAN.methods:
        groups = (
            [configuration.IDENTITY]
            if method in configuration.GROUPLESS
            else SCAN.groups[wildcards.task]
        )
        for group in groups:
            yield f"{CELL}/{method}/{group}/model.safetensors".format(**wildcards)


def scan_permutation(wildcards):
    """The cycles of the named group; none for the identity."""
    if wildcards.group == configuration.IDENTITY:
        return as_json(configuration.Permutation())
    return as_json(SCAN.permutations[wildcards.group])


rule scan:
    input:
        "results/tables/scan.csv",
        "results/figures/scan_accuracy.svg",


rule scan_dataset:
    input:
        train="results/scan/{task}/train.txt",
        test="results/scan/{task}/test.txt",
    output:
        "results/scan/{task}/seed{seed}/dataset.safetensors",
    params:
        fraction=SCAN.validation_fraction,
        subset=f"--subset {SCAN.subset}" if SCAN.subset else "",
    log:
        "results/logs/scan_dataset/{task}_{seed}.log",
    conda:
        "../../envs/equitune.yaml"
    threads: 1
    shell:
        "python -m equitune --log {log:q} scan dataset --train {input.train:q}"
        " --test {input.test:q} --task {wildcards.task} --seed {wildcards.seed}"
        " --validation-fraction {params.fraction} {params.subset} --output {output:q}"


rule scan_pretrain:
    input:
        dataset="results/scan/{task}/seed{seed}/dataset.safetensors",
    output:
        model=f"{CELL}/pretrained/identity/model.safetensors",
        config=f"{CELL}/pretrained/identity/config.json",
        manifest=f"{CELL}/pretrained/identity/manifest.json",
    params:
        model=as_json(SCAN.model),
        training=lambda w: as_json(SCAN.pretraining[w.architecture]),
        device=CONFIG.device,
        states=STATES,
    log:
        "results/logs/scan_pretrain/{task}_{architecture}_{seed}.log",
    benchmark:
        "results/benchmarks/scan_pretrain/{task}_{architecture}_{seed}.tsv"
    conda:
        "../../envs/equitune.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
        gpu=GPU,
    shell:
        "python -m equitune --log {log:q} scan pretrain --dataset {input.dataset:q}"
        " --architecture {wildcards.architecture} --seed {wildcards.seed}"
        " --model {params.model:q} --training {params.training:q} --device {params.device}"
        " --state-folder {params.states:q} --output {output.model:q}"


rule scan_tune:
    input:
        dataset="results/scan/{task}/seed{seed}/dataset.safetensors",
        pretrained=rules.scan_pretrain.output.model,
        config=rules.scan_pretrain.output.config,
        manifest=rules.scan_pretrain.output.manifest,
    output:
        model=f"{CELL}/{{method}}/{{group}}/model.safetensors",
        config=f"{CELL}/{{method}}/{{group}}/config.json",
        manifest=f"{CELL}/{{method}}/{{group}}/manifest.json",
    wildcard_constraints:
        method="|".join(m for m in configuration.SCAN_METHODS if m != "pretrained"),
    params:
        permutation=scan_permutation,
        training=lambda w: as_json(SCAN.tuning[w.architecture]),
        device=CONFIG.device,
        states=STATES,
    log:
        "results/logs/scan_tune/{task}_{architecture}_{method}_{group}_{seed}.log",
    benchmark:
        "results/benchmarks/scan_tune/{task}_{architecture}_{method}_{group}_{seed}.tsv"
    conda:
        "../../envs/equitune.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
        gpu=GPU,
    shell:
        "python -m equitune --log {log:q} scan tune --dataset {input.dataset:q}"
        " --pretrained {input.pretrained:q} --method {wildcards.method}"
        " --group {wildcards.group} --permutation {params.permutation:q}"
        " --seed {wildcards.seed} --training {params.training:q} --device {params.device}"
        " --state-folder {params.states:q} --output {output.model:q}"


# one job a cell: decoding takes seconds, starting a job takes as long
rule scan_evaluate:
    input:
        models=scan_models,
        dataset="results/scan/{task}/seed{seed}/dataset.safetensors",
    output:
        f"{CELL}/evaluation.csv",
    params:
        permutation=lambda w: as_json(SCAN.permutations[SCAN.groups[w.task][0]]),
        device=CONFIG.device,
    log:
        "results/logs/scan_evaluate/{task}_{architecture}_{seed}.log",
    conda:
        "../../envs/equitune.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
        gpu=GPU,
    shell:
        "python -m equitune --log {log:q} scan evaluate {input.models:q}"
        " --dataset {input.dataset:q} --permutation {params.permutation:q}"
        " --device {params.device} --output {output:q}"


# speed against a loop written the published code's way; `snakemake benchmarks`
rule scan_throughput:
    input:
        dataset=f"results/scan/{SCAN.tasks[0]}/seed{SCAN.seeds[0]}/dataset.safetensors",
        models=expand(
            f"{CELL}/equitune/{{group}}/model.safetensors",
            task=SCAN.tasks[0],
            architecture=SCAN.architectures,
            seed=SCAN.seeds[0],
            group=SCAN.groups[SCAN.tasks[0]][0],
        ),
    output:
        "results/tables/scan_throughput.csv",
    params:
        script=str(ROOT / "benchmarks" / "scan_throughput.py"),
        training=json.dumps({a: asdict(SCAN.tuning[a]) for a in SCAN.architectures}),
    log:
        "results/logs/scan_throughput.log",
    conda:
        "../../envs/equitune.yaml"
    threads: workflow.cores  # nothing beside it, so that the clock is its own
    shell:
        "python {params.script:q} {input.models:q} --dataset {input.dataset:q}"
        " --training {params.training:q} --output {output:q} > {log:q} 2>&1"
