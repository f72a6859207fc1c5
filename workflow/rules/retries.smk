# What a job was given fails as often as it is tried: only what may pass is tried again. Snakemake
# asks a job how often it may be restarted, and knows no exit codes; a log's last line has it.
import time

from snakemake.jobs import Job

from equitune import failures

STARTED = time.time()
RESTARTS = Job.restart_times.fget


def restarts(job):
    """How often a job may be restarted: not at all after an error that would come again."""
    wrong = any(failures.was_wrong(Path(log), STARTED) for log in job.log)
    return 0 if wrong else RESTARTS(job)


Job.restart_times = property(restarts)
