"""The SCAN language: its commands, their meaning and its splits.

Grammar and semantics are those of Lake & Baroni (2018), "Generalization without systematicity",
figures 6 and 7; the split around_right is that of Loula, Baroni & Lake (2018).
"""

from collections.abc import Iterator

from equitune.io.names import nearest

TASKS = ("add_jump", "around_right", "simple")

VERBS = {"walk": "I_WALK", "look": "I_LOOK", "run": "I_RUN", "jump": "I_JUMP"}
TURNS = {"left": "I_TURN_LEFT", "right": "I_TURN_RIGHT"}
MANNERS = ("opposite", "around")
REPEATS = {"twice": 2, "thrice": 3}
CONJUNCTIONS = ("and", "after")

COMMAND_WORDS = (*VERBS, "turn", *TURNS, *MANNERS, *REPEATS, *CONJUNCTIONS)
ACTION_WORDS = (*VERBS.values(), *TURNS.values())

JUMP_LINES = 1467  # the bare command fills a tenth of the published training set of add_jump


def check_task(task: str) -> None:
    """Raise a ValueError that names the nearest known ones if the task is unknown."""
    if task not in TASKS:
        raise ValueError(f"unknown task {task!r}{nearest(task, TASKS)}")


def commands() -> Iterator[tuple[str, str]]:
    """Yield all 20 910 commands, each with its action sequence; the order is fixed."""
    phrases = list(_phrases())
    sentences = (f"{a} {joint} {b}" for a in phrases for joint in CONJUNCTIONS for b in phrases)
    for command in (*phrases, *sentences):
        yield command, interpret(command)


def interpret(command: str) -> str:
    """Return the actions that a command means, by the rules of the semantics ⟦·⟧.

    ⟦x and y⟧ = ⟦x⟧ ⟦y⟧, ⟦x after y⟧ = ⟦y⟧ ⟦x⟧, ⟦x twice⟧ = ⟦x⟧ ⟦x⟧, ⟦x thrice⟧ = ⟦x⟧ ⟦x⟧ ⟦x⟧,
    ⟦u left⟧ = L ⟦u⟧, ⟦u opposite left⟧ = L L ⟦u⟧, ⟦u around left⟧ = (L ⟦u⟧) four times,
    where L is I_TURN_LEFT, ⟦turn⟧ alone adds nothing, and right is as left.

    Args:
        command: words separated by blanks, as in "jump around left twice after walk".

    Returns:
        Action words separated by blanks.

    Raises:
        ValueError: a word is unknown, or the words form no command of the grammar.
    """
    words = command.split()
    for word in words:
        if word not in COMMAND_WORDS:
            raise ValueError(f"{command!r}: unknown word {word!r}{nearest(word, COMMAND_WORDS)}")
    joints = [place for place, word in enumerate(words) if word in CONJUNCTIONS]
    if len(joints) > 1:
        raise ValueError(f"{command!r} joins more than two phrases: use 'and' or 'after' once")
    if not joints:
        return " ".join(_phrase(words, command))
    first, second = words[: joints[0]], words[joints[0] + 1 :]
    if words[joints[0]] == "after":
        first, second = second, first
    return " ".join(_phrase(first, command) + _phrase(second, command))


def split(task: str) -> tuple[list[str], list[str]]:
    """Generate a published split.

    add_jump trains on every command without "jump" and on the bare "jump" in 1 467 lines, and
    tests on all other commands. around_right trains on every command without "around right", and
    tests on the others, those with "turn around right" left out.

    Args:
        task: "add_jump" or "around_right".

    Returns:
        The training and the test lines, each sorted, as "IN: jump twice OUT: I_JUMP I_JUMP".

    Raises:
        ValueError: the task is unknown, or "simple", whose random split cannot be generated.
    """
    check_task(task)
    if task == "simple":
        raise ValueError(
            "the task 'simple' is a random split that exists only as its published files: "
            "set scan.source: published, or run equitune scan split simple --source published"
        )
    train: list[str] = []
    test: list[str] = []
    for command, actions in commands():
        line = format_line(command, actions)
        if task == "add_jump" and command == "jump":
            train += [line] * JUMP_LINES
        elif task == "add_jump":
            (test if "jump" in command else train).append(line)
        elif "around right" not in command:
            train.append(line)
        elif "turn around right" not in command:
            test.append(line)
    return sorted(train), sorted(test)


def format_line(command: str, actions: str) -> str:
    """Return a pair in the format of the published files."""
    return f"IN: {command} OUT: {actions}"


def _phrases() -> Iterator[str]:
    """Yield what stands on either side of a conjunction: 34 acts, each alone, twice, thrice."""
    directed = [f"{verb} {turn}" for verb in (*VERBS, "turn") for turn in TURNS]
    mannered = [
        f"{verb} {manner} {turn}"
        for verb in (*VERBS, "turn")
        for manner in MANNERS
        for turn in TURNS
    ]
    for act in (*VERBS, *directed, *mannered):
        yield act
        yield from (f"{act} {times}" for times in REPEATS)


def _phrase(words: list[str], command: str) -> list[str]:
    """Return the actions of an act with its repetition."""
    if words and words[-1] in REPEATS:
        return _act(words[:-1], words, command) * REPEATS[words[-1]]
    return _act(words, words, command)


def _act(act: list[str], phrase: list[str], command: str) -> list[str]:
    """Return the actions of a verb with its direction: one of the shapes of the grammar."""
    match act:
        case [verb] if verb in VERBS:
            return [VERBS[verb]]
        case [verb, turn] if _moves(verb) and turn in TURNS:
            return [TURNS[turn], *_verb(verb)]
        case [verb, "opposite", turn] if _moves(verb) and turn in TURNS:
            return [TURNS[turn], TURNS[turn], *_verb(verb)]
        case [verb, "around", turn] if _moves(verb) and turn in TURNS:
            return [TURNS[turn], *_verb(verb)] * 4
    raise ValueError(
        f"{command!r}: {' '.join(phrase)!r} is not a phrase of the grammar: expected a verb, then "
        "[opposite | around] left | right (which 'turn' needs), then twice | thrice"
    )


def _moves(word: str) -> bool:
    return word in VERBS or word == "turn"


def _verb(verb: str) -> list[str]:
    return [VERBS[verb]] if verb in VERBS else []
