"""What docs/scale.md reckons is what was measured, and reckoned rightly."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def _model() -> Any:
    """benchmarks/ is no package: its scripts stand alone."""
    spec = importlib.util.spec_from_file_location("scale_model", ROOT / "benchmarks" / "scale_model.py")
    if spec is None or spec.loader is None:
        raise ImportError("benchmarks/scale_model.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


MODEL = _model()


def test_the_page_holds_the_tables_that_the_script_prints() -> None:
    text = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
    assert MODEL.with_tables(text) == text, "run `python benchmarks/scale_model.py --docs`"


@pytest.mark.parametrize("name", sorted(MODEL.FIGURES))
def test_a_figure_stands_in_the_results_that_it_is_from(name: str) -> None:
    figure = MODEL.FIGURES[name]
    lines = (ROOT / "benchmarks" / "results" / figure.source).read_text(encoding="utf-8").splitlines()
    assert any(figure.said in line for line in lines)
    told = figure.said.replace(",", "").replace("|", " ").split()
    assert f"{figure.value:g}" in [f"{float(word):g}" for word in told if word.replace(".", "", 1).isdigit()]


def test_a_load_needs_what_it_takes_by_hand() -> None:
    per_million, of_an_event = MODEL.value("worker"), MODEL.value("memory")
    much = 10.0**15
    load = MODEL.Load("by hand", 100_000, 2, lateness_s=600, gap_s=1400, interval_s=10, busy=0.5, state_bytes=much)
    need = MODEL.need(load)
    # 200,000 events/s at the peak, of which half a core carries so many:
    a_worker = 0.5 / per_million * 1e6
    assert need.workers - 1 < 200_000 / a_worker <= need.workers
    assert need.partitions >= 2 * need.workers > need.partitions / 2
    assert need.open_events == 200_000 * 2000
    assert need.memory_bytes_a_worker == pytest.approx(200_000 * 2000 * of_an_event / need.workers)
    assert need.commits_per_s_of_a_log == pytest.approx(need.workers / 10)
    assert need.files_per_day == pytest.approx(need.workers * 8640 * 2)


def test_where_memory_is_short_it_says_how_many_workers_there_are() -> None:
    load = MODEL.Load("by hand", 1000, 1, lateness_s=0, gap_s=100, busy=1, state_bytes=10_000 * MODEL.value("memory"))
    assert (MODEL.need(load).workers, MODEL.cpu_workers(load)) == (10, 1)
    assert MODEL.need(load).memory_bytes_a_worker == load.state_bytes


def test_what_breaks_first_comes_first_and_a_longer_interval_moves_the_log_alone() -> None:
    load = MODEL.LOADS[0]
    rates = [limit.events_per_s for limit in MODEL.limits(load)]
    assert rates == sorted(rates)
    shorter = {limit.part: limit.events_per_s for limit in MODEL.limits(load)}
    longer = {limit.part: limit.events_per_s for limit in MODEL.limits(replace(load, interval_s=2 * load.interval_s))}
    same = shorter.keys() & longer.keys()
    assert len(same) == len(shorter) - 1
    assert all(shorter[part] == longer[part] for part in same)
    (before,), (after,) = shorter.keys() - same, longer.keys() - same
    assert longer[after] == pytest.approx(2 * shorter[before])
