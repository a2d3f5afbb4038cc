from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from answers.alerts_file import MinuteCounts, read_counts
from ladder.errors import UsageError

GOOD = "key,ask_minute,delay_minutes,count\nb,10,,5\na,11,2,1\na,11,,3\nb,10,0,2\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "counts.csv"
    path.write_text(text, encoding="utf-8")
    return path


def rows(counts: MinuteCounts) -> list[tuple[str, int, int, float]]:
    columns = (counts.key.tolist(), counts.ask_minute.tolist(), counts.delay.tolist(), counts.number.tolist())
    return [(counts.keys[key], ask, delay, number) for key, ask, delay, number in zip(*columns, strict=True)]


def test_rows_come_in_the_order_of_their_arrival(tmp_path: Path) -> None:
    counts = read_counts(written(tmp_path, GOOD))

    assert counts.keys == ("a", "b")
    assert rows(counts) == [("b", 10, -1, 5), ("b", 10, 0, 2), ("a", 11, -1, 3), ("a", 11, 2, 1)]
    assert counts.arrival.tolist() == [10, 10, 11, 13]


def test_counts_split_over_rows_add_up_and_other_columns_are_passed_over(tmp_path: Path) -> None:
    split = GOOD.replace("b,10,,5", "b,10,,2\nb,10,,3").replace("\n", ",x\n").replace("count,x", "count,more")

    assert rows(read_counts(written(tmp_path, split))) == rows(read_counts(written(tmp_path, GOOD)))


@pytest.mark.parametrize("whole", [pl.Int64, pl.Int16, pl.Float64])
def test_parquet_says_the_same_whatever_kind_of_numbers_it_holds(tmp_path: Path, whole: type[pl.DataType]) -> None:
    path = tmp_path / "counts.parquet"
    frame = pl.DataFrame(
        {
            "key": ["b", "a", "a", "b"],
            "ask_minute": [10, 11, 11, 10],
            "delay_minutes": [None, 2, None, 0],
            "count": [5, 1, 3, 2],
        }
    ).with_columns(pl.exclude("key").cast(whole))
    if whole is pl.Float64:
        frame = frame.with_columns(pl.col("delay_minutes").fill_null(float("nan")))
    frame.write_parquet(path)

    assert rows(read_counts(path)) == rows(read_counts(written(tmp_path, GOOD)))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("key,ask_minute,delay_minutes,count\n", "has no rows"),
        ("key,ask_minute,count\na,1,1\n", "has no column delay_minutes"),
        (GOOD + "a,x,,1\n", "column ask_minute is 'x' in row 5, not a whole number"),
        (GOOD + "a,1.5,,1\n", "column ask_minute is '1.5' in row 5"),
        (GOOD + "a,,,1\n", "column ask_minute is empty in row 5"),
        (GOOD + "a,1,,\n", "column count is empty in row 5"),
        (GOOD + "a,1,,-1\n", "column count is negative in row 5"),
        (GOOD + "a,1,-3,1\n", "column delay_minutes is negative in row 5"),
        (GOOD + ",1,,1\n", "column key is empty in row 5"),
        (GOOD + "a,1e300,,1\n", "column ask_minute is '1e300' in row 5"),
    ],
)
def test_a_bad_file_is_refused_with_column_and_row(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError) as refused:
        read_counts(written(tmp_path, text))

    assert said in str(refused.value)
    assert "counts.csv" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_there_or_no_parquet_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no such file"):
        read_counts(tmp_path / "none.csv")
    (tmp_path / "bad.parquet").write_text("hello")
    with pytest.raises(UsageError, match="cannot be read as csv or parquet"):
        read_counts(tmp_path / "bad.parquet")


def test_keys_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "counts.parquet"
    pl.DataFrame({"key": [1], "ask_minute": [1], "delay_minutes": [1], "count": [1]}).write_parquet(path)

    with pytest.raises(UsageError, match="column key holds Int64, not text"):
        read_counts(path)
