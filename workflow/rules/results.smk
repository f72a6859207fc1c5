# Tables from the runs' rows, figures from the tables.
FIGURES = ["results/figures/scan_accuracy.svg"]


localrules:
    scan_table,
    scan_figure,


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
