"""The examples of docs/funnel.md print what stands there."""

from __future__ import annotations

import gzip
import sys
from itertools import islice
from pathlib import Path

import pytest

from answers.funnel_file import load_funnels
from answers.funnel_kept import SavedFunnels
from tests.suites.funnel_page import PAGE, examples, saved_funnels
from tests.suites.seeded_lake import NOW
from warehouse.build import build
from warehouse.lake import Lake
from warehouse.quality import Gate
from yesladder.backfill import backfill
from yesladder.cli import main
from yesladder.datasets import example_ladder, ladder_text

TEXT = PAGE.read_text(encoding="utf-8")
EXAMPLES = list(examples(TEXT))
SEGMENT = PAGE.parents[1] / "datasets" / "moodle_edify" / "segment.ndjson.gz"


@pytest.fixture(scope="module")
def folder(gate: Gate, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `yesladder demo --events 10000` leaves, but for Kafka."""
    made = tmp_path_factory.mktemp("page")
    warehouse = made / "demo-data"
    ladder = example_ladder("moodle_edify")
    with gzip.open(SEGMENT) as lines:
        (made / "some.ndjson").write_bytes(b"".join(islice(lines, 10_000)))
    lake = Lake(warehouse / "lake")
    backfill([made / "some.ndjson"], lake, ladder, now=NOW)
    (warehouse / "ladder.toml").write_text(ladder_text("moodle_edify"), encoding="utf-8")
    (made / "funnels.toml").write_text(saved_funnels(TEXT), encoding="utf-8")
    build(lake, ladder, gate=gate, now=NOW, kept=SavedFunnels(load_funnels(made / "funnels.toml"), ladder))
    return made


@pytest.mark.parametrize(("arguments", "expected"), EXAMPLES, ids=[" ".join(arguments) for arguments, _ in EXAMPLES])
def test_an_example_prints_what_the_page_says(
    arguments: list[str],
    expected: list[str],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("YESLADDER_WAREHOUSE", "demo-data")
    monkeypatch.setenv("YESLADDER_LADDER", "demo-data/ladder.toml")
    monkeypatch.setattr(sys, "argv", ["yesladder", *arguments])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 0
    assert [line.rstrip() for line in capsys.readouterr().out.rstrip().splitlines()] == expected


def test_every_option_of_a_question_has_an_example() -> None:
    used = {argument for arguments, _ in EXAMPLES for argument in arguments}
    assert used >= {
        "--steps", "--order", "--window", "--step-window", "--unit", "--exclude", "--where", "--step-where",
        "--optional", "--first-ever", "--first-matching", "--by", "--hold", "--since", "--until", "--list",
        "--histogram", "--csv", "--saved", "--trend",
    }  # fmt: skip
