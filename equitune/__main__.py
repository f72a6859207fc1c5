"""`python -m equitune`: the command line without an installation."""

from equitune.cli import main

main()
