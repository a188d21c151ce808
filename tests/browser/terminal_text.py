"""What a page with a terminal in it has been sent, as text."""

from __future__ import annotations

import json

from browser.chromium import Page

LISTEN = """
window.sent = "";
window.WebSocket = class extends WebSocket {
    constructor(...given) {
        super(...given);
        const decoder = new TextDecoder();
        this.addEventListener("message", message => {
            if (typeof message.data !== "string") window.sent += decoder.decode(message.data, {stream: true});
        });
    }
};
window.until = (holds) => new Promise(done => {
    const look = () => holds() ? done() : setTimeout(look, 20);
    look();
});
"""


def open_terminal(page: Page, url: str) -> None:
    page.call("Emulation.setFocusEmulationEnabled", enabled=True)
    page.call("Page.addScriptToEvaluateOnNewDocument", source=LISTEN)
    page.go(url)


def wait_for_text(page: Page, text: str) -> None:
    """Escape sequences are left out."""
    page.evaluate(rf"until(() => sent.replace(/\x1b\[[0-9;?]*[a-zA-Z$]/g, '').includes({json.dumps(text)}))")


def press(page: Page, key: str) -> None:
    """As on a keyboard, wherever the page has its focus."""
    page.call("Page.bringToFront")
    page.evaluate("until(() => document.hasFocus() && document.activeElement.tagName === 'TEXTAREA')")
    page.call("Input.dispatchKeyEvent", type="keyDown", key=key, text=key)
    page.call("Input.dispatchKeyEvent", type="keyUp", key=key)
