# Images: source -> dataset -> group-transformed dataset -> base -> tuned -> evaluated -> table.
# A frozen network's features stand between dataset and tuned; a forecast is made of the base.
localrules:  # three seconds: a job of its own would wait longer than that
    transform_images,


IMAGE_FILES = [
    "results/tables/image.csv",
    "results/findings/image.html",
    *catalogue.asked_for("image"),
    available(IMAGE.wheels, IMAGE.orbits),
    IMAGE.wheels.notes,  # as in language.smk
]


rule image:
    input:
        *IMAGE_FILES,
        page_of("image"),


rule build_image_dataset:
    input:
        archive=lambda w: IMAGE.archive(w.dataset),
    output:
        f"{IMAGE_DATA}/dataset.safetensors",
    log:
        log_of(f"{IMAGE_DATA}/dataset.safetensors"),
    benchmark:
        benchmark_of("build_image_dataset", f"{IMAGE_DATA}/dataset.safetensors")
    conda:
        "../../envs/equitune.yaml"
    resources:
        mem_mb=per_attempt(4000),
        runtime=per_attempt(30),
    params:
        code=CODE.of("image dataset"),
        files=lambda w: IMAGE.fingerprint(w.dataset),  # of one's own: no rule makes them
        source=lambda w: as_text(CONFIG.image.sources[w.dataset]),
        fraction=CONFIG.image.validation_fraction,
        subset=option("--subset", CONFIG.image.subset),
        archive=lambda w, input: option("--archive", *input.archive),
    shell:
        COMMANDS.run(
            "image dataset --name {wildcards.dataset} --source {params.source:q}"
            " {params.archive} --seed {wildcards.seed} --validation-fraction {params.fraction}"
            " {params.subset} --output {output:q}"
        )


rule transform_images:
    input:
        f"{IMAGE_DATA}/dataset.safetensors",
    output:
        f"{IMAGE_DATA}/{{group}}/test.safetensors",
    log:
        log_of(f"{IMAGE_DATA}/{{group}}/test.safetensors"),
    benchmark:
        benchmark_of("transform_images", f"{IMAGE_DATA}/{{group}}/test.safetensors")
    conda:
        "../../envs/equitune.yaml"
    params:
        code=CODE.of("image transform"),
    shell:
        COMMANDS.run(
            "image transform --dataset {input:q} --group {wildcards.group}"
            " --seed {wildcards.seed} --output {output:q}"
        )


rule pretrain_image:
    input:
        dataset=f"{IMAGE_DATA}/dataset.safetensors",
    output:
        model=f"{IMAGE_CELL}/base/model.safetensors",
        config=f"{IMAGE_CELL}/base/config.json",
        manifest=f"{IMAGE_CELL}/base/manifest.json",
    log:
        log_of(f"{IMAGE_CELL}/base/model.safetensors"),
    benchmark:
        benchmark_of("pretrain_image", f"{IMAGE_CELL}/base/model.safetensors")
    conda:
        "../../envs/equitune.yaml"
    threads: RANKS
    resources:
        mem_mb=per_attempt(4000 * RANKS),
        runtime=240,
        gpu=GPUS,
    params:
        code=CODE.of("image pretrain"),
        start=start,
        builder=lambda w: changed("--builder", IMAGE.builder(w.architecture)),
        model=lambda w: changed("--model", CONFIG.image.settings(w.architecture)),
        training=lambda w: as_text(CONFIG.image.pretraining[w.architecture]),
    shell:
        COMMANDS.train(
            "image pretrain {params.builder} {params.model} --training {params.training:q}"
            " --output {output.model:q}"
        )


# once for all methods and seeds
rule extract_features:
    input:
        datasets=expand(
            f"{IMAGE_DATA}/dataset.safetensors",
            seed=CONFIG.image.seeds,
            allow_missing=True,
        ),
        weights=lambda w: IMAGE.published_weights(IMAGE.networks[w.network]),
    output:
        IMAGE_FEATURES,
    log:
        log_of(IMAGE_FEATURES),
    benchmark:
        benchmark_of("extract_features", IMAGE_FEATURES)
    conda:
        "../../envs/equitune.yaml"
    resources:
        mem_mb=per_attempt(4000),
        runtime=per_attempt(240),
        gpu=GPU,
    params:
        code=CODE.of("image features"),
        datasets=lambda w, input: braces(input.datasets),
        architecture=lambda w: IMAGE.networks[w.network],
        builder=lambda w: changed("--builder", IMAGE.builder(IMAGE.networks[w.network])),
        model=lambda w: changed(
            "--model", CONFIG.image.settings(IMAGE.networks[w.network])
        ),
    shell:
        COMMANDS.compute(
            "image features {params.datasets} --weights {input.weights:q}"
            " --architecture {params.architecture} {params.builder}"
            " {params.model} --group {wildcards.group}"
            " --output {output:q}"
        )


