# Tables from the runs' rows. Each is made by the command of its name; a new one is a line here.
SCAN_TABLE, IMAGE_TABLE, LANGUAGE_TABLE = (
    catalogue.CATEGORIES[name] for name in ("scan", "image", "language")
)
ABOUT = "Claims and provenance"
# its name, what it is made of, category in the report, caption there, what it shows
TABLES = [
    (
        "scan",
        expand(
            f"{SCAN_CELL}/evaluation.csv",
            task=CONFIG.scan.tasks,
            architecture=CONFIG.scan.architectures,
            seed=CONFIG.scan.seeds,
        ),
        (SCAN_TABLE, "scan_table", "all runs"),
    ),
    (
        "image",
        image_parts("evaluation.csv"),
        (IMAGE_TABLE, "image_table", "all runs"),
    ),
    (
        "image_elements",
        image_parts("elements.csv"),
        (IMAGE_TABLE, "image_elements", "accuracy for each group element"),
    ),
    # pictures in letters: for the figures, not the report
    ("image_examples", image_parts("examples.csv"), None),
    (
        "image_gains",
        image_parts("scores.csv"),
        (IMAGE_TABLE, "image_gains_table", "does equi-tuning win, and by how much"),
    ),
    (
        "regard",
        language_parts("regard.csv"),
        (LANGUAGE_TABLE, "language_regard_table", "regard of each demographic"),
    ),
    (
        "fairness",
        language_parts("fairness.csv"),
        (LANGUAGE_TABLE, "language_fairness_table", "gaps, distances, perplexity"),
    ),
    (
        "regard_scorer",
        available(LANGUAGE.wheels, LANGUAGE.accuracies),
        (LANGUAGE_TABLE, "language_scorer", "accuracy of the regard scorers"),
    ),
    (
        "language_texts",
        language_parts("texts.csv"),
        (LANGUAGE_TABLE, "language_texts", "texts, demographics side by side"),
    ),
    (
        "language_pronouns",
        language_parts("pronouns.csv", LANGUAGE.with_pronouns),
        (LANGUAGE_TABLE, "language_pronouns_table", "agreement of pronouns"),
    ),
    (
        "language_tuning",
        available(LANGUAGE.wheels, LANGUAGE.tuned),
        (
            LANGUAGE_TABLE,
            "language_tuning_table",
            "perplexity and fairness while tuned",
        ),
    ),
]
# tables with a second one beside them: mean, sd and n over seeds
SUMMARIES = {
    "scan": (SCAN_TABLE, "scan_summary", "mean, sd and n over seeds"),
    "image": (IMAGE_TABLE, "image_summary", "mean, sd and n over seeds"),
    "regard": (
        LANGUAGE_TABLE,
        "language_regard_summary",
        "regard: mean, sd and n over seeds",
    ),
    "fairness": (
        LANGUAGE_TABLE,
        "language_fairness_summary",
        "gaps: mean, sd and n over seeds",
    ),
}


for file, rows, place in TABLES:

    rule:
        name:
            f"tabulate_{file}"
        input:
            rows,
        output:
            **{
                "summary": shown_table(f"{name}_summary", where)
                for name, where in SUMMARIES.items()
                if name == file
            },
            table=shown_table(file, place),
        log:
            log_of(f"results/tables/{file}.csv"),
        benchmark:
            benchmark_of(f"tabulate_{file}", f"results/tables/{file}.csv")
        localrule: True
        conda:
            "../../envs/equitune.yaml"
        params:
            code=CODE.of("results table"),
            table=file,
            rows=lambda w, input: braces(input),
            summary=lambda w, output: option("--summary", output.get("summary", "")),
        shell:
            COMMANDS.run(
                "results table {params.table} {params.rows} --output {output.table:q}"
                " {params.summary}"
            )


localrules:
    tabulate_image_forecast,
    test_claims,
    tabulate_packages,


