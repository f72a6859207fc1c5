# Tables from the runs' rows, figures from the tables.
localrules:
    scan_table,
    scan_figure,
    image_table,
    image_elements,
    image_examples,
    image_accuracy,
    image_rotation,
    image_orbits,
    image_cost,
    figures,
    report,


# draws from the tables that are there and asks nobody how they were made: nothing is retrained,
# whatever has changed in the configuration since
rule figures:
    log:
        "results/logs/figures.log",
    conda:
        "../../envs/equitune.yaml"
    threads: 1
    params:
        tables="results/tables",
        published=PUBLISHED,
        output="results/figures",
    shell:
        "python -m equitune --log {log:q} results figures --tables {params.tables:q}"
        " --published {params.published:q} --output {params.output:q}"


rule scan_table:
    input:
        expand(
            f"{SCAN_CELL}/evaluation.csv",
            task=SCAN.tasks,
            architecture=SCAN.architectures,
            seed=SCAN.seeds,
        ),
    output:
        table=report(
            "results/tables/scan.csv",
            category="Compositional generalization",
            caption="../report/scan_table.rst",
            labels={"what": "all runs", "kind": "table"},
        ),
        summary=report(
            "results/tables/scan_summary.csv",
            category="Compositional generalization",
            caption="../report/scan_summary.rst",
            labels={"what": "mean, sd and n over seeds", "kind": "table"},
        ),
    log:
        "results/logs/scan_table.log",
    conda:
        "../../envs/equitune.yaml"
    threads: 1
    shell:
        "python -m equitune --log {log:q} results table scan {input:q}"
        " --output {output.table:q} --summary {output.summary:q}"


rule scan_figure:
    input:
        scan="results/tables/scan.csv",
        published=PUBLISHED,
    output:
        svg=report(
            "results/figures/scan_accuracy.svg",
            category="Compositional generalization",
            caption="../report/scan_accuracy.rst",
            labels={"what": "test accuracy", "kind": "figure"},
        ),
        pdf="results/figures/scan_accuracy.pdf",
        csv="results/figures/scan_accuracy.csv",
    log:
        "results/logs/scan_figure.log",
    conda:
        "../../envs/equitune.yaml"
    threads: 1
    params:
        stem=lambda w, output: output.svg.removesuffix(".svg"),
    shell:
        "python -m equitune --log {log:q} results figure scan-accuracy --scan {input.scan:q}"
        " --published {input.published:q} --stem {params.stem:q}"


rule image_table:
    input:
        expand(
            f"{IMAGE_CELL}/evaluation.csv",
            dataset=IMAGE.datasets,
            architecture=IMAGE.architectures,
            seed=IMAGE.seeds,
        ),
    output:
        table=report(
            "results/tables/image.csv",
            category="Image classification",
            caption="../report/image_table.rst",
            labels={"what": "all runs", "kind": "table"},
        ),
        summary=report(
            "results/tables/image_summary.csv",
            category="Image classification",
            caption="../report/image_summary.rst",
            labels={"what": "mean, sd and n over seeds", "kind": "table"},
        ),
    log:
        "results/logs/image_table.log",
    conda:
        "../../envs/equitune.yaml"
    threads: 1
    shell:
        "python -m equitune --log {log:q} results table image {input:q}"
        " --output {output.table:q} --summary {output.summary:q}"


rule image_elements:
    input:
        expand(
            f"{IMAGE_CELL}/elements.csv",
            dataset=IMAGE.datasets,
            architecture=IMAGE.architectures,
            seed=IMAGE.seeds,
        ),
    output:
        report(
            "results/tables/image_elements.csv",
            category="Image classification",
            caption="../report/image_elements.rst",
            labels={"what": "accuracy for each group element", "kind": "table"},
        ),
    log:
        "results/logs/image_elements.log",
    conda:
        "../../envs/equitune.yaml"
    threads: 1
    shell:
        "python -m equitune --log {log:q} results table image-elements {input:q}"
        " --output {output:q}"


