"""Errors of model folders and of the hubs that they come from."""

from cyrene_assets.utils.errors import BuildError, UserError


class CheckpointError(BuildError):
    """A model's folder, or what a hub gave, is not as it should be; the message says what to do."""


class BadSourceError(CheckpointError, UserError):
    """What a person named is wrong, a repository or a folder: trying again changes nothing."""

    exit_status = UserError.exit_status
