#!/bin/sh
# The `equitune` of the rules' commands: this package, in the Python that workflow/rules/place.smk
# chose. By hand, without its variables: what stands in the current folder, by the active Python.
# Of a job there is a log, where none is named in the place that follows from its output.
exec env PYTHONPATH="${EQUITUNE_PATH:-.}" EQUITUNE_LOGS=yes \
	"${EQUITUNE_PYTHON:-python}" -m equitune "$@"
