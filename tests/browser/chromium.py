"""A real browser for the page tests: Debian's Chromium without a window, driven through its own pipe.

Needs only the browser (``apt-get install -y chromium``): no driver, no port, no network.
"""

from __future__ import annotations

import base64
import json
import os
import select
import subprocess
import time
from functools import cache
from pathlib import Path
from typing import Any

TIMEOUT_S = 30.0

HERE = Path(__file__).parent


@cache
def _axe() -> str:
    """The script of axe-core, in the version that package-lock.json names; npm brings it where it is not yet."""
    script = HERE / "node_modules" / "axe-core" / "axe.min.js"
    wanted = json.loads((HERE / "package.json").read_text())["devDependencies"]["axe-core"]
    if not script.exists() or f"axe v{wanted}" not in script.read_text()[:200]:
        subprocess.run(["npm", "ci", "--ignore-scripts"], cwd=HERE, check=True, capture_output=True, timeout=300)
    return f"{script.read_text()}; undefined"


class Browser:
    """One running Chromium, spoken to in its DevTools protocol over two pipes (its file descriptors 3 and 4)."""

    def __init__(self, program: str, profile: Path) -> None:
        hears, self._out = os.pipe()
        self._in, says = os.pipe()
        # bash moves the pipes to the numbers that the browser expects; root needs --no-sandbox
        self._process = subprocess.Popen(
            [
                "bash",
                "-c",
                f'exec "$0" "$@" 3<&{hears} 4>&{says}',
                program,
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--disable-background-networking",
                "--no-first-run",
                f"--user-data-dir={profile}",
                "--remote-debugging-pipe",
            ],
            pass_fds=(hears, says),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(hears)
        os.close(says)
        self._unread = b""
        self._calls = 0
        self.events: list[dict[str, Any]] = []

    def call(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """Call a DevTools method and return its result; events that arrive meanwhile are kept in ``events``."""
        self._calls += 1
        call: dict[str, Any] = {"id": self._calls, "method": method, "params": params}
        if session is not None:
            call["sessionId"] = session
        os.write(self._out, json.dumps(call).encode() + b"\0")
        while True:
            message = self._read()
            if message.get("id") == self._calls:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                result: dict[str, Any] = message["result"]
                return result
            self.events.append(message)

    def wait_for(self, method: str, session: str) -> None:
        """Read until this event of this page has arrived."""
        while not any(e.get("method") == method and e.get("sessionId") == session for e in self.events):
            self.events.append(self._read())

    def close(self) -> None:
        self.call("Browser.close")
        self._process.wait(TIMEOUT_S)
        os.close(self._in)
        os.close(self._out)

    def _read(self) -> dict[str, Any]:
        deadline = time.monotonic() + TIMEOUT_S
        while b"\0" not in self._unread:
            ready, _, _ = select.select([self._in], [], [], max(0.0, deadline - time.monotonic()))
            part = os.read(self._in, 1 << 20) if ready else b""
            if not part:
                raise RuntimeError("Chromium said nothing more: it has stopped or hangs")
            self._unread += part
        line, _, self._unread = self._unread.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        return message


class Page:
    """One opened page, with all that it asked the network for and complained about."""

    def __init__(self, browser: Browser, place: Path | str, width: int, dark: bool, zone: str, scripts: bool) -> None:
        self._browser = browser
        target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        self._session: str = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Emulation.setTimezoneOverride", timezoneId=zone)
        self.call("Emulation.setScriptExecutionDisabled", value=not scripts)
        self.call("Page.navigate", url=place if isinstance(place, str) else place.as_uri())
        self._wait_for_numbers()

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        return self._browser.call(method, self._session, **params)

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page, as JSON; of a promise, what it comes to."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def follow(self, expression: str) -> None:
        """Do what leads to another page, and wait for it."""
        self._browser.events.clear()
        self.evaluate(expression)
        self._wait_for_numbers()

    def _wait_for_numbers(self) -> None:
        """Until it is loaded, and no page any more that says that an answer is being found."""
        self._browser.wait_for("Page.loadEventFired", self._session)
        self.wait_for("document.readyState === 'complete' && document.getElementById('counting') === null")

    def wait_for(self, condition: str) -> None:
        """Until this JavaScript expression is true, also over pages."""
        end = time.monotonic() + TIMEOUT_S
        while True:
            try:
                if self.evaluate(condition):
                    return
            except RuntimeError:  # the page it was asked of has just gone
                pass
            if time.monotonic() > end:
                raise RuntimeError(f"never true: {condition}")
            time.sleep(0.02)

    def faults(self) -> list[str]:
        """What axe-core calls serious or critical, with the first place of each."""
        self.evaluate(_axe())
        found: list[dict[str, Any]] = self.evaluate(
            "axe.run(document, {resultTypes: ['violations']}).then((told) => told.violations"
            ".filter((one) => ['serious', 'critical'].includes(one.impact))"
            ".map((one) => ({id: one.id, help: one.help, place: one.nodes[0].target.join(' '),"
            " html: one.nodes[0].html.slice(0, 200)})))"
        )
        return [f"{one['id']}: {one['help']}: {one['place']}: {one['html']}" for one in found]

    def screenshot(self, path: Path) -> None:
        """The whole page as PNG."""
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    @property
    def requests(self) -> list[str]:
        """The addresses it asked for, itself first."""
        sent = self._events("Network.requestWillBeSent")
        return [event["request"]["url"] for event in sent]

    @property
    def complaints(self) -> list[str]:
        """Uncaught errors, what the console was told, and what the browser logged (a broken policy, say)."""
        kinds = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")
        return [json.dumps(event) for kind in kinds for event in self._events(kind)]

    def _events(self, method: str) -> list[dict[str, Any]]:
        of_page = [e for e in self._browser.events if e.get("sessionId") == self._session]
        return [event["params"] for event in of_page if event["method"] == method]


class Chromium:
    """Opens files and addresses, each as its own viewer: how wide the window is, in which zone, in dark or light."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser

    def open(
        self, place: Path | str, *, width: int = 1100, dark: bool = False, zone: str = "UTC", scripts: bool = True
    ) -> Page:
        return Page(self._browser, place, width, dark, zone, scripts)
