# Images: source -> dataset -> group-transformed dataset -> base -> tuned -> evaluated -> table.
# A frozen network's features stand between dataset and tuned; a forecast is made of the base.
localrules:  # three seconds: a job of its own would wait longer than that
    image_transform,


rule image:
    input:
        "results/tables/image.csv",
        "results/figures/image_accuracy.svg",
        "results/figures/image_rotation.svg",
        "results/figures/image_cost.svg",
        "results/figures/image_gains.svg",
        "results/figures/image_forecast.svg",
        image_orbits(),
        notes(IMAGE_PACKAGES),  # as in language.smk


rule image_dataset:
    input:
        archive=lambda w: dataset_archive(w.dataset),
    output:
        f"{IMAGE_DATA}/dataset.safetensors",
    log:
        "results/logs/image_dataset/{dataset}_{seed}.log",
    conda:
        "../../envs/equitune.yaml"
    threads: 1
    resources:
        mem_mb=per_attempt(4000),
        runtime=per_attempt(30),
    params:
        source=lambda w: as_json(IMAGE.sources[w.dataset]),
        fraction=IMAGE.validation_fraction,
        subset=option("--subset", IMAGE.subset),
        archive=lambda w, input: option("--archive", *input.archive),
    shell:
        "python -m equitune --log {log:q} image dataset --name {wildcards.dataset}"
        " --source {params.source:q} {params.archive} --seed {wildcards.seed}"
        " --validation-fraction {params.fraction} {params.subset} --output {output:q}"


rule image_transform:
    input:
        f"{IMAGE_DATA}/dataset.safetensors",
    output:
        f"{IMAGE_DATA}/{{group}}/test.safetensors",
    log:
        "results/logs/image_transform/{dataset}_{group}_{seed}.log",
    conda:
        "../../envs/equitune.yaml"
    threads: 1
    shell:
        "python -m equitune --log {log:q} image transform --dataset {input:q}"
        " --group {wildcards.group} --seed {wildcards.seed} --output {output:q}"


rule image_pretrain:
    input:
        dataset=f"{IMAGE_DATA}/dataset.safetensors",
    output:
        model=f"{IMAGE_CELL}/base/model.safetensors",
        manifest=f"{IMAGE_CELL}/base/manifest.json",
    log:
        "results/logs/image_pretrain/{dataset}_{architecture}_{seed}.log",
    benchmark:
        "results/benchmarks/image_pretrain/{dataset}_{architecture}_{seed}.tsv"
    conda:
        "../../envs/equitune.yaml"
    threads: 1
    resources:
        mem_mb=per_attempt(4000),
        runtime=240,
        gpu=GPU,
    params:
        builder=lambda w: as_json(IMAGE.builder(w.architecture)),
        model=lambda w: as_json(IMAGE.settings(w.architecture)),
        training=lambda w: as_json(IMAGE.pretraining[w.architecture]),
        device=CONFIG.device,
        determinism=CONFIG.determinism,
        states=STATES,
    shell:
        "python -m equitune --log {log:q} --minutes {resources.runtime}"
        " --determinism {params.determinism} image pretrain --dataset {input.dataset:q}"
        " --architecture {wildcards.architecture} --builder {params.builder:q}"
        " --seed {wildcards.seed} --model {params.model:q} --training {params.training:q}"
        " --device {params.device} --state-folder {params.states:q} --output {output.model:q}"


# once for all methods and seeds
rule image_features:
    input:
        datasets=expand(
            f"{IMAGE_DATA}/dataset.safetensors", seed=IMAGE.seeds, allow_missing=True
        ),
        weights=lambda w: published_weights(IMAGE_NETWORKS[w.network]),
    output:
        IMAGE_FEATURES,
    log:
        "results/logs/image_features/{dataset}_{network}_{group}.log",
    benchmark:
        "results/benchmarks/image_features/{dataset}_{network}_{group}.tsv"
    conda:
        "../../envs/equitune.yaml"
    threads: 1
    resources:
        mem_mb=per_attempt(4000),
        runtime=per_attempt(240),
        gpu=GPU,
    params:
        architecture=lambda w: IMAGE_NETWORKS[w.network],
        builder=lambda w: as_json(IMAGE.builder(IMAGE_NETWORKS[w.network])),
        model=lambda w: as_json(IMAGE.settings(IMAGE_NETWORKS[w.network])),
        device=CONFIG.device,
        determinism=CONFIG.determinism,
    shell:
        "python -m equitune --log {log:q} --determinism {params.determinism} image features"
        " {input.datasets:q} --weights {input.weights:q} --architecture {params.architecture}"
        " --builder {params.builder:q} --model {params.model:q} --group {wildcards.group}"
        " --device {params.device} --output {output:q}"


