# What `snakemake` finds in this folder. The workflow stands where other workflows look for it, too.
include: "workflow/Snakefile"


# the default target of a file that is included does not count
rule default:
    default_target: True
    input:
        rules.all.input,
    localrule: True
