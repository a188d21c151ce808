"""Headless Chromium for tests, driven through the pipes of its DevTools protocol: no driver program, no port.

    with Chromium(profile) as browser, browser.page("http://127.0.0.1:8080/") as page:
        page.evaluate("document.title")     # a promise is awaited

Each browser has a profile of its own, resolves no name, and is ended by its process id.
"""

from __future__ import annotations

import json
import os
import subprocess
from base64 import b64decode
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Condition, Thread
from typing import Any

from loud import need_program

Answer = dict[str, Any]

PATIENCE = 120.0
"""Seconds after which a browser that does not answer fails the test, on a busy machine too."""
FLAGS = (
    "--headless=new",
    "--no-sandbox",  # root has none
    "--remote-debugging-pipe",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--no-first-run",
    "--no-default-browser-check",
    "--no-proxy-server",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--disable-breakpad",
    "--disable-renderer-backgrounding",
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-features=Translate,MediaRouter,OptimizationHints,PreloadTopChromeWebUI",
    "--autoplay-policy=no-user-gesture-required",
    "--mute-audio",
    "--force-color-profile=srgb",
    "--hide-scrollbars",
    "--password-store=basic",
)


NO_REAL_TIME = ("setpriv", "--bounding-set=-sys_nice", "--inh-caps=-sys_nice")
"""As root, Chromium gives threads real-time priority, and one that works all the time stops the whole machine."""


class BrowserError(Exception):
    """The browser refused a command, a script threw, or the browser is gone."""


class Chromium:
    """One browser process. Close it, or use it in a `with` statement."""

    def __init__(self, profile: Path) -> None:
        program = need_program("chromium", "chromium")
        commands, self._commands = os.pipe()
        self._events, events = os.pipe()
        log = profile / "chromium.log"
        plain = NO_REAL_TIME if os.geteuid() == 0 else ()
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                # The protocol's pipes are the descriptors 3 and 4.
                ["bash", "-c", f'exec 3<&{commands} 4>&{events} "$@"', "bash", *plain, program, *FLAGS,
                 f"--user-data-dir={profile}", "about:blank"],
                pass_fds=(commands, events), stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                env={**os.environ, "HOME": str(profile)},
            )  # fmt: skip
        os.close(commands)
        os.close(events)
        self._changed = Condition()
        self._answers: dict[int, Answer] = {}
        self._complaints: dict[str, list[str]] = {}
        self._last = 0
        self._is_gone = False
        self._reader = Thread(target=self._read, name="chromium", daemon=True)
        self._reader.start()

    def __enter__(self) -> Chromium:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Asks the browser to end, and kills it if it does not."""
        if self._process.poll() is None:
            self._send("Browser.close", {}, None)
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        os.close(self._commands)
        os.close(self._events)

    @contextmanager
    def page(self, url: str = "about:blank", width: int = 1280, height: int = 800) -> Iterator[Page]:
        """A new page, which is closed at the end of the block."""
        target = self.call("Target.createTarget", {"url": "about:blank"})["targetId"]
        session = self.call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        page = Page(self, session)
        try:
            page.call("Runtime.enable")
            page.call("Page.enable")
            page.resize(width, height)
            if url != "about:blank":
                page.go(url)
            yield page
        finally:
            self.call("Target.closeTarget", {"targetId": target})

    def call(self, method: str, parameters: Answer | None = None, session: str | None = None) -> Answer:
        """Sends a command of the protocol and waits for its result."""
        number = self._send(method, parameters or {}, session)
        with self._changed:
            arrived = self._changed.wait_for(lambda: self._is_gone or number in self._answers, PATIENCE)
            answer = self._answers.pop(number, None)
        if answer is None:
            raise BrowserError(f"{method}: " + ("no answer" if not arrived else "the browser has ended"))
        if "error" in answer:
            raise BrowserError(f"{method}: {answer['error']['message']}")
        result: Answer = answer["result"]
        return result

    def complaints(self, session: str) -> list[str]:
        """What the page wrote as errors, and what it threw without catching it."""
        with self._changed:
            return list(self._complaints.get(session, ()))

    def _send(self, method: str, parameters: Answer, session: str | None) -> int:
        with self._changed:
            self._last += 1
            message = {"id": self._last, "method": method, "params": parameters}
            if session is not None:
                message["sessionId"] = session
            rest = memoryview(json.dumps(message).encode() + b"\0")
            while rest:
                rest = rest[os.write(self._commands, rest) :]
            return self._last

    def _read(self) -> None:
        parts: deque[bytes] = deque()
        while data := os.read(self._events, 1 << 16):
            *ends, rest = data.split(b"\0")
            for end in ends:
                self._take(json.loads(b"".join(parts) + end))
                parts.clear()
            parts.append(rest)
        with self._changed:
            self._is_gone = True
            self._changed.notify_all()

    def _take(self, message: Answer) -> None:
        with self._changed:
            if "id" in message:
                self._answers[message["id"]] = message
                self._changed.notify_all()
            elif (text := complaint(message)) is not None:
                self._complaints.setdefault(message.get("sessionId", ""), []).append(text)


class Page:
    """One page of the browser."""

    def __init__(self, browser: Chromium, session: str) -> None:
        self._browser = browser
        self._session = session

    def call(self, method: str, **parameters: Any) -> Answer:
        return self._browser.call(method, parameters, self._session)

    def go(self, url: str) -> None:
        """Loads the address and waits until its scripts have run."""
        answer = self.call("Page.navigate", url=url)
        if "errorText" in answer:
            raise BrowserError(f"{url}: {answer['errorText']}")
        self.evaluate(
            "new Promise(done => document.readyState === 'complete' ? done()"
            " : addEventListener('load', () => done(), {once: true}))"
        )

    def evaluate(self, script: str) -> Any:
        """The value of an expression. A promise is awaited; what it throws is a `BrowserError`."""
        answer = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise BrowserError(thrown(answer["exceptionDetails"]))
        return answer["result"].get("value")

    def resize(self, width: int, height: int, scale: float = 1) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=False
        )

    def screenshot(self) -> bytes:
        """What the page shows, as PNG."""
        return b64decode(self.call("Page.captureScreenshot", format="png")["data"])

    def complaints(self) -> list[str]:
        return self._browser.complaints(self._session)


def thrown(details: Answer) -> str:
    exception = details.get("exception", {})
    return str(exception.get("description") or exception.get("value") or details.get("text"))


def complaint(message: Answer) -> str | None:
    """The text of an event about an error in a page."""
    match message.get("method"):
        case "Runtime.exceptionThrown":
            return thrown(message["params"]["exceptionDetails"])
        case "Runtime.consoleAPICalled" if message["params"]["type"] == "error":
            return " ".join(str(one.get("value", one.get("description"))) for one in message["params"]["args"])
    return None