rule tune_image:
    input:
        dataset=f"{IMAGE_DATA}/dataset.safetensors",
        weights=lambda w: IMAGE.weights(w.dataset, w.architecture, w.seed),
        features=lambda w: IMAGE.features_to_tune(
            w.dataset, w.architecture, w.method, w.group
        ),
        teacher=lambda w: IMAGE.teacher(
            w.dataset, w.architecture, w.method, w.group, w.seed
        ),
    output:
        model=f"{IMAGE_CELL}/{{method}}/{{group}}/model.safetensors",
        config=f"{IMAGE_CELL}/{{method}}/{{group}}/config.json",
        manifest=f"{IMAGE_CELL}/{{method}}/{{group}}/manifest.json",
    log:
        log_of(f"{IMAGE_CELL}/{{method}}/{{group}}/model.safetensors"),
    benchmark:
        benchmark_of(
            "tune_image", f"{IMAGE_CELL}/{{method}}/{{group}}/model.safetensors"
        )
    conda:
        "../../envs/equitune.yaml"
    threads: RANKS
    resources:
        mem_mb=per_attempt(8000 * RANKS),
        runtime=480,
        gpu=GPUS,
    params:
        code=CODE.of("image tune"),
        start=start,
        how=lambda w: how(w.method),
        builder=lambda w: changed("--builder", IMAGE.builder(w.architecture)),
        model=lambda w: changed("--model", CONFIG.image.settings(w.architecture)),
        training=lambda w: as_text(CONFIG.image.tuning[w.architecture]),
        features=lambda w, input: IMAGE.named(input.features),
        teacher=lambda w, input: option("--teacher", *input.teacher),
    shell:
        COMMANDS.train(
            "image tune --weights {input.weights:q} {params.builder} {params.model}"
            " --training {params.training:q} {params.features} {params.teacher}"
            " --output {output.model:q}"
        )


# of the network before it is tuned, from images without labels
rule forecast_image_gain:
    input:
        model=lambda w: IMAGE.before(w.dataset, w.architecture, w.seed),
        dataset=f"{IMAGE_DATA}/dataset.safetensors",
        transformed=f"{IMAGE_DATA}/{{group}}/test.safetensors",
        features=lambda w: IMAGE.features(w.dataset, w.architecture, [w.group], True),
    output:
        f"{IMAGE_CELL}/forecast/{{group}}.csv",
    log:
        log_of(f"{IMAGE_CELL}/forecast/{{group}}.csv"),
    benchmark:
        benchmark_of("forecast_image_gain", f"{IMAGE_CELL}/forecast/{{group}}.csv")
    conda:
        "../../envs/equitune.yaml"
    resources:
        mem_mb=per_attempt(4000),
        runtime=per_attempt(60),
        gpu=GPU,
    params:
        code=CODE.of("image forecast"),
        features=lambda w, input: IMAGE.named(input.features),
    shell:
        COMMANDS.compute(
            "image forecast --transformed {input.transformed:q} --model {input.model:q}"
            " {params.features} --output {output:q}"
        )


# one job a cell: it starts torch once for all methods
rule evaluate_image:
    input:
        models=lambda w: IMAGE.models(w.dataset, w.architecture, w.seed),
        dataset=f"{IMAGE_DATA}/dataset.safetensors",
        transformed=expand(
            f"{IMAGE_DATA}/{{group}}/test.safetensors",
            group=CONFIG.image.groups,
            allow_missing=True,
        ),
        features=lambda w: IMAGE.features_to_evaluate(w.dataset, w.architecture),
    output:
        rows=f"{IMAGE_CELL}/evaluation.csv",
        elements=f"{IMAGE_CELL}/elements.csv",
        examples=f"{IMAGE_CELL}/examples.csv",
        scores=f"{IMAGE_CELL}/scores.csv",
    log:
        log_of(f"{IMAGE_CELL}/evaluation.csv"),
    benchmark:
        benchmark_of("evaluate_image", f"{IMAGE_CELL}/evaluation.csv")
    conda:
        "../../envs/equitune.yaml"
    resources:
        mem_mb=per_attempt(4000),
        runtime=per_attempt(120),
        gpu=GPU,
    params:
        code=CODE.of("image evaluate"),
        models=lambda w, input: braces(input.models),
        transformed=lambda w, input: braces(input.transformed, "--transformed"),
        features=lambda w, input: IMAGE.named(input.features),
    shell:
        COMMANDS.compute(
            "image evaluate {params.models} {params.transformed} {params.features}"
            " --output {output.rows:q}"
        )
