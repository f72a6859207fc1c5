#!/bin/sh
# The `equitune` of the rules' commands: this package, in the Python that workflow/rules/place.smk
# chose. By hand, without its variables: what stands in the current folder, by the active Python.
exec env PYTHONPATH="${EQUITUNE_PATH:-.}" "${EQUITUNE_PYTHON:-python}" -m equitune "$@"
