# Figures from the tables.
localrules:
    figures,


# draws from the tables that are there and asks nobody how they were made: nothing is retrained,
# whatever has changed in the configuration since
rule figures:
    log:
        "results/logs/figures.log",
    benchmark:
        "results/benchmarks/figures/figures.tsv"
    conda:
        "../../envs/equitune.yaml"
    params:
        code=CODE.of("results figures"),
        tables="results/tables",
        published=PUBLISHED,
        output="results/figures",
    shell:
        COMMANDS.run(
            "results figures --tables {params.tables:q} --published {params.published:q}"
            " --output {params.output:q}"
        )


# tables that a run may have or not
OPTIONAL = {"truth": LANGUAGE.truth()}


# a rule for each record; one whose figures are of cells has the cell's columns as wildcards
for figure in catalogue.FIGURES.values():

    rule:
        name:
            f"plot_{figure.name}"
        input:
            [
                (
                    PUBLISHED
                    if name == catalogue.PUBLISHED
                    else f"results/tables/{name}.csv"
                )
                for name in figure.tables
            ],
            [file for name in figure.optional for file in OPTIONAL[name]],
        output:
            report(
                f"results/figures/{figure.stem}.svg",
                category=catalogue.CATEGORIES[figure.target],
                caption="../report/figure.rst",
                labels={"what": figure.shows, "kind": "figure"},
            ),
            f"results/figures/{figure.stem}.pdf",
            f"results/figures/{figure.stem}.csv",
        log:
            log_of(f"results/figures/{figure.stem}.svg"),
        benchmark:
            benchmark_of(f"plot_{figure.name}", f"results/figures/{figure.stem}.svg")
        localrule: True
        conda:
            "../../envs/equitune.yaml"
        params:
            code=CODE.of("results figure", [f"results.figures.{figure.module}"]),
            figure=figure.name,
            # for the report; as a function of the output it is no reason to draw again
            caption=lambda w, output, caption=figure.caption: caption,
            files=lambda w, input: braces(input),
            only=" ".join(f"--{column} {{{column}}}" for column in figure.cells),
        shell:
            COMMANDS.run(
                "results figure {params.figure} {params.files} --output results/figures {params.only}"
            )
