# Compositional generalization: SCAN split -> dataset -> pretrained -> tuned -> evaluated -> table.
localrules:  # two seconds: a job of its own would wait longer than that
    scan_dataset,


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
    log:
        "results/logs/scan_dataset/{task}_{seed}.log",
    conda:
        "../../envs/equitune.yaml"
    threads: 1
    params:
        fraction=SCAN.validation_fraction,
        subset=option("--subset", SCAN.subset),
    shell:
        "python -m equitune --log {log:q} scan dataset --train {input.train:q}"
        " --test {input.test:q} --task {wildcards.task} --seed {wildcards.seed}"
        " --validation-fraction {params.fraction} {params.subset} --output {output:q}"


rule scan_pretrain:
    input:
        dataset="results/scan/{task}/seed{seed}/dataset.safetensors",
    output:
        model=f"{SCAN_CELL}/pretrained/identity/model.safetensors",
        config=f"{SCAN_CELL}/pretrained/identity/config.json",
        manifest=f"{SCAN_CELL}/pretrained/identity/manifest.json",
    log:
        "results/logs/scan_pretrain/{task}_{architecture}_{seed}.log",
    benchmark:
        "results/benchmarks/scan_pretrain/{task}_{architecture}_{seed}.tsv"
    conda:
        "../../envs/equitune.yaml"
    threads: 1
    resources:
        mem_mb=per_attempt(2000),
        runtime=60,
        gpu=GPU,
    params:
        model=as_json(SCAN.model),
        training=lambda w: as_json(SCAN.pretraining[w.architecture]),
        device=CONFIG.device,
        determinism=CONFIG.determinism,
        states=STATES,
    shell:
        "python -m equitune --log {log:q} --minutes {resources.runtime}"
        " --determinism {params.determinism} scan pretrain --dataset {input.dataset:q}"
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
        model=f"{SCAN_CELL}/{{method}}/{{group}}/model.safetensors",
        config=f"{SCAN_CELL}/{{method}}/{{group}}/config.json",
        manifest=f"{SCAN_CELL}/{{method}}/{{group}}/manifest.json",
    log:
        "results/logs/scan_tune/{task}_{architecture}_{method}_{group}_{seed}.log",
    benchmark:
        "results/benchmarks/scan_tune/{task}_{architecture}_{method}_{group}_{seed}.tsv"
    wildcard_constraints:
        method="|".join(m for m in configuration.SCAN_METHODS if m != "pretrained"),
    conda:
        "../../envs/equitune.yaml"
    threads: 1
    resources:
        mem_mb=per_attempt(2000),
        runtime=60,
        gpu=GPU,
    params:
        permutation=scan_permutation,
        training=lambda w: as_json(SCAN.tuning[w.architecture]),
        device=CONFIG.device,
        determinism=CONFIG.determinism,
        states=STATES,
    shell:
        "python -m equitune --log {log:q} --minutes {resources.runtime}"
        " --determinism {params.determinism} scan tune --dataset {input.dataset:q}"
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
        f"{SCAN_CELL}/evaluation.csv",
    log:
        "results/logs/scan_evaluate/{task}_{architecture}_{seed}.log",
    conda:
        "../../envs/equitune.yaml"
    threads: 1
    resources:
        mem_mb=per_attempt(2000),
        runtime=per_attempt(30),
        gpu=GPU,
    params:
        permutation=lambda w: as_json(SCAN.permutations[SCAN.groups[w.task][0]]),
        device=CONFIG.device,
        determinism=CONFIG.determinism,
    shell:
        "python -m equitune --log {log:q} --determinism {params.determinism}"
        " scan evaluate {input.models:q}"
        " --dataset {input.dataset:q} --permutation {params.permutation:q}"
        " --device {params.device} --output {output:q}"
