"""What docker-compose.yml starts is what the command line and the settings know."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from yesladder.cli import cli
from yesladder.settings import PREFIX, Settings

ROOT = Path(__file__).parents[2]
SERVICES: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
OURS = sorted(name for name in SERVICES if name != "kafka")


@pytest.mark.parametrize("service", [name for name in OURS if "command" in SERVICES[name]])
def test_a_service_runs_a_command_with_options_that_it_has(service: str) -> None:
    name, *options = SERVICES[service]["command"]
    context = cli.commands[name].make_context(name, list(options))
    assert context.args == []


def test_the_marts_are_built_by_the_build_command() -> None:
    assert "yesladder build" in SERVICES["build"]["entrypoint"][-1]
    assert "build" in cli.commands


def test_the_lake_is_looked_after_once_a_day_and_built_after_that() -> None:
    steps = [step.strip() for step in SERVICES["upkeep"]["entrypoint"][-1].split(";")]
    daily = ("resessionise", "maintain", "build")
    assert steps == [
        "while true",
        *(f"{'do ' * (n == 0)}yesladder {c}" for n, c in enumerate(daily)),
        "sleep 86400",
        "done",
    ]
    assert set(daily) <= set(cli.commands)
    assert SERVICES["upkeep"]["volumes"] == SERVICES["worker"]["volumes"]


@pytest.mark.parametrize("service", OURS)
def test_a_service_is_given_settings_that_exist(service: str) -> None:
    given = {name.removeprefix(PREFIX).lower() for name in SERVICES[service]["environment"]}
    assert given <= set(Settings.model_fields)


def test_the_image_carries_every_folder_of_the_wheel() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    folders = (
        "ladder",
        "producers",
        "stream",
        "warehouse",
        "dbt_like_sql",
        "answers",
        "yesladder",
        "ladders",
        "datasets",
    )
    assert [folder for folder in folders if f"COPY {folder} {folder}" not in dockerfile] == []
