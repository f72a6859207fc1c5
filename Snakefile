# Equi-Tuning from download to figure. Steps stand in workflow/rules, settings in config/, the code
# that every step shares in equitune/.
import os

from snakemake.utils import min_version

min_version("9.16")


if os.path.isdir(
    str(workflow.current_basedir)
):  # else common.smk reads the default run

    configfile: f"{workflow.current_basedir}/config/config.yaml"


report: "workflow/report/workflow.rst"


include: "workflow/rules/place.smk"
include: "workflow/rules/common.smk"
include: "workflow/rules/retries.smk"
include: "workflow/rules/packages.smk"
include: "workflow/rules/lock.smk"
include: "workflow/rules/retrieve.smk"
include: "workflow/rules/scan.smk"
include: "workflow/rules/image.smk"
include: "workflow/rules/language_models.smk"
include: "workflow/rules/language.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/benchmarks.smk"


rule all:
    default_target: True
    input:
        SCAN_FILES,
        *IMAGE_FILES,
        *LANGUAGE_FILES,
        rules.test_claims.output,
        rules.word_claims.output,
        rules.tabulate_provenance.output,
        rules.tabulate_packages.output if NOTES else [],


include: "workflow/rules/pages.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/inputs.smk"
include: "workflow/rules/jobs.smk"
include: "workflow/rules/ending.smk"


rule benchmarks:
    input:
        rules.tabulate_cost.output,
        catalogue.asked_for("benchmarks"),
