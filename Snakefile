# Equi-Tuning from download to figure. Steps stand in workflow/rules, settings in config/, the code
# that every step shares in equitune/.
from snakemake.utils import min_version

min_version("9.16")


configfile: f"{workflow.basedir}/config/config.yaml"


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/image_inputs.smk"
include: "workflow/rules/language_inputs.smk"
include: "workflow/rules/lock.smk"
include: "workflow/rules/retrieve.smk"
include: "workflow/rules/scan.smk"
include: "workflow/rules/image.smk"
include: "workflow/rules/language.smk"
include: "workflow/rules/language_results.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/benchmarks.smk"


rule all:
    default_target: True
    input:
        rules.scan.input,
        rules.image.input,
        rules.language.input,
        rules.claims.output,
        rules.provenance.output,
        rules.packages.output if NOTES else [],


onsuccess:
    left_out()


onerror:
    left_out()


rule benchmarks:
    input:
        rules.cost_table.output,
        rules.cost_figures.output,
