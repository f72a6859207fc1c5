"""Runs commands of `equitune` in processes of their own that start at once: packages are loaded.

A line of input is a command's arguments as JSON; the answer is the process's number. The next line
asks for its end; the answer is its exit code, negative for the signal that ended it. Until then the
number is nobody else's, so that a signal cannot go astray.
"""

import json
import os
import sys
import warnings

from equitune import cli
from equitune.image import evaluation, experiment  # noqa: F401
from equitune.language import experiment as _language  # noqa: F401
from equitune.run import interruption
from equitune.scan import experiment as _scan  # noqa: F401

warnings.simplefilter("ignore", DeprecationWarning)  # of fork beside threads: the child starts none

while line := sys.stdin.readline():
    listening, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        sys.argv[1:] = json.loads(line)
        try:
            interruption.listen()
            os.close(tell)
            cli.main()
        except interruption.Interrupted:  # before `main` began
            os._exit(interruption.EXIT_CODE)
        except SystemExit as ended:
            os._exit(ended.code)
    os.close(tell)
    os.read(listening, 1)  # its end: from here on it takes signals as a command does
    os.close(listening)
    print(pid, flush=True)
    sys.stdin.readline()
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
