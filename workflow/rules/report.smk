# The report: a page of what there is, and one for each experiment. Included last: it asks the rules.
PAGES = {"scan": SCAN_FILES, "image": IMAGE_FILES, "language": LANGUAGE_FILES}
# Snakemake knows its targets only once the rules are read, those below among them
NAMED = {rule.name for rule in workflow.rules}
NAMED |= {"report", "shown_there"} | {
    f"{word}_{name}" for word in ("report", "shown_there") for name in PAGES
}
TARGETS = [word for word in sys.argv[1:] if word in NAMED or "results/" in word]


def provenance(experiment):
    """What the models of an experiment were made with, none where it trains none."""
    return (
        f"results/tables/provenance_{experiment}.csv" if OF_MODELS[experiment] else []
    )


# what a page shows, asked for by the Snakemake that writes it
for name, categories in {
    "there": (),
    **{f"there_{each}": (catalogue.CATEGORIES[each],) for each in PAGES},
}.items():

    rule:
        name:
            f"shown_{name}"
        input:
            there(*categories),
        localrule: True


# ours, whatever workflow takes these rules
OWN = (ROOT if CLONE else NOTED) / "Snakefile"
if not CLONE:  # the rules come out of a repository, and the package out of a wheel
    rules_of = workflow.current_basedir.join("../Snakefile")
    with atomic_write(OWN) as temporary:
        temporary.write_text(f'include: "{rules_of.get_path_or_uri(True)}"\n')


# Snakemake asked again, as it alone knows what has been run; this run holds the lock
for page, files, shown in [
    ("report", reported(), "there"),
    *(
        (f"report_{each}", [files, provenance(each)], f"there_{each}")
        for each, files in PAGES.items()
    ),
]:

    rule:
        name:
            page
        input:
            files,
        output:
            html=f"results/{page}.html",
            config=f"results/{page}.config.json",
        log:
            log_of(f"results/{page}.html"),
        benchmark:
            benchmark_of(page, f"results/{page}.html")
        localrule: True
        conda:
            "../../envs/equitune.yaml"
        params:
            snakefile=str(OWN),
            # no wildcards, whatever stands in braces
            config=lambda w: json.dumps(CHANGED, separators=(",", ":")),
            shown=f"shown_{shown}",
        shell:
            COMMANDS.python(
                "-m snakemake {params.shown} --nolock --snakefile {params.snakefile:q}"
                " --configfile {output.config:q} --report {output.html:q}) > {log:q} 2>&1",
                before="(printf '%s' {params.config:q} > {output.config:q} && ",
            )
