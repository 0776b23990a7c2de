"""The two ways in which a command ends badly, and their exit statuses."""


class CyreneError(Exception):
    """Base of every error that is shown to a person as one message, without a traceback."""

    exit_status = 1


class UserError(CyreneError):
    """Bad input: the message names the file, line, key or value, and the remedy."""

    exit_status = 2


class BuildError(CyreneError):
    """A step failed although its input was good: a tool crashed, a disk filled up."""
