"""examples/live in a real browser: the pixels on the page's canvas are those of the pictures that the server drew."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from browser.chromium import Chromium, Page
from browser.live_site import Site, live_site, picture, pictures, told, watch
from pdum.nvenc import NvencError

from simulator import Simulator

SIZE = (328, 184)
"""The largest picture. Neither number is a multiple of 16, so the encoder has to crop."""
WINDOW, WIDER = (900, 420), (900, 320)
"""Sizes of the page. The picture gets the shape that the page has room for."""
BACKENDS = ["nvenc", "software"]


@pytest.fixture(autouse=True)
def nothing_fails_in_the_server(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    assert [record.getMessage() for record in caplog.get_records("call") if record.levelno >= logging.ERROR] == []


@pytest.fixture
def machine(simulator: Simulator) -> Iterator[None]:
    with simulator.machine(gpus=["RTX 4090"], backend="codec"):
        yield


@contextmanager
def opened(chromium: Chromium, site: Site) -> Iterator[Page]:
    """A page of the site that has drawn a picture of its own shape. It must not complain until it is closed."""
    with chromium.page(site.url, *WINDOW) as page:
        watch(page)
        picture(page, "fills")
        yield page
        assert page.complaints() == []


DROP = "document.getElementById('drop').click()"
REPAIRED = "packet => packet.repairs >= 0 || packet.keyframe"


@pytest.mark.parametrize("codec", ["h264", "av1"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_the_right_pixels_arrive(machine: None, chromium: Chromium, backend: str, codec: str) -> None:
    with live_site(SIZE, backend=backend, codec=codec) as site, opened(chromium, site) as page:
        found = [picture(page) for _ in range(4)]
        numbers = [one.number for one in found]
        assert numbers == sorted(set(numbers))
        assert all(one.is_right for one in found)
        assert site.show.live.statistics.backend == backend


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_picture_has_the_size_of_the_window(machine: None, chromium: Chromium, backend: str) -> None:
    with live_site(SIZE, backend=backend) as site, opened(chromium, site) as page:
        before = picture(page)
        page.resize(*WIDER)
        after = picture(page, "fills")
        assert after.keyframe
        assert after.size == site.show.size
        assert after.size[1] < before.size[1]
        assert after.is_right
        assert picture(page).is_right, "without a key frame too"


def needed_key_frame(page: Page, site: Site) -> bool:
    """Loses a packet. Returns whether its repair took a key frame."""
    shown = [picture(page, "packet => packet.seq > 5")]
    before = site.show.live.statistics
    shown += pictures(page, REPAIRED, after=DROP)
    by_key_frame: bool = shown[-1].keyframe
    shown += [picture(page) for _ in range(3)]
    assert all(one.is_right for one in shown)
    assert len(shown) < shown[-1].seq - shown[0].seq + 1, "what was lost, and what needs it, is not shown"
    after = site.show.live.statistics
    counted = after.key_frames - before.key_frames, after.repaired - before.repaired
    assert counted == ((1, 0) if by_key_frame else (0, 1))
    return by_key_frame


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_lost_packet_is_repaired(machine: None, chromium: Chromium, backend: str) -> None:
    """On a busy machine, a page may report a loss too late to be repaired without a key frame, but not always."""
    with live_site(SIZE, backend=backend) as site, opened(chromium, site) as page:
        if backend == "software":
            assert needed_key_frame(page, site)
        else:
            assert any(not needed_key_frame(page, site) for _ in range(10))


def test_a_page_comes_back_to_a_new_server(machine: None, chromium: Chromium) -> None:
    with live_site(SIZE, backend="software") as site, opened(chromium, site) as page:
        site.stop()
        page.evaluate("element('status', one => one.dataset.state === 'failed')")
        page.evaluate("window.first = pictures(packet => true), 0")  # before any picture comes
        site.start()
        (first,) = (told(found) for found in page.evaluate("first"))
        assert first.is_right, "it may be the key frame or, on a busy machine, one that follows"
        assert picture(page).is_right


def test_a_page_says_why_the_stream_has_ended(
    machine: None, chromium: Chromium, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise NvencError("The card has gone. Look for it.")

    with live_site(SIZE, backend="software") as site, opened(chromium, site) as page:
        page.evaluate("window.ended = element('status', one => one.textContent.startsWith('closed')), 0")
        monkeypatch.setattr(site.show.live, "submit", fail)
        assert page.evaluate("ended") == "closed: The card has gone. Look for it."
        assert page.evaluate("fetch('/stream').then(answer => answer.status)") == 503
        site.stop()
        site.start()
        assert picture(page).is_right


def test_two_viewers_share_an_encoder(machine: None, chromium: Chromium) -> None:
    with live_site(SIZE, backend="nvenc") as site, opened(chromium, site) as one:
        picture(one, "packet => packet.seq > 3")
        with opened(chromium, site) as other:
            assert one.evaluate("state(found => found.viewers === 2)")["opened"] == 1
            assert all(picture(page).is_right for page in (one, other))
            # What one of them loses, the other one still has.
            assert all(shown.is_right for shown in pictures(one, REPAIRED, after=DROP))
            assert picture(other).is_right
        assert one.evaluate("state(found => found.viewers === 1)")
        assert picture(one).is_right


def set_link(page: Page, step: int) -> None:
    page.evaluate(
        f"(() => {{ const link = document.getElementById('link'); link.value = {step};"
        " link.dispatchEvent(new Event('input')); })()"
    )


@pytest.mark.slow  # it takes a busy machine for a slow link
def test_a_slow_link_makes_the_encoder_thrifty(machine: None, chromium: Chromium) -> None:
    with live_site(SIZE, backend="nvenc", max_in_flight=8, min_bitrate=100_000) as site, opened(chromium, site) as page:
        start = page.evaluate("state(found => found.bitrate > 0)")
        set_link(page, 18)  # 0.56 Mbit/s
        slow = page.evaluate(f"state(found => found.link < 1e6 && found.bitrate < {start['bitrate'] / 3})")
        assert slow["link"] == pytest.approx(0.562e6, rel=0.01)
        picture(page)
        set_link(page, 60)
        fast = page.evaluate(f"state(found => found.link === null && found.bitrate > {slow['bitrate'] * 1.2})")
        assert fast["opened"] == 1
        assert picture(page, "packet => !packet.keyframe").is_right


def test_a_browser_without_the_codec_says_so(machine: None, chromium: Chromium) -> None:
    """Debian's Chromium decodes no HEVC without a GPU."""
    with live_site(SIZE, backend="nvenc", codec="hevc") as site, chromium.page(site.url, *WINDOW) as page:
        watch(page)
        notice = page.evaluate("element('notice', one => !one.hidden)")
        assert notice.startswith("This browser cannot decode hvc1.")
