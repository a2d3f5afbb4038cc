from __future__ import annotations

import re
from pathlib import Path

from warehouse.data_docs import make_offline, offline, write_batch_index, write_index

PAGE = """<!DOCTYPE html><html><head><title>t</title>
<link rel="stylesheet" href="https://cdn.example/bootstrap.css"/>
<style>.x { background: url(https://cdn.example/x.png) }</style>
<SCRIPT src="https://cdn.example/jquery.js"></SCRIPT>
<script>
  if (a < b) { document.write("</div>") }
</script></head><body onload="go()">
<img src="https://cdn.example/logo.png"
  alt="logo">
<a href="../../../index.html">Home</a> <a href="#section-2">down</a> <a href="https://vendor.example/x">out</a>
<a href="../../expectations/events.html" >events</a>
<label onclick="showAll()">All</label><td>kind is one of &lt;track&gt;</td>
<footer><p>Newsletter</p></footer></body></html>"""


def test_a_page_made_offline_reaches_nowhere_and_keeps_what_it_says() -> None:
    page = offline(PAGE)
    assert not re.search(r"https?:|script|onclick|onload|<img|<link|Newsletter|expectations/", page, re.IGNORECASE)
    assert '<a href="index.html">Home</a>' in page
    assert '<a href="#section-2">down</a>' in page
    assert "kind is one of &lt;track&gt;" in page
    assert page.count("<style>") == 1


def test_each_table_has_its_page_and_the_rest_is_cleared_away(tmp_path: Path) -> None:
    for table in ("events", "sessions"):
        deep = tmp_path / "validations" / table / "__none__" / "20260301"
        deep.mkdir(parents=True)
        (deep / f"lake-{table}.html").write_text(PAGE)
    (tmp_path / "static" / "fonts").mkdir(parents=True)
    make_offline(tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["events.html", "sessions.html"]


def test_the_batch_index_says_what_failed_and_escapes_it(tmp_path: Path) -> None:
    failure = {
        "table": "events",
        "expectation": "name < 256",
        "rows": 1200,
        "of": 5000,
        "sample": [{"file": "a.parquet", "row_id": "<b>"}],
        "error": "",
    }
    write_batch_index(tmp_path, "b1", {"events": 5000, "sessions": 20}, [failure])
    page = (tmp_path / "index.html").read_text()
    for part in ("Held back", "name &lt; 256", "1,200", "row_id=&lt;b&gt;", 'href="events.html"', "1 failed", "passed"):
        assert part in page
    write_batch_index(tmp_path, "b1", {"events": 5000}, [])
    assert "Passed." in (tmp_path / "index.html").read_text()


def test_the_index_lists_batches_in_the_order_given(tmp_path: Path) -> None:
    write_index(tmp_path, [("b2", "later", "held"), ("b1", "before", "passed")])
    page = (tmp_path / "index.html").read_text()
    assert page.index("b2/index.html") < page.index("b1/index.html")
    assert 'class="bad">held' in page
