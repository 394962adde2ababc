"""Describe database errors for the log, without the statement and its values."""


def describe(error: BaseException) -> str:
    """Return the error's name, with the database's own name and code if there is one.

    A full disk, a lock and a server that is away are all an OperationalError. The code distinguishes them:
    `OperationalError (DiskFull, SQLSTATE 53100)`, `OperationalError (SQLITE_FULL)`. The database's own text is left
    out: it quotes statements and rows.
    """
    cause = error.__cause__ or error
    state = getattr(cause, "sqlstate", None)
    if state:
        return f"{type(error).__name__} ({type(cause).__name__}, SQLSTATE {state})"
    name = getattr(cause, "sqlite_errorname", None)
    if name:
        return f"{type(error).__name__} ({name})"
    if cause is not error:
        return f"{type(error).__name__} ({type(cause).__name__})"
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
