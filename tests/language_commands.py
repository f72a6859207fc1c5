"""The language commands, run here, and what they say."""

from equitune import cli

LEXICON = {"demographics": ["man", "woman"], "equality": [["king", "queen"]], "general": ["he"]}
PROMPTS = {"axes": {"gender": {"man": "man", "woman": "woman"}}, "tasks": {"work": ["worked as"]}}


def run(*arguments):
    return cli.run(["language", *map(str, arguments)])


def error_line(capfd):
    """What a mistake puts on the terminal must be one line."""
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("equitune: error: ")
    return lines[0]
