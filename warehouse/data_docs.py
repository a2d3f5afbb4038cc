"""Great Expectations' Data Docs as pages that need no network: one folder per batch, one page per table, an index.

As they come, the pages load styles, scripts, icons and a logo from six hosts.  Here all of that is taken out and a
style sheet of our own put in; what scripts did (folding, filtering) is done by CSS or left away.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

_ELEMENTS = re.compile(r"<(script|style|footer)\b.*?</\1>|<link\b[^>]*>|<img\b[^>]*>", re.DOTALL | re.IGNORECASE)
_HANDLERS = re.compile(r'\son\w+="[^"]*"')
_OUTWARD = re.compile(r'href="https?://[^"]*"')
_HOME = re.compile(r'href="[./]*index\.html"')
_SUITE = re.compile(r'<a href="[./]*expectations/[^"]*"\s*>([^<]*)</a>')

_STYLE = """
:root { color-scheme: light dark; --ink: #1d2733; --soft: #5b6875; --line: #d8dee4; --paper: #fff; --band: #f3f6f8;
  --good: #1a7f4b; --bad: #c2331f; --link: #1558a6; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e9ee; --soft: #9aa7b4; --line: #37424d; --paper: #161b20;
  --band: #1f262d; --good: #4cc38a; --bad: #ff7b6b; --link: #7cb7ff; } }
* { box-sizing: border-box; }
body { margin: 0; font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); }
a { color: var(--link); }
nav.navbar { padding: .6rem 1.5rem; border-bottom: 1px solid var(--line); height: auto !important; }
.navbar-brand { display: none; }
ol.breadcrumb, .nav { list-style: none; margin: 0; padding: 0; }
ol.breadcrumb { display: flex; gap: .5rem; }
ol.breadcrumb li + li::before { content: "/ "; color: var(--soft); }
.container-fluid { padding: 1rem 1.5rem; }
.container-fluid .container-fluid { padding: 0; }
.row { display: flex; flex-wrap: wrap; }
.col-12 { width: 100%; }
.col-6 { width: 50%; padding-right: 1rem; }
.col-lg-2 { width: 17%; min-width: 14rem; padding-right: 1.5rem; }
.col-lg-10 { width: 0; flex: 1 1 40rem; }
.sticky { position: sticky; top: 1rem; }
.card { border: 1px solid var(--line); border-radius: 6px; margin-bottom: 1rem; overflow: auto; }
.card-header, .alert { background: var(--band); padding: .4rem .7rem; }
.alert { border-radius: 6px; margin: 1rem 0 .4rem; }
.card:has(.btn-group) { display: none; }
.nav-link { display: block; padding: .1rem .7rem; text-decoration: none; font-size: 13px; }
h1, h4, h5, h6 { margin: .2rem 0; }
.lead { color: var(--soft); margin: .2rem 0 1rem; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0; }
th, td { text-align: left; padding: .3rem .6rem; border-top: 1px solid var(--line); vertical-align: top; }
th { color: var(--soft); font-weight: 600; }
td .show-scrollbars { overflow: auto; max-height: 60vh; }
code { font: 13px ui-monospace, monospace; overflow-wrap: anywhere; }
.collapse { display: none; }
.collapse:target { display: block; }
.popover, .modal { display: none; }
.fas { font-style: normal; font-weight: 700; }
.fa-check-circle::before { content: "\\2713"; }
.fa-times::before { content: "\\2717"; }
.fa-exclamation-triangle::before { content: "!"; }
.text-success, .good { color: var(--good); }
.text-danger, .text-warning, .bad { color: var(--bad); }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
"""


def site(pages: Path) -> dict[str, Any]:
    """The configuration of a site that holds nothing but validation results."""
    return {
        "class_name": "SiteBuilder",
        "show_how_to_buttons": False,
        "site_section_builders": {"expectations": "None", "profiling": "None"},
        "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
        "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(pages)},
    }


def make_offline(pages: Path) -> None:
    """Leave one page per table, ``pages/TABLE.html``, that refers to nothing outside the folder."""
    for page in sorted((pages / "validations").rglob("*.html")):
        table = page.relative_to(pages / "validations").parts[0]
        (pages / f"{table}.html").write_text(offline(page.read_text(encoding="utf-8")), encoding="utf-8")
    for leftover in ("validations", "expectations", "static"):
        shutil.rmtree(pages / leftover, ignore_errors=True)


def offline(page: str) -> str:
    """The page without scripts, outside styles, images and links that lead out."""
    page = _ELEMENTS.sub("", page)
    page = _HANDLERS.sub("", page)
    page = _OUTWARD.sub('href="#"', page)
    page = _HOME.sub('href="index.html"', page)
    page = _SUITE.sub(r"\1", page)
    return page.replace("</head>", f"<style>{_STYLE}</style>\n</head>", 1)


def write_batch_index(pages: Path, batch: str, rows: Mapping[str, int], failures: Sequence[Mapping[str, Any]]) -> None:
    """``pages/index.html``: what was looked at and what failed."""
    looked_at = [
        (f'<a href="{escape(table)}.html">{escape(table)}</a>', _number(count), _result(failures, table))
        for table, count in rows.items()
    ]
    looked_at += [
        (escape(failure["table"]), "-", "<span class=bad>cannot be read</span>")
        for failure in failures
        if failure["table"] not in rows
    ]
    failed = [
        (
            escape(failure["table"]),
            escape(failure["expectation"]),
            _number(failure["rows"]),
            _number(failure["of"]),
            "<br>".join(f"<code>{escape(_row(row))}</code>" for row in failure["sample"]) or escape(failure["error"]),
        )
        for failure in failures
    ]
    body = f"<p class=lead>{'Held back from the marts.' if failures else 'Passed.'}</p>"
    body += _table(("table", "rows", "result"), looked_at)
    if failed:
        body += "<h4>What failed</h4>" + _table(("table", "expectation", "rows", "of", "some of them"), failed)
    body += '<p><a href="../index.html">all batches</a></p>'
    (pages / "index.html").write_text(_page(f"Batch {batch}", body), encoding="utf-8")


def write_index(quality: Path, batches: Sequence[tuple[str, str, str]]) -> None:
    """``quality/index.html``: the batches, newest first, each as (name, when, result)."""
    rows = [
        (
            f'<a href="{escape(name)}/index.html">{escape(name)}</a>',
            escape(when),
            f'<span class="{"good" if result == "passed" else "bad"}">{escape(result)}</span>',
        )
        for name, when, result in batches
    ]
    body = _table(("batch", "looked at", "result"), rows)
    (quality / "index.html").write_text(_page("What landed, batch by batch", body), encoding="utf-8")


def _page(title: str, body: str) -> str:
    return (
        f"<!DOCTYPE html>\n<html lang=en><head><meta charset=utf-8><title>{escape(title)}</title>"
        f"<style>{_STYLE}</style></head>"
        f"<body><div class=container-fluid><h1>{escape(title)}</h1>{body}</div></body></html>\n"
    )


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{name}</th>" for name in heads)
    lines = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>"


def _result(failures: Sequence[Mapping[str, Any]], table: str) -> str:
    failed = sum(failure["table"] == table for failure in failures)
    return f"<span class=bad>{failed} failed</span>" if failed else "<span class=good>passed</span>"


def _row(row: Mapping[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in row.items())


def _number(count: int) -> str:
    return f"{count:,}"
