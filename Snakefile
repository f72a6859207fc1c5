# Equi-Tuning from download to figure. Steps stand in workflow/rules, settings in config/, the code
# that every step shares in equitune/.
from snakemake.utils import min_version

min_version("9.16")


configfile: f"{workflow.basedir}/config/config.yaml"


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/retrieve.smk"
include: "workflow/rules/scan.smk"
include: "workflow/rules/results.smk"


rule all:
    default_target: True
    input:
        rules.scan.input,


# draws from the tables that are there and asks nobody how they were made: nothing is retrained,
# whatever has changed in the configuration since
rule figures:
    log:
        "results/logs/figures.log",
    conda:
        "envs/equitune.yaml"
    threads: 1
    params:
        tables="results/tables",
        published=PUBLISHED,
        output="results/figures",
    shell:
        "python -m equitune --log {log:q} results figures --tables {params.tables:q}"
        " --published {params.published:q} --output {params.output:q}"


rule benchmarks:
    input:
        rules.scan_throughput.output,
