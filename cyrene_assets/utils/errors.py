"""The two ways in which a command ends badly, and their exit statuses."""

from cyrene_assets.utils.text_safety import escape_control_chars


class CyreneError(Exception):
    """Base of every error that is shown to a person as one message, without a traceback.

    What it quotes from outside, a terminal shows and does not obey.
    """

    exit_status = 1

    def __str__(self) -> str:
        return escape_control_chars(super().__str__())


class UserError(CyreneError):
    """Bad input: the message names the file, line, key or value, and the remedy."""

    exit_status = 2


class BuildError(CyreneError):
    """A step failed although its input was good: a tool crashed, a disk filled up."""


class RequirementError(CyreneError):
    """This machine lacks what a stage ahead needs: nothing was begun, and a retry fails again."""


class CheckFailedError(BuildError):
    """An artifact that did not pass a blocking check; making it again gives the same."""
