"""dbt in this process: the project ``dbt_like_sql`` run on one DuckDB file.

The parsed project is kept, so that only the first run in a process pays for parsing (and for importing dbt).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

from ladder.errors import YesladderError

THREADS = 2

_manifests: dict[Path, Any] = {}


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


def prepare(work: Path) -> None:
    """Import dbt and parse the project, once per process; ``dbt_build`` does it too where it was not done."""
    from dbt.cli.main import dbtRunner  # seconds to import

    project = project_folder()
    if project not in _manifests:
        # Always the same database: dbt parses everything anew when the profile differs from the last time's.
        arguments = _arguments(work / "parse" / "marts.duckdb", work)
        _manifests[project] = _checked(dbtRunner().invoke(["parse", *arguments])).result


def dbt_build(
    database: Path,
    work: Path,
    *,
    full: bool,
    unit_tests: bool = False,
    on_node: Callable[[str, int, int], None] | None = None,
) -> list[str]:
    """Run all models and data tests on the DuckDB file ``database``; returns the warnings.

    ``work`` takes dbt's own files (profile, logs, parsed project).  ``full`` builds incremental models from scratch.
    ``on_node`` hears of each model or test that is done: its name, how many are done, how many there are.
    The file's name without its ending must be ``marts``: the views in it say so.  Nothing holds it open afterwards.
    Raises ``DbtError``.
    """
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.cli.main import dbtRunner

    prepare(work)
    manifest = _manifests[project_folder()]
    wanted = {"model", "test", "unit_test"} if unit_tests else {"model", "test"}
    total = sum(node.resource_type in wanted for node in manifest.nodes.values())
    done = 0

    def hear(event: Any) -> None:
        nonlocal done
        if event.info.name == "NodeFinished" and on_node is not None:
            done += 1
            on_node(event.data.node_info.node_name, done, max(total, done))

    leave_out = [] if unit_tests else ["--exclude-resource-type", "unit_test"]
    command = ["build", *_arguments(database, work), *leave_out, *(["--full-refresh"] if full else [])]
    try:
        result = _checked(dbtRunner(manifest=manifest, callbacks=[hear]).invoke(command))
    finally:
        DuckDBConnectionManager.close_all_connections()  # type: ignore[no-untyped-call]  # dbt leaves it without types
    return [f"{node.node.name}: {node.message}" for node in result.result.results if node.status == "warn"]


def _arguments(database: Path, work: Path) -> list[str]:
    work.mkdir(parents=True, exist_ok=True)
    output = {
        "type": "duckdb",
        "path": str(database),
        "schema": "main",
        "threads": THREADS,
        "settings": {"TimeZone": "UTC"},
    }
    profile = {"yesladder": {"target": "duckdb", "outputs": {"duckdb": output}}}
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
