# What `snakemake` finds in this folder. The workflow stands where other workflows look for it, too.
include: "workflow/Snakefile"