rule tabulate_image_forecast:
    input:
        # no names: Snakemake takes none for files of which some depend on a checkpoint
        image_parts(*(f"forecast/{group}.csv" for group in CONFIG.image.groups)),
        image_parts("scores.csv"),
    output:
        shown_table(
            "image_forecast",
            (IMAGE_TABLE, "image_forecast_table", "gains foretold and measured"),
        ),
    log:
        log_of("results/tables/image_forecast.csv"),
    benchmark:
        benchmark_of("tabulate_image_forecast", "results/tables/image_forecast.csv")
    conda:
        "../../envs/equitune.yaml"
    params:
        code=CODE.of("results table"),
        parts=lambda w, input: braces(x for x in input if Path(x).name != "scores.csv"),
        scores=lambda w, input: braces(
            (x for x in input if Path(x).name == "scores.csv"), "--scores"
        ),
    shell:
        COMMANDS.run(
            "results table image_forecast {params.parts} {params.scores}"
            " --output {output:q}"
        )


rule test_claims:
    input:
        scan="results/tables/scan.csv",
        image="results/tables/image.csv",
        fairness="results/tables/fairness.csv",
        gains="results/tables/image_gains.csv",
        claims=CLAIMS,
        published=PUBLISHED,
    output:
        shown_table("claims", (ABOUT, "claims", "the papers' claims, tested")),
    log:
        log_of("results/tables/claims.csv"),
    benchmark:
        benchmark_of("test_claims", "results/tables/claims.csv")
    conda:
        "../../envs/equitune.yaml"
    params:
        code=CODE.of("results claims"),
        tables=lambda w, input: Path(input.scan).parent,
        # what no table shows and a claim needs to know
        settings=flat.write(
            {
                "image.weights": CONFIG.image.weights,
                "image.subset": CONFIG.image.subset,
                "image.images_seen": IMAGE.images_seen(),
                **LANGUAGE.scorer_kinds(),
            }
        ),
    shell:
        COMMANDS.run(
            "results claims --tables {params.tables:q} --claims {input.claims:q}"
            " --published {input.published:q} --settings {params.settings:q} --output {output:q}"
        )


# what was found, in words: a part of the report's first page for each experiment, and the claims
FINDINGS = {
    "scan": ["scan"],
    "image": ["image", "image_gains"],
    "language": ["fairness"],
    "claims": ["claims"],
}


for part, tables in FINDINGS.items():

    rule:
        name:
            f"word_{part}"
        input:
            [f"results/tables/{table}.csv" for table in tables],
        output:
            report(
                f"results/findings/{part}.html",
                category=catalogue.CATEGORIES.get(part, ABOUT),
                caption="../report/findings.rst",
                labels={
                    "what": f"{catalogue.CATEGORIES.get(part, 'Claims')}, in words",
                    "kind": "text",
                },
            ),
        log:
            log_of(f"results/findings/{part}.html"),
        benchmark:
            benchmark_of(f"word_{part}", f"results/findings/{part}.html")
        localrule: True
        conda:
            "../../envs/equitune.yaml"
        params:
            code=CODE.of("results page"),
            part=part,
            tables=lambda w, input: Path(input[0]).parent,
        shell:
            COMMANDS.run(
                "results page {params.part} --tables {params.tables:q} --output {output:q}"
            )


# of all models that were trained, and of an experiment's own for its page
OF_MODELS = {
    "scan": rules.tabulate_scan.input,
    "image": rules.tabulate_image.input,
    "language": LANGUAGE.bases(),
}


for name, parts, place in [
    ("provenance", [*OF_MODELS.values()], ABOUT),
    *(
        (f"provenance_{each}", parts, catalogue.CATEGORIES[each])
        for each, parts in OF_MODELS.items()
    ),
]:

    rule:
        name:
            f"tabulate_{name}"
        input:
            parts,
        output:
            shown_table(name, (place, "provenance", "commit, device, versions")),
        log:
            log_of(f"results/tables/{name}.csv"),
        benchmark:
            benchmark_of(f"tabulate_{name}", f"results/tables/{name}.csv")
        localrule: True
        conda:
            "../../envs/equitune.yaml"
        params:
            code=CODE.of("results provenance"),
            parts=lambda w, input: braces(input),
        shell:
            COMMANDS.run("results provenance {params.parts} --output {output:q}")


rule tabulate_packages:
    input:
        NOTES,
    output:
        shown_table("packages", (ABOUT, "packages", "packages used and left out")),
    log:
        log_of("results/tables/packages.csv"),
    benchmark:
        benchmark_of("tabulate_packages", "results/tables/packages.csv")
    conda:
        "../../envs/equitune.yaml"
    params:
        code=CODE.of("packages"),
        notes=lambda w, input: braces(input),
    shell:
        COMMANDS.run("packages {params.notes} --output {output:q}")
