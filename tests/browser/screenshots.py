"""`make screenshots`: the pages of the dashboard as pictures, light, dark and on a phone, of simulated people.

`python -m tests.browser.screenshots docs/screenshots`
"""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlencode

from PIL import Image

from tests.browser.chromium import Browser, Chromium
from tests.suites.command_line import Service
from tests.suites.dashboard_warehouses import Shown, simulated, with_alerts
from warehouse.quality import Gate

WIDE, PHONE = (1200, 1400), (390, 1500)
COLOURS = 160

_DAYS = {"since": "2026-01-19", "until": "2026-02-16"}
_FUNNEL = [
    *(("steps", step) for step in ("Product Viewed", "Product Added", "tier:midi", "tier:macro")),
    ("window", "2d"),
    ("by", "utm_source"),
    ("trend", "week"),
]
PAGES = {
    "ladder": "ladder?" + urlencode({**_DAYS, "segment": "utm_source"}),
    "people": "people?" + urlencode({**_DAYS, "tier": 3, "outcome": "silent"}),
    "funnel": "funnel?" + urlencode(_FUNNEL),
    "leaps": "leaps",
    "momentum": "momentum",
    "hesitation": "hesitation",
    "value-first": "value-first",
    "cheers": "cheers",
    "walk": "walk",
    "alerts": "alerts",
    "alert": "alerts/a1",
    "health": "health",
}


def main(out: Path) -> None:
    """Write every page into the folder, in few colours: files are small, and letters as sharp."""
    program = shutil.which("chromium")
    if program is None:
        sys.exit("the pictures need Chromium on the PATH: apt-get install -y chromium")
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        with Gate() as gate:
            shown = with_alerts(simulated(folder, gate, visitors=6000, days=timedelta(days=42)))
        browser = Browser(program, folder / "profile")
        try:
            _shoot(Chromium(browser), shown, out)
        finally:
            browser.close()


def _shoot(chromium: Chromium, shown: Shown, out: Path) -> None:
    options = ["--warehouse", shown.folder, "--ladder", shown.ladder_file, "--port", 0]
    with Service("dashboard", *options, cwd=shown.folder, log=shown.folder / "dashboard.log") as service:
        service.until(lambda: "dashboard at " in service.words())
        url = service.words().rpartition("dashboard at ")[2].strip()
        for name, address in PAGES.items():
            for look, (width, height), dark in (
                ("light", WIDE, False),
                ("dark", WIDE, True),
                ("phone", PHONE, False),
            ):
                page = chromium.open(f"{url}/{address}", width=width, dark=dark)
                whole = shown.folder / "whole.png"
                page.screenshot(whole)
                picture = Image.open(io.BytesIO(whole.read_bytes())).convert("RGB")
                picture = picture.crop((0, 0, picture.width, min(picture.height, height)))
                few = picture.quantize(COLOURS, dither=Image.Dither.NONE)
                few.save(out / f"{name}-{look}.png", optimize=True)
                print(out / f"{name}-{look}.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
