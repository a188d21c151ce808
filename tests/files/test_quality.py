"""``FileSettings(quality=…)`` looks the same with every codec: each encoder gets its own ``cq`` for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from files.runner import HARDWARE, SOFTWARE
from media_samples import sample
from pdum.nvenc import EncoderPool, FileJob, FileSettings, FileTask, InvalidConfig
from pdum.nvenc._config.quality_scale import DEFAULT, cq_for

from simulator import Simulator

CODECS = ("h264", "hevc", "av1")
SOURCE = "ntsc-film"


@pytest.fixture
def config_of(folder: Path) -> Any:
    """The configuration that an encoder gets for a sample."""

    def config(name: str = "a.mkv", engine: Any = SOFTWARE, source: str = SOURCE, **settings: Any) -> Any:
        job = FileJob(source=sample(source), destination=folder / name, settings=FileSettings(**settings))
        task = FileTask(job, engine.kind)
        try:
            task.prepare(1)
            return task.config(engine)
        finally:
            task.abandon(False)

    return config


@pytest.mark.parametrize("codec", CODECS)
def test_each_codec_gets_its_own_cq(config_of: Any, codec: str) -> None:
    assert config_of(codec=codec, quality=20).cq == cq_for(20, codec, "software")
    assert config_of(codec=codec).cq == cq_for(DEFAULT, codec, "software")
    assert config_of(codec=codec, encoder={"max_bitrate": 900_000}).cq == cq_for(DEFAULT, codec, "software")


@pytest.mark.parametrize("codec", CODECS)
def test_hardware_gets_its_own_cq(config_of: Any, simulator: Simulator, codec: str) -> None:
    with simulator.machine(gpus=["RTX 4090"]):
        assert config_of(engine=HARDWARE, codec=codec, quality=20).cq == cq_for(20, codec, "nvenc")


@pytest.mark.parametrize(
    ("encoder", "cq"),
    [({"cq": 31}, 31), ({"qp": 30}, None), ({"bitrate": 500_000}, None), ({"tuning": "lossless"}, None)],
)
def test_other_ways_to_say_how_many_bits_there_are_stay(config_of: Any, encoder: dict[str, Any], cq: Any) -> None:
    assert config_of(codec="h264", encoder=encoder).cq == cq


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"quality": 0}, "Expected a quality from 1 (best) to 63, got quality=0."),
        ({"quality": True}, "got quality=True."),
        ({"quality": 28, "encoder": {"cq": 20}}, "quality=28 does not work with cq: "),
        ({"quality": 28, "encoder": {"qp": 0}}, "quality=28 does not work with qp: "),
        ({"quality": 28, "encoder": {"bitrate": 5}}, "quality=28 does not work with bitrate: "),
        ({"quality": 28, "encoder": {"tuning": "lossless"}}, "quality=28 does not work with tuning='lossless': "),
    ],
)
def test_contradictions_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidConfig) as caught:
        FileSettings(**settings)
    assert words in str(caught.value)


@pytest.mark.one_abi
@pytest.mark.parametrize(
    ("source", "name", "codec", "depth"),
    [
        (SOURCE, "a.mkv", "h264", 8),
        (SOURCE, "a.webm", "av1", 8),
        ("ten-bit", "a.mp4", "hevc", 10),
        ("ten-bit", "a.webm", "av1", 10),
    ],
)
def test_auto_in_software(config_of: Any, source: str, name: str, codec: str, depth: int) -> None:
    config = config_of(name, source=source)
    assert (config.codec, config.settings()["bit_depth"]) == (codec, depth)
    assert config.cq == cq_for(DEFAULT, codec, "software")


@pytest.mark.one_abi
def test_auto_without_loss_in_software_is_what_players_take(config_of: Any) -> None:
    assert config_of(encoder={"tuning": "lossless"}).codec == "hevc"


@pytest.mark.one_abi
def test_a_pool_takes_a_quality(folder: Path) -> None:
    sizes = {}
    with EncoderPool(backend="software", engines=1) as pool:
        for quality in (20, 44):
            result = pool.encode_file(sample(SOURCE), folder / f"{quality}.mkv", codec="h264", quality=quality)
            sizes[quality] = result.size
    assert sizes[20] > 1.5 * sizes[44]
