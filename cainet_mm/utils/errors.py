"""What an error says, for messages of one line."""


def describe_error(error: BaseException, kind: bool = False) -> str:
    """What an error says, in one line; its kind where it says nothing.

    Args:
        error: The error.
        kind: Whether its kind is named in any case, for errors of foreign code. Of a long text the first line counts
            then.
    """
    # str() of a KeyError is the repr of its text
    said = str(error.args[0] if isinstance(error, KeyError) and error.args else error).strip()
    if not said:
        return type(error).__name__
    return f'{type(error).__name__}: {said.splitlines()[0]}' if kind else ' '.join(said.split())
