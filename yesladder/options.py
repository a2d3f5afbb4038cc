"""What the commands have in common: options that stand for settings, ``--json``, and how it is printed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

import click

from yesladder.settings import PREFIX, Settings

Command = TypeVar("Command", bound=Callable[..., Any])


def setting(name: str, **more: Any) -> Callable[[Command], Command]:
    """An option that overrides the setting of that name; its text and default are the setting's own."""
    field = Settings.model_fields[name]
    description = f"{field.description}  [env: {PREFIX}{name.upper()}]"
    return click.option(f"--{name.replace('_', '-')}", name, default=None, help=description, **more)


def settings_options(*names: str) -> Callable[[Command], Command]:
    """Several ``setting`` options, shown in this order."""

    def decorate(command: Command) -> Command:
        for name in reversed(names):
            command = setting(name)(command)
        return command

    return decorate


log_level_option = click.option(
    "--log-level",
    type=click.Choice(["ERROR", "WARN", "INFO", "DEBUG"]),
    default="WARN",
    show_default=True,
    help="How much it tells of itself.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")


def print_json(value: Any) -> None:
    """One line; times and the like as text."""
    click.echo(json.dumps(value, default=str))
