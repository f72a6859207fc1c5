"""The `equitune` command, also `python -m equitune`: one line where its packages are missing."""

import sys


def main() -> None:
    """Run the command line, or say which extra has it."""
    try:
        from equitune import cli
    except ModuleNotFoundError as error:
        sys.exit(f"equitune: error: {error}")
    cli.main()


if __name__ == "__main__":
    main()
