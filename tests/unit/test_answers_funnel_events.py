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
    columns = dict(arrival) | {"source": np.array(["file:a", "kafka:b"])[arrival["source"]]}
    order = order_of(pa.table(columns), unit.astype(np.int64), time.astype(np.int64))
    assert np.array_equal(order, np.lexsort([*reversed(list(arrival.values())), time, unit]))
