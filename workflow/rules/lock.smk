# One Snakemake at a time in a folder, by a lock that dies with its process. Snakemake's own stays
# behind after `kill -9` and asks for --unlock; the profiles switch it off (nolock).
from filelock import FileLock, Timeout


onstart:
    lock = FileLock(".snakemake/equitune.lock")  # held while the name below has it
    try:
        lock.acquire(blocking=False)
    except Timeout:
        sys.stderr.write(
            "another Snakemake works in this folder: wait until it has ended, or end it\n"
        )
        sys.exit(1)
    except (OSError, NotImplementedError) as error:  # a file system without locks
        sys.stderr.write(
            f"no lock on this folder ({error}): start one Snakemake at a time\n"
        )
    workflow.globals["LOCK"] = lock
