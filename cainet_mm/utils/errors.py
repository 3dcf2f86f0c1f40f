"""What an error says, for messages of one line."""


def describe_error(error: BaseException, kind: bool = False, first_line: bool = False) -> str:
    """What an error says, in one line, or only its first line; its kind where it says nothing.

    With ``kind``, for errors of foreign code, that stands before its first line in any case.
    """
    # str() of a KeyError is the repr of its text
    said = str(error.args[0] if isinstance(error, KeyError) and error.args else error).strip()
    if not said:
        return type(error).__name__
    said = said.splitlines()[0] if kind or first_line else ' '.join(said.split())
    return f'{type(error).__name__}: {said}' if kind else said