rule image_tune:
    input:
        dataset=f"{IMAGE_DATA}/dataset.safetensors",
        weights=image_weights,
        features=features_to_tune,
    output:
        model=f"{IMAGE_CELL}/{{method}}/{{group}}/model.safetensors",
        manifest=f"{IMAGE_CELL}/{{method}}/{{group}}/manifest.json",
    log:
        "results/logs/image_tune/{dataset}_{architecture}_{method}_{group}_{seed}.log",
    benchmark:
        "results/benchmarks/image_tune/{dataset}_{architecture}_{method}_{group}_{seed}.tsv"
    conda:
        "../../envs/equitune.yaml"
    threads: 1
    resources:
        mem_mb=per_attempt(8000),
        runtime=480,
        gpu=GPU,
    params:
        builder=lambda w: as_json(IMAGE.builder(w.architecture)),
        model=lambda w: as_json(IMAGE.settings(w.architecture)),
        training=lambda w: as_json(IMAGE.tuning[w.architecture]),
        features=lambda w, input: option("--features", *input.features),
        device=CONFIG.device,
        determinism=CONFIG.determinism,
        states=STATES,
    shell:
        "python -m equitune --log {log:q} --minutes {resources.runtime}"
        " --determinism {params.determinism} image tune --dataset {input.dataset:q}"
        " --weights {input.weights:q} --architecture {wildcards.architecture}"
        " --builder {params.builder:q} --method {wildcards.method} --group {wildcards.group}"
        " --seed {wildcards.seed} --model {params.model:q} --training {params.training:q}"
        " {params.features} --device {params.device} --state-folder {params.states:q}"
        " --output {output.model:q}"


# of the network before it is tuned, from images without labels
rule image_forecast:
    input:
        model=image_before,
        dataset=f"{IMAGE_DATA}/dataset.safetensors",
        transformed=f"{IMAGE_DATA}/{{group}}/test.safetensors",
        features=lambda w: image_features(w, True, w.group),
    output:
        f"{IMAGE_CELL}/forecast/{{group}}.csv",
    log:
        "results/logs/image_forecast/{dataset}_{architecture}_{group}_{seed}.log",
    conda:
        "../../envs/equitune.yaml"
    threads: 1
    resources:
        mem_mb=per_attempt(4000),
        runtime=per_attempt(60),
        gpu=GPU,
    params:
        features=lambda w, input: option("--features", *input.features),
        device=CONFIG.device,
        determinism=CONFIG.determinism,
    shell:
        "python -m equitune --log {log:q} --determinism {params.determinism} image forecast"
        " --dataset {input.dataset:q} --transformed {input.transformed:q} --model {input.model:q}"
        " {params.features} --device {params.device} --output {output:q}"


# one job a cell: it starts torch once for all methods
rule image_evaluate:
    input:
        models=image_models,
        dataset=f"{IMAGE_DATA}/dataset.safetensors",
        transformed=expand(
            f"{IMAGE_DATA}/{{group}}/test.safetensors",
            group=IMAGE.groups,
            allow_missing=True,
        ),
        features=lambda w: image_features(
            w, "pretrained" in IMAGE.methods, IMAGE.groups
        ),
    output:
        rows=f"{IMAGE_CELL}/evaluation.csv",
        elements=f"{IMAGE_CELL}/elements.csv",
        examples=f"{IMAGE_CELL}/examples.csv",
        scores=f"{IMAGE_CELL}/scores.csv",
    log:
        "results/logs/image_evaluate/{dataset}_{architecture}_{seed}.log",
    conda:
        "../../envs/equitune.yaml"
    threads: 1
    resources:
        mem_mb=per_attempt(4000),
        runtime=per_attempt(120),
        gpu=GPU,
    params:
        transformed=lambda w, input: option("--transformed", *input.transformed),
        features=lambda w, input: option("--features", *input.features),
        device=CONFIG.device,
        determinism=CONFIG.determinism,
    shell:
        "python -m equitune --log {log:q} --determinism {params.determinism}"
        " image evaluate {input.models:q}"
        " --dataset {input.dataset:q} {params.transformed} {params.features}"
        " --device {params.device} --scores {output.scores:q}"
        " --output {output.rows:q} --elements {output.elements:q} --examples {output.examples:q}"
