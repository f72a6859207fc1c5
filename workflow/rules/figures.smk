# Figures from the tables, and the report of both.
localrules:
    figures,
    scan_figure,
    image_accuracy,
    image_rotation,
    image_orbit,
    image_cost,
    image_gains,
    image_forecast_figure,
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


# a figure for each cell, as each shows images of its own
rule image_orbit:
    input:
        image="results/tables/image.csv",
        examples="results/tables/image_examples.csv",
    output:
        report(
            f"{IMAGE_ORBIT}.svg",
            category="Image classification",
            caption="../report/image_orbit.rst",
            labels={
                "what": "predictions over orbits, {dataset}, {architecture}",
                "kind": "figure",
            },
        ),
        f"{IMAGE_ORBIT}.pdf",
        f"{IMAGE_ORBIT}.csv",
    log:
        "results/logs/image_orbit/{dataset}_{architecture}.log",
    conda:
        "../../envs/equitune.yaml"
    threads: 1
    params:
        folder=lambda w, output: Path(output[0]).parent,
    shell:
        "python -m equitune --log {log:q} results figure image-orbits --image {input.image:q}"
        " --examples {input.examples:q} --dataset {wildcards.dataset}"
        " --architecture {wildcards.architecture} --folder {params.folder:q}"


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


rule image_gains:
    input:
        gains="results/tables/image_gains.csv",
    output:
        svg=report(
            "results/figures/image_gains.svg",
            category="Image classification",
            caption="../report/image_gains.rst",
            labels={"what": "gain over fine-tuning, with intervals", "kind": "figure"},
        ),
        pdf="results/figures/image_gains.pdf",
        csv="results/figures/image_gains.csv",
    log:
        "results/logs/image_gains.log",
    conda:
        "../../envs/equitune.yaml"
    threads: 1
    params:
        stem=lambda w, output: output.svg.removesuffix(".svg"),
    shell:
        "python -m equitune --log {log:q} results figure image-gains"
        " --gains {input.gains:q} --stem {params.stem:q}"


rule image_forecast_figure:
    input:
        forecast="results/tables/image_forecast.csv",
    output:
        svg=report(
            "results/figures/image_forecast.svg",
            category="Image classification",
            caption="../report/image_forecast.rst",
            labels={
                "what": "gain foretold without labels, and measured",
                "kind": "figure",
            },
        ),
        pdf="results/figures/image_forecast.pdf",
        csv="results/figures/image_forecast.csv",
    log:
        "results/logs/image_forecast_figure.log",
    conda:
        "../../envs/equitune.yaml"
    threads: 1
    params:
        stem=lambda w, output: output.svg.removesuffix(".svg"),
    shell:
        "python -m equitune --log {log:q} results figure image-forecast"
        " --forecast {input.forecast:q} --stem {params.stem:q}"


# Snakemake asked again, as it alone knows what has been run; this run holds the lock
rule report:
    input:
        rules.scan.input,
        rules.image.input,
        rules.language.input,
        rules.claims.output,
        rules.provenance.output,
        rules.packages.output if NOTES else [],
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
        config=lambda w: json.dumps(config),  # no wildcards, whatever stands in braces
        targets=lambda w: "all benchmarks" if benchmarked() else "all",
    shell:
        "(printf '%s' {params.config:q} > {output.config:q} && snakemake {params.targets}"
        " --nolock --snakefile {params.snakefile:q} --configfile {output.config:q}"
        " --report {output.html:q}) > {log:q} 2>&1"
