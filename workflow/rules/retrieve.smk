# Files from elsewhere: local rules, as compute nodes may have no network.
localrules:
    scan_split,


rule scan_split:
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
        mirror=f"--mirror '{CONFIG.retrieve.mirror}'" if CONFIG.retrieve.mirror else "",
    shell:
        "python -m equitune --log {log:q} scan split {wildcards.task} --source {params.source}"
        " {params.mirror} --train {output.train:q} --test {output.test:q}"


# all that comes from elsewhere, fetched ahead where there is a network
rule retrieve:
    input:
        expand(
            "results/scan/{task}/{part}.txt", task=SCAN.tasks, part=["train", "test"]
        ),
