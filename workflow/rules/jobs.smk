# What each job took: Snakemake's benchmark files, and the figure of them.
localrules:
    profile,


# draws what there is, and is made by no job: its own time would be part of it
rule profile:
    log:
        "results/logs/profile.log",
    conda:
        "../../envs/equitune.yaml"
    params:
        code=CODE.of("results profile"),
        results="results",
    shell:
        COMMANDS.run("results profile --results {params.results:q}")
