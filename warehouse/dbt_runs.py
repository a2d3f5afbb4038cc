"""dbt in this process: the project ``dbt_like_sql`` run on one DuckDB file, or in a Spark session.

The parsed project is kept, in the process and for the next one (``parsed_project``), since parsing costs more than
running it on little data.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from ladder.errors import YesladderError
from warehouse.garbage import uncollected
from warehouse.parsed_project import ParsedProject

THREADS = 2

Engine = Literal["duckdb", "spark"]
"""What runs the SQL."""

OnNode = Callable[[str, int, int], None]
"""Hears of each model or test that is done: its name, how many are done, how many there are."""

_manifests: dict[Engine, Any] = {}


class DbtError(YesladderError):
    """A model or a test of the SQL failed; the message names each, with dbt's reason."""


def project_folder() -> Path:
    """Where the dbt project lies, in a checkout as in an installed wheel."""
    return Path(str(files("dbt_like_sql") / "dbt_project.yml")).parent


def project_hash() -> str:
    """Changes whenever the project's models or macros do."""
    folder = project_folder()
    digest = sha256()
    for part in ("macros", "models"):
        for path in sorted((folder / part).rglob("*.sql")):
            digest.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def prepare(work: Path, engine: Engine = "duckdb") -> None:
    """Import dbt and read the parsed project, or parse it; a build does it too where it was not done.

    Once per process and engine.
    """
    if engine in _manifests:
        return
    with uncollected():
        from dbt.cli.main import dbtRunner  # seconds to import

        # Of the database only the name is parsed, which is always the same.
        output = _duckdb(Path("marts.duckdb")) if engine == "duckdb" else _SPARK
        profile = json.dumps(output)
        kept = ParsedProject(project_folder(), profile, work)
        manifest = kept.read()
        if manifest is None:
            manifest = _checked(dbtRunner().invoke(["parse", *_arguments(output, work)])).result
            kept.keep(manifest)
        _manifests[engine] = manifest


def dbt_build(
    database: Path,
    work: Path,
    *,
    full: bool,
    tests: bool = True,
    unit_tests: bool = False,
    on_node: OnNode | None = None,
) -> list[str]:
    """Run all models and data tests on the DuckDB file ``database``; returns the warnings.

    ``work`` takes dbt's own files (profile, logs, parsed project).  ``full`` builds incremental models from scratch.
    ``tests``: without it only the models are run.
    The file's name without its ending must be ``marts``: the views in it say so.  Nothing holds it open afterwards.
    Raises ``DbtError``.
    """
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager

    try:
        return _run("duckdb", _duckdb(database), work, full, tests, unit_tests, on_node)
    finally:
        DuckDBConnectionManager.close_all_connections()  # type: ignore[no-untyped-call]  # dbt leaves it without types


def dbt_build_on_spark(work: Path, *, unit_tests: bool = False, on_node: OnNode | None = None) -> list[str]:
    """Run all models, from scratch, and data tests in this process's Spark session; returns the warnings.

    The session has the schema ``lake``.  Unit tests tagged ``duckdb`` are left out.  Raises ``DbtError``.
    """
    return _run("spark", _SPARK, work, True, True, unit_tests, on_node)


def stored_tables() -> list[tuple[str, str]]:
    """Schema and name of every model that is a table and no view; after ``prepare``."""
    nodes = _manifests["duckdb"].nodes.values()
    return sorted(
        (node.schema, node.alias)
        for node in nodes
        if node.resource_type == "model" and node.config.materialized != "view"
    )


_SPARK: Mapping[str, Any] = {"type": "spark", "method": "session", "host": "none", "schema": "main", "threads": THREADS}
"""dbt's profile of Spark; the host means nothing to it, and must be there."""


def _duckdb(database: Path) -> Mapping[str, Any]:
    return {
        "type": "duckdb",
        "path": str(database),
        "schema": "main",
        "threads": THREADS,
        "settings": {"TimeZone": "UTC"},
    }


def _run(
    engine: Engine,
    output: Mapping[str, Any],
    work: Path,
    full: bool,
    tests: bool,
    unit_tests: bool,
    on_node: OnNode | None,
) -> list[str]:
    from dbt.cli.main import dbtRunner

    prepare(work, engine)
    manifest = _manifests[engine]
    wanted = {"model", *(["test"] if tests else []), *(["unit_test"] if unit_tests else [])}
    total = sum(node.resource_type in wanted for node in manifest.nodes.values())
    total += len(manifest.unit_tests) if unit_tests else 0
    done = 0

    def hear(event: Any) -> None:
        nonlocal done
        if event.info.name == "NodeFinished" and on_node is not None:
            done += 1
            on_node(event.data.node_info.node_name, done, max(total, done))

    left_out = [kind for kind in ("test", "unit_test") if kind not in wanted]
    command = ["build", *_arguments(output, work), *(["--full-refresh"] if full else [])]
    for kind in left_out:
        command += ["--exclude-resource-type", kind]
    if unit_tests and engine == "spark":
        command += ["--exclude", "tag:duckdb"]
    result = _checked(dbtRunner(manifest=manifest, callbacks=[hear]).invoke(command))
    return [f"{node.node.name}: {node.message}" for node in result.result.results if node.status == "warn"]


def _arguments(output: Mapping[str, Any], work: Path) -> list[str]:
    work = work.absolute()  # dbt would look for it in the project
    work.mkdir(parents=True, exist_ok=True)
    profile = {"yesladder": {"target": output["type"], "outputs": {output["type"]: output}}}
    (work / "profiles.yml").write_text(json.dumps(profile), encoding="utf-8")
    return [
        *("--project-dir", str(project_folder())),
        *("--profiles-dir", str(work)),
        *("--target-path", str(work / "target")),
        *("--log-path", str(work / "logs")),
        *("--log-level", "none"),
        "--no-use-colors",
        "--no-send-anonymous-usage-stats",
        "--no-version-check",
    ]


def _checked(result: Any) -> Any:
    """The result of a run in which nothing failed."""
    if result.success:
        return result
    nodes = getattr(result.result, "results", None) or []
    failed = [node for node in nodes if node.status in ("error", "fail", "runtime error")]
    if not failed:
        raise DbtError(f"the SQL project cannot be run: {result.exception}")
    named = [
        f"{node.node.resource_type} {node.node.name}: {' '.join(str(node.message).split())}" for node in failed[:5]
    ]
    more = [f"and {len(failed) - 5} more"] if len(failed) > 5 else []
    raise DbtError("; ".join([*named, *more]))
