# Tables from the runs' rows, figures from the tables.
localrules:
    scan_table,
    scan_figure,
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


# Snakemake asked again, as it alone knows what has been run; this run holds the lock
rule report:
    input:
        rules.scan.input,
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
