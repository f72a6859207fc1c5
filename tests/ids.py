"""Names of parametrized values that are the same in every process."""

import types

import torch

LONGEST = 100  # letters of a name that one can read


def name(value):
    """The id of a value whose text is its own; None if it has to be given one.

    The text of bytes or of an object may hold a time, an address or an order of a set: processes
    that share a suite's tests would then not agree on what they are called.
    """
    if isinstance(value, str):
        return value  # pytest numbers long ones
    if isinstance(value, torch.dtype):
        text = str(value).removeprefix("torch.")
    elif isinstance(value, type | types.FunctionType):
        text = value.__name__
    else:
        text = _literal(value)
    return text if text is not None and len(text) <= LONGEST else None


def _literal(value):
    """Numbers, texts and what nests them, as they are written; None for all else."""
    if value is None or value is ... or isinstance(value, bool | int | float | str):
        return repr(value)
    if isinstance(value, set | frozenset):
        parts = [_literal(part) for part in value]
        return None if None in parts else f"{{{', '.join(sorted(parts))}}}"
    if isinstance(value, dict):
        pairs = [(_literal(key), _literal(part)) for key, part in value.items()]
        whole = None not in [part for pair in pairs for part in pair]
        return f"{{{', '.join(f'{key}: {part}' for key, part in pairs)}}}" if whole else None
    if type(value) in (list, tuple):
        parts = [_literal(part) for part in value]
        return None if None in parts else f"[{', '.join(parts)}]"
    return None
