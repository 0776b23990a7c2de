"""The options of ``cyrene corpus import FORMAT``: one for each field of the format's options."""

from pathlib import Path
from typing import TYPE_CHECKING, get_args, get_origin

import click

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo


def format_option(name: str, field: "FieldInfo") -> click.Option:
    """Return the option of a field of a format's ``Options``."""
    kinds = [kind for kind in get_args(field.annotation) if kind is not type(None)]
    flags = [f"--{name.replace('_', '-')}"]
    text = field.description
    if get_origin(field.annotation) is tuple:
        return click.Option(flags, multiple=True, help=text)
    if int in kinds or field.annotation is int:
        return click.Option(flags, type=int, default=field.default, help=text)
    if float in kinds or field.annotation is float:
        return click.Option(flags, type=float, default=field.default, show_default=True, help=text)
    if Path in kinds:
        return click.Option(flags, type=click.Path(path_type=Path), help=text)
    choices = [value for kind in kinds for value in get_args(kind)]
    if choices:
        return click.Option(flags, type=click.Choice(choices), help=text)
    return click.Option(flags, help=text)
