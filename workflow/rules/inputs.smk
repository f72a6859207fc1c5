# What the configuration names and this machine lacks is said before the first job, by -n too.
from equitune.plan import inputs

if workflow.is_main_process:  # a job has its own inputs to look at
    try:
        inputs.check(CONFIG, REGISTRY, inputs.experiments(TARGETS), NOTED / "fits")
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(1)
