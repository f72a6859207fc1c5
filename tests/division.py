"""How the tests are divided among processes: by file, the longest first."""

# tests of one finished run of the workflow, which takes minutes: one process makes it for all
FINISHED_RUN = tuple(
    f"tests/workflow/test_{name}.py"
    for name in ("workflow", "image", "language", "packages", "report", "scan")
)
# begun first, in this order: a long file that begins last is waited for by an idle processor
LONGEST = (
    *FINISHED_RUN,
    "tests/test_types.py",
    "tests/workflow/test_closed_network.py",
    "tests/faults/test_killed_training.py",
    "tests/workflow/test_messages.py",
    "tests/faults/test_disks.py",
    "tests/test_ids.py",
    "tests/docs/test_code.py",
    "tests/image/test_evaluation.py",
)


def file_of(nodeid):
    """The file that a test stands in."""
    return nodeid.partition("::")[0]


def rank(nodeid):
    """Where a test's file stands in the order; files that are not named keep theirs."""
    file = file_of(nodeid)
    return LONGEST.index(file) if file in LONGEST else len(LONGEST)


def scheduling(config, log):
    """xdist's division by file, with the files of the finished run as one."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid):
            file = file_of(nodeid)
            return FINISHED_RUN[0] if file in FINISHED_RUN else file

    config.option.loadscopereorder = False  # not by the number of tests, which says little
    return Scheduling(config, log)
