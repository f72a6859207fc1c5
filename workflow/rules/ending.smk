# What a run says when it ends: what it goes without, what failed and why, and where its results are.
from equitune import failures

SHOWN = {"Tables": "tables/*", "Figures": "figures/*", "Report": "report*.html"}


def newer(pattern):
    """Files below results/ that this run has written, in the order of their names."""
    for file in sorted(Path("results").glob(pattern)):
        if file.is_file() and file.stat().st_mtime >= STARTED:
            yield file


onsuccess:
    left_out()
    for what, pattern in SHOWN.items():
        if files := [*newer(pattern)]:
            places = files if what == "Report" else [files[0].parent]
            sys.stderr.write(f"{what}: {', '.join(map(str, places))}\n")


onerror:
    left_out()
    # Snakemake's own lines say which rule failed, far above and without the cause
    for line in failures.causes(newer("logs/**/*.log"), STARTED):
        sys.stderr.write(f"equitune: error: {line}\n")
