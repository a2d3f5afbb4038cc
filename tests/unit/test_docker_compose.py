"""What docker-compose.yml starts is what the command line and the settings know."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from answers.schedule_file import parse_schedules
from yesladder.cli import cli
from yesladder.settings import PREFIX, Settings

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
OF_STORES = ("AWS_", "GOOGLE_", "AZURE_")
OURS = sorted(name for name in SERVICES if name != "kafka")


def parameters(command: list[str]) -> dict[str, Any]:
    """What a command line, without `yesladder`, sets; it must be one that the command takes."""
    name, *options = command
    found: click.Command = cli.commands[name]
    while isinstance(found, click.Group) and options[0] in found.commands:
        name, *options = options
        found = found.commands[name]
    context = found.make_context(name, options)
    assert context.args == []
    return context.params


@pytest.mark.parametrize("service", [name for name in OURS if "command" in SERVICES[name]])
def test_a_service_runs_a_command_with_options_that_it_has(service: str) -> None:
    parameters(SERVICES[service]["command"])


def test_the_dashboard_asks_for_the_password_that_compose_was_given() -> None:
    dashboard = SERVICES["dashboard"]
    given = parameters(dashboard["command"])
    (secret,) = dashboard["secrets"]
    assert given["dashboard_password_file"] == f"/run/secrets/{secret}"
    assert COMPOSE["secrets"] == {secret: {"environment": "YESLADDER_DASHBOARD_PASSWORD"}}
    assert dashboard["ports"] == [f"{given['dashboard_port']}:{given['dashboard_port']}"]
    assert SERVICES["build"]["working_dir"] == dashboard["working_dir"] == "/data/warehouse", (
        "one funnels.toml for both"
    )


def test_reports_go_out_as_the_mounted_file_says_and_the_example_is_one_that_says_it() -> None:
    schedule = SERVICES["schedule"]
    place = schedule["environment"]["YESLADDER_SCHEDULES"]
    (mounted,) = [volume for volume in schedule["volumes"] if f":{place}:" in volume]
    assert mounted == f"${{YESLADDER_SCHEDULES_FILE:-./schedules.example.toml}}:{place}:ro"
    assert set(SERVICES["worker"]["volumes"]) < set(schedule["volumes"])
    text = (ROOT / "schedules.example.toml").read_text(encoding="utf-8")
    weekly = parse_schedules(text, "the example", NOW)["weekly"]
    assert [target.where for target in weekly.targets] == ["reports/"]
    assert schedule["working_dir"] == "/data/warehouse", "so that they lie beside the marts"
    asis, _, commented = text.partition("# [board]\n")
    uncommented = asis + "[board]\n" + "".join(line.removeprefix("# ") for line in commented.splitlines(keepends=True))
    assert set(parse_schedules(uncommented, "all of the example", NOW)) == {"weekly", "board"}


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
    names = [name for name in SERVICES[service]["environment"] if not name.startswith(OF_STORES)]
    assert {name.removeprefix(PREFIX).lower() for name in names} <= set(Settings.model_fields)


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


@pytest.mark.parametrize("service", OURS)
def test_whoever_reads_or_writes_the_lake_is_told_where_it_is_and_with_what_credentials_and_nobody_else(
    service: str,
) -> None:
    given = SERVICES[service]["environment"]
    told = {name for name in given if name.startswith(OF_STORES) or name in ("YESLADDER_LAKE", "YESLADDER_S3_ENDPOINT")}
    if service == "collector":
        assert told == set()
        return
    assert {
        "YESLADDER_LAKE",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "GOOGLE_SERVICE_ACCOUNT_KEY",
        "AZURE_STORAGE_ACCOUNT_KEY",
    } <= told
    assert {given[name] for name in told} == {None}, "as they are outside, and nothing where they are not"
    assert given["YESLADDER_WAREHOUSE"] == "/data/warehouse"


def test_there_may_be_any_number_of_workers() -> None:
    """Compose refuses a second one where the first has a name or a port of the machine to itself."""
    worker = SERVICES["worker"]
    assert worker.keys().isdisjoint({"container_name", "ports", "hostname", "network_mode", "deploy"})
    assert "YESLADDER_INSTANCE" not in worker["environment"], "one name for all would make the later fence the earlier"
