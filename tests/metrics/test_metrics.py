"""The figures for Prometheus, read by Prometheus' own parser."""

from __future__ import annotations

import socket
import threading
from http.client import HTTPConnection
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from hypothesis import given
from hypothesis import strategies as some

from pdum.nvenc import EncoderPool, FileJob, FileSettings, InvalidConfig, events
from pdum.nvenc._metrics.run_metrics import RunMetrics
from pdum.nvenc._metrics.server import MetricsServer
from pdum.nvenc._metrics.text import Metric, exposition
from pdum.nvenc.events import EngineInfo

from clips import make_clip
from loud import need_module

pytestmark = pytest.mark.one_abi

FAST = FileSettings(codec="h264", encoder={"preset": "p1"})


def parsed(text: str) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    """The values of each name, by their labels."""
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in need_module("prometheus_client.parser", "prometheus-client").text_string_to_metric_families(text):
        assert family.documentation
        assert family.type in ("counter", "gauge"), family.name
        for sample in family.samples:
            assert sample.name.startswith("pdum_nvenc_")
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return found


def value(text: str, name: str, **labels: str) -> float:
    return parsed(text)[f"pdum_nvenc_{name}"][tuple(sorted(labels.items()))]


@given(label=some.text(some.characters(exclude_categories=["Cs"], exclude_characters="\r")), number=some.floats(
    allow_nan=False, allow_infinity=False))  # fmt: skip
def test_any_label_and_number(label: str, number: float) -> None:
    metric = Metric("pdum_nvenc_some", "gauge", "A help with a \\ in it.")
    metric.set(number, name=label)
    assert parsed(exposition([metric])) == {"pdum_nvenc_some": {(("name", label),): number}}


def test_a_real_run(tmp_path: Any) -> None:
    """What is served while the run works and after it is what the events say."""
    clips = [make_clip(tmp_path / f"{number}.mkv", 10, seed=number) for number in range(3)]
    jobs = [FileJob(source=clip, destination=tmp_path / f"{clip.stem}.mp4", settings=FAST) for clip in clips]
    jobs.append(FileJob(source=tmp_path / "none.mkv", destination=tmp_path / "none.mp4", settings=FAST))
    seen: list[events.Event] = []
    with MetricsServer(port=0) as server, EncoderPool(backend="software", engines=2) as pool:

        def take(event: events.Event) -> None:
            server.take(event)
            seen.append(event)

        for _ in range(2):
            report = pool.encode_files(jobs, on_event=take)
        text = urlopen(server.url, timeout=10).read().decode()
    assert len(report.errors) == 1
    assert value(text, "jobs_total", state="finished") == 6
    assert value(text, "jobs_total", state="failed") == 2
    assert value(text, "job_failures_total", error="SourceUnreadable") == 2
    frames = parsed(text)["pdum_nvenc_frames_total"]
    assert sum(frames.values()) == 60
    assert {dict(labels)["engine"] for labels in frames} == {"CPU 0", "CPU 1"}
    finished = [event for event in seen if isinstance(event, events.JobFinished)]
    assert value(text, "result_bytes_total") == sum(event.size for event in finished)
    assert [value(text, name) for name in ("runs", "engines", "engines_busy", "jobs_waiting", "jobs_working")] == [
        0
    ] * 5


ENGINES = (EngineInfo(index=0, kind="nvenc", gpu_id=0), EngineInfo(index=1, kind="nvenc", gpu_id=0, number=1))
COMMON: dict[str, Any] = {"at": 1.0, "job": 0, "piece": 0, "first": 0}


def progress(engine: int, frames: int, fps: float = 100.0) -> events.Progress:
    return events.Progress(**COMMON, engine=engine, last=50, frames=frames, fps=fps, job_frames=frames, job_total=50,
                           speed=1.0, eta=None)  # fmt: skip


def test_what_a_run_shows_while_it_works() -> None:
    metrics = RunMetrics()

    def now(name: str, **labels: str) -> float:
        return value(metrics.text(), name, **labels)

    metrics.take(events.RunStarted(at=0.0, engines=ENGINES, jobs=2, started=0.0))
    for job in range(2):
        metrics.take(events.JobQueued(at=0.0, job=job, source="secret.mp4", destination="secret.mkv"))
    assert (now("jobs_waiting"), now("jobs_working"), now("engines"), now("runs")) == (2, 0, 2, 1)
    metrics.take(events.JobPrepared(at=0.0, job=0, frames=50))
    metrics.take(events.PieceStarted(**COMMON, engine=1, last=50))
    metrics.take(progress(1, 20))
    assert (now("jobs_waiting"), now("jobs_working"), now("engines_busy")) == (1, 1, 1)
    label = ENGINES[1].label
    assert now("frames_total", engine=label) == 20
    assert now("engine_frames_per_second", engine=label) == 100
    metrics.take(events.PieceRetried(**COMMON, engine=1, last=50, reason="lost"))
    metrics.take(events.EngineLost(at=2.0, engine=1, reason="gone"))
    assert (now("engines"), now("engines_busy"), now("engines_lost_total"), now("pieces_retried_total")) == (1, 0, 1, 1)
    assert now("frames_total", engine=label) == 20, "a counter never goes back"
    metrics.take(progress(1, 30))
    assert now("frames_total", engine=label) == 20, "a lost engine counts no more"
    metrics.take(events.PieceStarted(**COMMON, engine=0, last=50))
    metrics.take(events.PieceFinished(**COMMON, engine=0, last=50, size=1, seconds=2.5))
    assert now("frames_total", engine=ENGINES[0].label) == 50
    assert now("engine_busy_seconds_total", engine=ENGINES[0].label) == 2.5
    assert "secret" not in metrics.text()


@given(steps=some.lists(some.tuples(some.sampled_from(["start", "progress", "finish", "retry"]), some.integers(0, 50))))
def test_counters_never_go_back(steps: list[tuple[str, int]]) -> None:
    metrics, before = RunMetrics(), 0.0
    metrics.take(events.RunStarted(at=0.0, engines=ENGINES, jobs=1, started=0.0))
    for kind, frames in steps:
        if kind == "start":
            metrics.take(events.PieceStarted(**COMMON, engine=0, last=50))
        elif kind == "progress":
            metrics.take(progress(0, frames))
        elif kind == "finish":
            metrics.take(events.PieceFinished(**COMMON, engine=0, last=frames, size=1, seconds=1.0))
        else:
            metrics.take(events.PieceRetried(**COMMON, engine=0, last=50, reason=""))
        now = value(metrics.text(), "frames_total", engine=ENGINES[0].label)
        assert now >= before
        before = now


def test_other_requests() -> None:
    with MetricsServer(port=0) as server:
        with pytest.raises(HTTPError, match="404"):
            urlopen(server.url.replace("/metrics", "/"), timeout=10)
        connection = HTTPConnection("127.0.0.1", int(server.url.split(":")[2].split("/")[0]), timeout=10)
        connection.request("HEAD", "/metrics")
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (200, b"")
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        connection.close()


def test_a_port_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InvalidConfig, match=rf"Cannot serve metrics at 127\.0\.0\.1:{port}.*Choose another"):
            MetricsServer(port=port)


@pytest.mark.parametrize("port", [-1, 65536, "9464"])
def test_wrong_ports(port: Any) -> None:
    with pytest.raises(InvalidConfig, match="Expected a number from 0 to 65535, got port="):
        MetricsServer(port=port)


def test_nothing_stays_behind() -> None:
    before = set(threading.enumerate())
    server = MetricsServer(port=0)
    server.close()
    server.close()
    assert set(threading.enumerate()) <= before
