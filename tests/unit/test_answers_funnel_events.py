from __future__ import annotations

import numpy as np
import pyarrow as pa

from answers.funnel_events import order_of


def test_events_are_put_in_the_order_of_unit_time_and_arrival() -> None:
    random = np.random.default_rng(3)
    rows = 300_000
    unit = np.concatenate([random.integers(0, 40, rows // 2), random.integers(0, 200_000, rows - rows // 2)])
    time = random.integers(0, 2_000, rows)
    arrival = {
        "received_at": random.integers(0, 3, rows),
        "source": random.integers(0, 2, rows),
        "source_partition": random.integers(0, 2, rows),
        "record_offset": random.permutation(rows),
    }
    columns = pa.table(dict(arrival) | {"source": np.array(["file:a", "kafka:b"])[arrival["source"]]})
    columns = columns.set_column(2, "source_partition", pa.array(arrival["source_partition"], pa.int32()))
    wanted = np.lexsort([*reversed(list(arrival.values())), time, unit])
    order, is_decided = order_of(unit.astype(np.int32), time, {name: columns[name] for name in arrival})
    assert is_decided
    assert np.array_equal(order, wanted)


def test_where_the_time_of_arrival_is_the_same_more_is_needed_to_decide() -> None:
    unit, time = np.zeros(3, np.int32), np.array([5, 5, 4], np.int64)
    same = {"received_at": pa.chunked_array([pa.array([9, 9, 9], pa.int64())])}
    apart = {"received_at": pa.chunked_array([pa.array([9, 8, 9], pa.int64())])}
    assert not order_of(unit, time, same)[1]
    order, is_decided = order_of(unit, time, apart)
    assert (order.tolist(), is_decided) == ([2, 1, 0], True)
