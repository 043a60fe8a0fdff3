"""A real headless Chromium, spoken to over its own debugging protocol: no driver library, no download."""

import base64
import itertools
import json
import shutil
import subprocess
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

FLAGS = """--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
    --disable-component-update --disable-sync --hide-scrollbars --remote-debugging-port=0""".split()  # noqa: SIM905 - as one types them
WAIT_S = 90


class Browser:
    """One page of a browser of its own; `requests` are the addresses it asked for."""

    def __init__(self, width: int = 1360, height: int = 900) -> None:
        program = shutil.which("chromium") or shutil.which("google-chrome")
        if not program:
            pytest.skip("no chromium on this machine: apt-get install chromium")
        self._profile = tempfile.mkdtemp(prefix="pluribus-browser-")
        command = [
            program,
            *FLAGS,
            f"--user-data-dir={self._profile}",
            f"--window-size={width},{height}",
            "about:blank",
        ]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        assert self._process.stderr
        address = next((line.split()[-1] for line in self._process.stderr if "DevTools listening on" in line), "")
        self._stack = ExitStack()
        self._link = self._stack.enter_context(connect(address, max_size=None))
        self._numbers, self._session = itertools.count(1), ""
        self.requests: list[str] = []
        page = next(target for target in self._call("Target.getTargets")["targetInfos"] if target["type"] == "page")
        attached = self._call("Target.attachToTarget", targetId=page["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "DOM"):
            self._call(f"{domain}.enable")
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._call("Emulation.setDeviceMetricsOverride", **size)

    def open(self, url: str) -> None:
        self._call("Page.navigate", url=url)

    def run(self, script: str) -> Any:
        """What a script says, as JSON."""
        told = self._call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    def until(self, script: str) -> Any:
        """Wait for a script to say something that is true."""
        end = time.monotonic() + WAIT_S
        while time.monotonic() < end:
            if found := self.run(f"document.body && ({script})"):
                return found
            time.sleep(0.1)
        pytest.fail(f"never came true: {script}\n{self.run('document.body.innerText')[:3000]}")

    def settle(self) -> None:
        """Wait until the page does nothing more."""
        self.until(
            "!document.querySelector('[data-testid=stStatusWidget], [data-testid=stSpinner], [data-stale=true]')"
        )

    def text(self) -> str:
        found: str = self.run("document.body.innerText")
        return found

    def click(self, script: str) -> None:
        """Click the element that a script names."""
        self.until(f"!!({script})")
        self.run(f"({script}).scrollIntoView({{block: 'center'}})")
        box = self.run(
            f"(() => {{ const b = ({script}).getBoundingClientRect(); return [b.x + b.width/2, b.y + b.height/2] }})()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self._call("Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left", clickCount=1)

    def type(self, script: str, said: str) -> None:
        """Put words in place of those in a field, and press Enter."""
        self.until(f"!!({script})")
        self.run(f"({script}).focus(); ({script}).select()")
        self._call("Input.insertText", text=said)
        for kind in ("keyDown", "keyUp"):
            self._call("Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", windowsVirtualKeyCode=13)

    def upload(self, selector: str, file: Path) -> None:
        """Give a file to an input."""
        self.until(f"!!document.querySelector({json.dumps(selector)})")
        root = self._call("DOM.getDocument")["root"]["nodeId"]
        node = self._call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self._call("DOM.setFileInputFiles", files=[str(file)], nodeId=node)

    def picture(self) -> bytes:
        """What is seen, as PNG."""
        return base64.b64decode(self._call("Page.captureScreenshot", format="png")["data"])

    def close(self) -> None:
        self._stack.close()
        self._process.kill()
        self._process.communicate()
        shutil.rmtree(self._profile, ignore_errors=True)

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        self._link.send(json.dumps(message | ({"sessionId": self._session} if self._session else {})))
        while True:
            told = json.loads(self._link.recv(WAIT_S))
            if told.get("method") == "Network.requestWillBeSent":
                self.requests.append(told["params"]["request"]["url"])
            if told.get("id") == number:
                assert "error" not in told, told
                result: dict[str, Any] = told["result"]
                return result


def button(name: str) -> str:
    """A script for the button that says this."""
    return f"[...document.querySelectorAll('button')].find(b => b.innerText.trim() === {json.dumps(name)})"


def tab(name: str) -> str:
    return f"[...document.querySelectorAll('[role=tab]')].find(b => b.innerText.trim() === {json.dumps(name)})"


def field(name: str) -> str:
    """A script for the visible text field of this label."""
    said = f"[aria-label={json.dumps(name)}]"
    return f"[...document.querySelectorAll('input{said}, textarea{said}')].find(e => e.offsetParent)"
