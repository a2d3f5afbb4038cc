"""The command `yesladder dashboard`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from yesladder.options import Command, settings_options
from yesladder.settings import PREFIX, Settings, read_settings

if TYPE_CHECKING:
    from answers.dashboard.doors import Doors

SHOWING_AT = "dashboard at "
"""What it says before its address, once it takes requests."""


def _of_dashboard(name: str, **more: Any) -> Callable[[Command], Command]:
    """An option for the setting ``dashboard_NAME``, under its short name."""
    setting = f"dashboard_{name}"
    description = f"{Settings.model_fields[setting].description}  [env: {PREFIX}{setting.upper()}]"
    return click.option(f"--{name.replace('_', '-')}", setting, default=None, help=description, **more)


@click.command()
@settings_options("warehouse", "ladder")
@_of_dashboard("host")
@_of_dashboard("port")
@_of_dashboard("password_file")
@_of_dashboard("trusted_header")
@_of_dashboard("proxies")
@_of_dashboard("names")
@_of_dashboard("sql", is_flag=True)
@click.option(
    "--funnels",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("funnels.toml"),
    show_default=True,
    help="The file of saved funnels.",
)
def dashboard(funnels: Path, **options: Any) -> None:
    """The pages that people look at: ladder, funnels, leaps, momentum, walks, data health.  docs/dashboard.md.

    Example: yesladder dashboard --ladder ladders/shop.toml --port 8090
    """
    from answers.dashboard.answering import Desk
    from answers.dashboard.app import Dashboard, create_app
    from producers.serving import serve

    settings = read_settings(**{name: value for name, value in options.items() if value is not False})
    settings.load_ladder()  # a wrong ladder is told here, before anybody looks
    desk = Desk(settings.warehouse)
    desk.warm_up()
    app = create_app(
        Dashboard(
            settings.warehouse,
            settings.load_ladder,
            doors_of(settings),
            funnels=funnels,
            allows_sql=settings.dashboard_sql,
        ),
        desk,
    )
    try:
        serve(
            app,
            settings.dashboard_host,
            settings.dashboard_port,
            on_ready=lambda url: click.echo(f"{SHOWING_AT}{url}"),
        )
    finally:
        desk.close()


def doors_of(settings: Settings) -> Doors:
    """Whom it lets in.  Raises ``UsageError`` where that would be anybody."""
    from answers.dashboard.doors import doors

    return doors(
        settings.dashboard_host,
        password_file=settings.dashboard_password_file,
        trusted_header=settings.dashboard_trusted_header,
        proxies=settings.dashboard_proxies,
        names=settings.dashboard_names,
    )


def dashboard_options(settings: Settings) -> list[str]:
    """The options that make a process of its own the dashboard of these settings."""
    found = []
    for name in ("host", "port", "password_file", "trusted_header", "proxies", "names"):
        value = getattr(settings, f"dashboard_{name}")
        found += [] if value is None else [f"--{name.replace('_', '-')}", str(value)]
    return [*found, *(["--sql"] if settings.dashboard_sql else [])]
