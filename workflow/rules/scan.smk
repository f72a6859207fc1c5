# Compositional generalization: SCAN split -> dataset -> pretrained -> tuned -> evaluated -> table.
localrules:  # two seconds: a job of its own would wait longer than that
    build_scan_dataset,


SCAN_FILES = [
    "results/tables/scan.csv",
    "results/findings/scan.html",
    *catalogue.asked_for("scan"),
]


rule scan:
    input:
        SCAN_FILES,
        page_of("scan"),


rule build_scan_dataset:
    input:
        train=lambda w: SCAN.lines(w.task, "train"),
        test=lambda w: SCAN.lines(w.task, "test"),
    output:
        "results/scan/{task}/seed{seed}/dataset.safetensors",
    log:
        log_of("results/scan/{task}/seed{seed}/dataset.safetensors"),
    benchmark:
        benchmark_of(
            "build_scan_dataset", "results/scan/{task}/seed{seed}/dataset.safetensors"
        )
    conda:
        "../../envs/equitune.yaml"
    params:
        code=CODE.of("scan dataset"),
        fraction=CONFIG.scan.validation_fraction,
        subset=option("--subset", CONFIG.scan.subset),
        permutations=lambda w: SCAN.checked(w.task),
    shell:
        COMMANDS.run(
            "scan dataset --train {input.train:q} --test {input.test:q}"
            " --task {wildcards.task} --seed {wildcards.seed}"
            " --validation-fraction {params.fraction} {params.subset} {params.permutations}"
            " --output {output:q}"
        )


rule pretrain_scan:
    input:
        dataset="results/scan/{task}/seed{seed}/dataset.safetensors",
    output:
        model=f"{SCAN_CELL}/pretrained/identity/model.safetensors",
        config=f"{SCAN_CELL}/pretrained/identity/config.json",
        manifest=f"{SCAN_CELL}/pretrained/identity/manifest.json",
    log:
        log_of(f"{SCAN_CELL}/pretrained/identity/model.safetensors"),
    benchmark:
        benchmark_of(
            "pretrain_scan", f"{SCAN_CELL}/pretrained/identity/model.safetensors"
        )
    conda:
        "../../envs/equitune.yaml"
    threads: RANKS
    resources:
        mem_mb=per_attempt(2000 * RANKS),
        runtime=60,
        gpu=GPUS,
    params:
        code=CODE.of("scan pretrain"),
        start=start,
        model=changed("--model", CONFIG.scan.model),
        training=lambda w: as_text(CONFIG.scan.pretraining[w.architecture]),
    shell:
        COMMANDS.train(
            "scan pretrain {params.model} --training {params.training:q}"
            " --output {output.model:q}"
        )


rule tune_scan:
    input:
        dataset="results/scan/{task}/seed{seed}/dataset.safetensors",
        pretrained=rules.pretrain_scan.output.model,
        config=rules.pretrain_scan.output.config,
    output:
        model=f"{SCAN_CELL}/{{method}}/{{group}}/model.safetensors",
        config=f"{SCAN_CELL}/{{method}}/{{group}}/config.json",
        manifest=f"{SCAN_CELL}/{{method}}/{{group}}/manifest.json",
    log:
        log_of(f"{SCAN_CELL}/{{method}}/{{group}}/model.safetensors"),
    benchmark:
        benchmark_of("tune_scan", f"{SCAN_CELL}/{{method}}/{{group}}/model.safetensors")
    wildcard_constraints:
        method=one_of(*(m for m in METHODS if not METHODS[m].head_only)),
    conda:
        "../../envs/equitune.yaml"
    threads: RANKS
    resources:
        mem_mb=per_attempt(2000 * RANKS),
        runtime=60,
        gpu=GPUS,
    params:
        code=CODE.of("scan tune"),
        start=start,
        how=lambda w: how(w.method),
        permutation=lambda w: SCAN.permutation(w.group),
        training=lambda w: SCAN.training(w.architecture, w.method),
    shell:
        COMMANDS.train(
            "scan tune --pretrained {input.pretrained:q} --permutation {params.permutation:q}"
            " --training {params.training:q} --output {output.model:q}"
        )


# one job a cell: decoding takes seconds, starting a job takes as long
rule evaluate_scan:
    input:
        models=lambda w: SCAN.models(w.task, w.architecture, w.seed),
        dataset="results/scan/{task}/seed{seed}/dataset.safetensors",
    output:
        f"{SCAN_CELL}/evaluation.csv",
    log:
        log_of(f"{SCAN_CELL}/evaluation.csv"),
    benchmark:
        benchmark_of("evaluate_scan", f"{SCAN_CELL}/evaluation.csv")
    conda:
        "../../envs/equitune.yaml"
    resources:
        mem_mb=per_attempt(2000),
        runtime=per_attempt(30),
        gpu=GPU,
    params:
        code=CODE.of("scan evaluate"),
        models=lambda w, input: braces(input.models),
        permutation=lambda w: SCAN.reference(w.task),
    shell:
        COMMANDS.compute(
            "scan evaluate {params.models} --permutation {params.permutation:q}"
            " --output {output:q}"
        )
