# Tables from the runs' rows.
localrules:
    scan_table,
    image_table,
    image_elements,
    image_examples,
    image_gains_table,
    image_forecast_table,
    claims,
    provenance,
    packages,


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


rule image_table:
    input:
        image_parts("evaluation.csv"),
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
        image_parts("elements.csv"),
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
        image_parts("examples.csv"),
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


rule image_gains_table:
    input:
        image_parts("scores.csv"),
    output:
        report(
            "results/tables/image_gains.csv",
            category="Image classification",
            caption="../report/image_gains_table.rst",
            labels={"what": "does equi-tuning win, and by how much", "kind": "table"},
        ),
    log:
        "results/logs/image_gains_table.log",
    conda:
        "../../envs/equitune.yaml"
    threads: 1
    shell:
        "python -m equitune --log {log:q} results table image-gains {input:q}"
        " --output {output:q}"


rule image_forecast_table:
    input:
        # no names: Snakemake takes none for files of which some depend on a checkpoint
        image_parts(*(f"forecast/{group}.csv" for group in IMAGE.groups)),
        image_parts("scores.csv"),
    output:
        report(
            "results/tables/image_forecast.csv",
            category="Image classification",
            caption="../report/image_forecast_table.rst",
            labels={"what": "gains foretold and measured", "kind": "table"},
        ),
    log:
        "results/logs/image_forecast_table.log",
    conda:
        "../../envs/equitune.yaml"
    threads: 1
    params:
        parts=lambda w, input: [x for x in input if Path(x).name != "scores.csv"],
        scores=lambda w, input: option(
            "--scores", *(x for x in input if Path(x).name == "scores.csv")
        ),
    shell:
        "python -m equitune --log {log:q} results table image-forecast {params.parts:q}"
        " {params.scores} --output {output:q}"


# what no table shows and a claim needs to know
SETTINGS = {
    "image.weights": IMAGE.weights,
    "image.subset": IMAGE.subset,
    "image.images_seen": min(
        IMAGE.tuning[name].steps * IMAGE.tuning[name].batch_size
        for name in IMAGE.architectures
    ),
    **{
        f"language.scorer.{model}": SCORERS[own.scorer].kind
        for model, own in LANGUAGE_OF.items()
    },
}


rule claims:
    input:
        scan="results/tables/scan.csv",
        image="results/tables/image.csv",
        fairness="results/tables/fairness.csv",
        gains="results/tables/image_gains.csv",
        claims=CLAIMS,
        published=PUBLISHED,
    output:
        report(
            "results/tables/claims.csv",
            category="Claims and provenance",
            caption="../report/claims.rst",
            labels={"what": "the papers' claims, tested", "kind": "table"},
        ),
    log:
        "results/logs/claims.log",
    conda:
        "../../envs/equitune.yaml"
    threads: 1
    params:
        tables=lambda w, input: Path(input.scan).parent,
        settings=json.dumps(SETTINGS),
    shell:
        "python -m equitune --log {log:q} results claims --tables {params.tables:q}"
        " --claims {input.claims:q} --published {input.published:q}"
        " --settings {params.settings:q} --output {output:q}"


rule provenance:
    input:
        rules.scan_table.input,
        rules.image_table.input,
        language_bases,
    output:
        report(
            "results/tables/provenance.csv",
            category="Claims and provenance",
            caption="../report/provenance.rst",
            labels={"what": "commit, device, versions", "kind": "table"},
        ),
    log:
        "results/logs/provenance.log",
    conda:
        "../../envs/equitune.yaml"
    threads: 1
    shell:
        "python -m equitune --log {log:q} results table provenance {input:q} --output {output:q}"


rule packages:
    input:
        NOTES,
    output:
        report(
            "results/tables/packages.csv",
            category="Claims and provenance",
            caption="../report/packages.rst",
            labels={"what": "packages used and left out", "kind": "table"},
        ),
    log:
        "results/logs/packages.log",
    conda:
        "../../envs/equitune.yaml"
    threads: 1
    shell:
        "python -m equitune --log {log:q} packages {input:q} --output {output:q}"
