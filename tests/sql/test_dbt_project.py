from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest
from dbt.clients.yaml_helper import load_yaml_text
from jinja2 import Environment

from ladder.rates import wilson
from ladder.tables import TABLES
from tests.suites.seeded_lake import LADDER, NOW, land, seeded_events
from warehouse.build import build
from warehouse.dbt_runs import DbtError, dbt_build, project_folder
from warehouse.lake import Lake
from warehouse.quality import Gate
from warehouse.views import duckdb_type

PROJECT = project_folder()


def read_yaml(path: Path) -> dict[str, Any]:
    return load_yaml_text(path.read_text()) or {}


DOCUMENTS = {path: read_yaml(path) for path in sorted((PROJECT / "models").rglob("*.yml"))}
MODELS: dict[str, dict[str, Any]] = {
    model["name"]: model for document in DOCUMENTS.values() for model in document.get("models", [])
}
UNIT_TESTS = [test["name"] for document in DOCUMENTS.values() for test in document.get("unit_tests", [])]


@pytest.fixture(scope="module")
def built(gate: Gate, tmp_path_factory: pytest.TempPathFactory) -> Path:
    lake = Lake(tmp_path_factory.mktemp("built") / "lake")
    land(lake, seeded_events(5, visitors=20))
    build(lake, LADDER, gate=gate, now=NOW)
    return lake.root.parent / "marts.duckdb"


@pytest.fixture
def marts(built: Path, tmp_path: Path) -> Path:
    """A copy of the same marts for each test."""
    return Path(shutil.copy(built, tmp_path / "marts.duckdb"))


def test_the_unit_tests_of_the_models_pass(marts: Path, tmp_path: Path) -> None:
    seen: list[str] = []
    dbt_build(marts, tmp_path / "dbt", full=True, unit_tests=True, on_node=lambda node, done, total: seen.append(node))
    assert set(UNIT_TESTS) <= set(seen)
    assert len(UNIT_TESTS) >= 12


def test_a_failing_data_test_is_named_with_its_count(marts: Path, tmp_path: Path) -> None:
    connection = duckdb.connect(str(marts))
    connection.execute(
        "create or replace view lake.sessions as select * replace (started_at - interval 1 day as ended_at) from ("
        + view_body(connection, "sessions")
        + ")"
    )
    connection.close()
    with pytest.raises(DbtError, match=r"test fct_sessions_end_after_they_start: Got \d+ results"):
        dbt_build(marts, tmp_path / "dbt", full=True)


def test_the_project_builds_from_the_dbt_command_line(marts: Path, tmp_path: Path) -> None:
    before = sizes(marts)
    shutil.copytree(PROJECT, tmp_path / "project", ignore=shutil.ignore_patterns("target", "logs"))
    done = subprocess.run(
        [str(Path(sys.executable).with_name("dbt")), "build", "--full-refresh", "--no-use-colors"],
        cwd=tmp_path / "project",
        env={**os.environ, "YESLADDER_MARTS": str(marts)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert re.search(r"PASS=\d+ WARN=0 ERROR=0", done.stdout)
    assert sizes(marts) == before


def test_nothing_is_written_into_the_project_by_a_build(marts: Path) -> None:
    left = {path.relative_to(PROJECT).parts[0] for path in PROJECT.rglob("*") if path.is_file()}
    assert left <= {"dbt_project.yml", "profiles.yml", "macros", "models", "tests", "target", "logs"}
    assert not list(PROJECT.glob("**/.user.yml"))


def test_the_sources_are_the_tables_of_the_contract() -> None:
    document = DOCUMENTS[PROJECT / "models/staging/_staging__sources.yml"]
    sources = {table["name"]: table["columns"] for table in document["sources"][0]["tables"]}
    for name, schema in TABLES.items():
        wanted = [(field.name, duckdb_type(field.type)) for field in schema] + [("is_new", "boolean")]
        assert [(column["name"], column["data_type"]) for column in sources[name]] == [
            (column, kind.replace('"', "")) for column, kind in wanted
        ], name


def test_every_model_says_its_grain_first() -> None:
    models = {path.stem for path in (PROJECT / "models").rglob("*.sql")}
    assert set(MODELS) == models
    for name, model in MODELS.items():
        assert model["description"].startswith("One row per "), name


def test_marts_are_under_contract_with_every_column_described() -> None:
    marts = {path.stem for path in (PROJECT / "models/marts").glob("*.sql")}
    settings = read_yaml(PROJECT / "dbt_project.yml")
    assert settings["models"]["yesladder"]["marts"]["+contract"] == {"enforced": True}
    for name in marts:
        for column in MODELS[name]["columns"]:
            assert column["data_type"], (name, column)
            assert column["description"], (name, column)


def test_dialect_stays_in_the_macros() -> None:
    words = re.compile(r"\b(unnest|arg_max|arg_min|date_diff|to_microseconds|epoch_us|list_\w+|lambda|exclude|asof)\b")
    for path in (PROJECT / "models").rglob("*.sql"):
        code = re.sub(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", "", path.read_text(), flags=re.DOTALL)
        assert not words.findall(code), path


@pytest.mark.parametrize("trials", [1, 2, 7, 30, 1000, 10_000_000])
def test_the_wilson_macro_is_the_interval_of_ladder_rates(trials: int) -> None:
    macro = (PROJECT / "macros/wilson.sql").read_text()
    for successes in {0, 1, trials // 3, trials // 2, trials - 1, trials}:
        select = Environment(autoescape=False).from_string(
            macro + "select {{ wilson('s', 'n', 'low') }}, {{ wilson('s', 'n', 'high') }}"
        )
        sql = f"{select.render()} from (select {successes}::bigint as s, {trials}::bigint as n)"
        ((low, high),) = duckdb.execute(sql).fetchall()
        expected = wilson(successes, trials)
        assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-12)


def view_body(connection: duckdb.DuckDBPyConnection, name: str) -> str:
    ((sql,),) = connection.execute(
        "select sql from duckdb_views() where schema_name = 'lake' and view_name = ?", [name]
    ).fetchall()
    return str(sql).split(" AS ", 1)[1].rstrip(";")


def sizes(marts: Path) -> dict[str, int]:
    connection = duckdb.connect(str(marts), read_only=True)
    try:
        names = [row[0] for row in connection.execute("show tables").fetchall() if row[0].startswith(("fct", "dim"))]
        return {name: connection.sql(f"select 1 from {name}").to_arrow_table().num_rows for name in names}
    finally:
        connection.close()
