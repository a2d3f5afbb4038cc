from __future__ import annotations

import gc

from warehouse.garbage import uncollected


def test_nothing_is_collected_meanwhile_and_what_is_there_is_not_looked_at_again() -> None:
    try:
        with uncollected():
            assert not gc.isenabled()
        assert gc.isenabled()
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()


def test_a_process_that_collects_nothing_is_left_so() -> None:
    gc.disable()
    try:
        with uncollected():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
        gc.unfreeze()
