# What the report's pages show. It asks the rules, so it is called when all of them have been read.
from snakemake.io import is_flagged


def there(*categories):
    """Files that the report shows and that are there, of some categories or else of all."""
    found = []
    for one in workflow.rules:
        for file in one.output:
            if is_flagged(file, "report") and (
                not categories or file.flags["report"].category in categories
            ):
                place = Path(re.sub("{.*?}", "*", str(file)))
                found += map(str, sorted(place.parent.glob(place.name)))
    return found


def reported():
    """Files that `report` waits for: those of the targets beside it, or else what is there."""
    if "all" in TARGETS:
        return rules.all.input
    asked = [PAGES[name] for name in PAGES if name in TARGETS]
    if "report" in TARGETS and not asked and not there():
        sys.stderr.write(
            "nothing to report on, as results/tables and results/figures are empty: run snakemake,"
            " or an experiment (snakemake scan), first\n"
        )
        sys.exit(1)
    return [*there(), *asked]