rule image_examples:
    input:
        expand(
            f"{IMAGE_CELL}/examples.csv",
            dataset=IMAGE.datasets,
            architecture=IMAGE.architectures,
            seed=IMAGE.seeds,
        ),
    output:
        "results/tables/image_examples.csv",  # pictures in letters: for the figures, not the report
    log:
        "results/logs/image_examples.log",
    conda:
        "../../envs/equitune.yaml"
    threads: 1
    shell:
        "python -m equitune --log {log:q} results table image-examples {input:q}"
        " --output {output:q}"


rule image_accuracy:
    input:
        image="results/tables/image.csv",
        published=PUBLISHED,
    output:
        svg=report(
            "results/figures/image_accuracy.svg",
            category="Image classification",
            caption="../report/image_accuracy.rst",
            labels={"what": "upright and rotated accuracy", "kind": "figure"},
        ),
        pdf="results/figures/image_accuracy.pdf",
        csv="results/figures/image_accuracy.csv",
    log:
        "results/logs/image_accuracy.log",
    conda:
        "../../envs/equitune.yaml"
    threads: 1
    params:
        stem=lambda w, output: output.svg.removesuffix(".svg"),
    shell:
        "python -m equitune --log {log:q} results figure image-accuracy --image {input.image:q}"
        " --published {input.published:q} --stem {params.stem:q}"


rule image_rotation:
    input:
        elements="results/tables/image_elements.csv",
    output:
        svg=report(
            "results/figures/image_rotation.svg",
            category="Image classification",
            caption="../report/image_rotation.rst",
            labels={"what": "accuracy against rotation", "kind": "figure"},
        ),
        pdf="results/figures/image_rotation.pdf",
        csv="results/figures/image_rotation.csv",
    log:
        "results/logs/image_rotation.log",
    conda:
        "../../envs/equitune.yaml"
    threads: 1
    params:
        stem=lambda w, output: output.svg.removesuffix(".svg"),
    shell:
        "python -m equitune --log {log:q} results figure image-rotation"
        " --elements {input.elements:q} --stem {params.stem:q}"


rule image_cost:
    input:
        image="results/tables/image.csv",
    output:
        svg=report(
            "results/figures/image_cost.svg",
            category="Image classification",
            caption="../report/image_cost.rst",
            labels={"what": "training time", "kind": "figure"},
        ),
        pdf="results/figures/image_cost.pdf",
        csv="results/figures/image_cost.csv",
    log:
        "results/logs/image_cost.log",
    conda:
        "../../envs/equitune.yaml"
    threads: 1
    params:
        stem=lambda w, output: output.svg.removesuffix(".svg"),
    shell:
        "python -m equitune --log {log:q} results figure image-cost"
        " --image {input.image:q} --stem {params.stem:q}"


# a figure for each cell, as each shows images of its own; one job, as each takes a second
rule image_orbits:
    input:
        image="results/tables/image.csv",
        examples="results/tables/image_examples.csv",
    output:
        *[
            report(
                f"{IMAGE_ORBIT}.svg".format(**cell),
                category="Image classification",
                caption="../report/image_orbit.rst",
                labels={
                    "what": "predictions over orbits, {dataset}, {architecture}".format(
                        **cell
                    ),
                    "kind": "figure",
                },
            )
            for cell in IMAGE_CELLS
        ],
        [
            f"{IMAGE_ORBIT}.{suffix}".format(**cell)
            for cell in IMAGE_CELLS
            for suffix in ("pdf", "csv")
        ],
    log:
        "results/logs/image_orbits.log",
    conda:
        "../../envs/equitune.yaml"
    threads: 1
    params:
        folder=lambda w, output: Path(output[0]).parent,
    shell:
        "python -m equitune --log {log:q} results figure image-orbits --image {input.image:q}"
        " --examples {input.examples:q} --folder {params.folder:q}"


# Snakemake asked again, as it alone knows what has been run; this run holds the lock
rule report:
    input:
        rules.scan.input,
        rules.image.input,
    output:
        html="results/report.html",
        config="results/report.config.json",
    log:
        "results/logs/report.log",
    conda:
        "../../envs/equitune.yaml"
    threads: 1
    params:
        snakefile=workflow.main_snakefile,
        config=json.dumps(config),
    shell:
        "(printf '%s' {params.config:q} > {output.config:q} && snakemake --nolock"
        " --snakefile {params.snakefile:q} --configfile {output.config:q}"
        " --report {output.html:q}) > {log:q} 2>&1"
