"""Files with alpha become HEVC with alpha: the colours of the source in one layer, and its alpha in the other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from files.runner import HARDWARE, elsewhere, encode_changed, encode_elsewhere, encode_ranges
from files.runner import run as run_task
from mp4_files import boxes
from pdum.nvenc import (
    EncoderPool,
    FileJob,
    FileSettings,
    Filters,
    InvalidConfig,
    Packet,
    UnsupportedFeature,
    VerificationFailed,
)
from pdum.nvenc._files.task import FileTask
from pdum.nvenc._files.transparency import require_alpha
from pdum.nvenc._media.alpha_plane import alpha_of
from pdum.nvenc._media.decode import frames_from, stretch_frames
from pdum.nvenc._media.decoder import Decoding
from pdum.nvenc._media.filtered_video import FilteredVideo
from pdum.nvenc._media.source import look_through
from pdum.nvenc._media.stretches import Stretches
from stereo_streams import arrays, first_layer_alone, sets_of_second_layer, with_sets
from transparent_clips import (
    FORMS,
    FRAMES,
    HEIGHT,
    OF_WEBM,
    WIDTH,
    WITHOUT_LOSS,
    Pixels,
    alpha_in,
    packets_of,
    shown_colours,
    transparency,
    transparent_clip,
)

from clips import make_clip
from simulator import Simulator

pytestmark = pytest.mark.one_abi

QP: dict[str, Any] = {"qp": 6, "gop": 6}
KEPT: dict[str, Any] = {"alpha": True, **QP}
ENTRY = ("moov", "trak", "mdia", "minf", "stbl", "stsd", "hvc1")
LEFT_OUT = "has an alpha channel, which is left out"


@pytest.fixture
def machine(simulator: Simulator) -> Iterator[Any]:
    with simulator.machine(gpus=["RTX 5090"], backend="codec") as made:
        yield made


def clip(tmp_path: Path, name: str, **more: Any) -> Path:
    return transparent_clip(tmp_path / f"source{FORMS[name].suffix}", FORMS[name], **more)


def off(found: Pixels, wanted: Pixels) -> float:
    return float(np.abs(found.astype(int) - wanted).mean())


def assert_alpha(result: Path, wanted: list[Pixels], most: float = 1.5) -> None:
    found = alpha_in(packets_of(result))
    assert len(found) == len(wanted)
    for number, (seen, wants) in enumerate(zip(found, wanted, strict=True)):
        assert off(seen[: wants.shape[0], : wants.shape[1]], wants) < most, number


def slopes(frames: range = range(FRAMES), width: int = WIDTH, height: int = HEIGHT) -> list[Pixels]:
    return [transparency(number, width, height) for number in frames]


def assert_colours(result: Path, source: Path, numbers: range = range(FRAMES)) -> None:
    wanted, found = shown_colours(source), shown_colours(result)
    assert len(found) == len(numbers)
    for number, seen in zip(numbers, found, strict=True):
        for plane in range(3):
            assert off(seen[plane], wanted[number][plane]) < 2, (number, plane)


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("suffix", ["mov", "mp4"])
def test_colours_and_alpha_are_those_of_the_source(folder: Path, tmp_path: Path, name: str, suffix: str) -> None:
    source, result = clip(tmp_path, name), folder / f"result.{suffix}"
    with EncoderPool() as pool:
        told = pool.encode_file(source, result, segments=2, **KEPT)
    assert told.frames == FRAMES
    assert not [text for text in told.warnings if "alpha channel" in text]
    assert_alpha(result, slopes(), most=1.5 if name in WITHOUT_LOSS else 3)
    assert_colours(result, source)


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("suffix", ["mov", "mp4"])
def test_players_are_told_of_the_alpha(folder: Path, tmp_path: Path, suffix: str) -> None:
    with EncoderPool() as pool:
        pool.encode_file(clip(tmp_path, "PNG"), folder / f"a.{suffix}", **KEPT)
    data = (folder / f"a.{suffix}").read_bytes()
    (record,) = boxes(data, *ENTRY, "hvcC")
    units = arrays(record, 22)
    assert list(units) == [32, 33, 34, 39]
    assert units[39] == [bytes.fromhex("4e01a50400007f9080")]  # alpha_channel_info: straight, of 8 bits, 0 to 255
    assert (units[32][0][2] & 3) << 4 | units[32][0][3] >> 4 == 1, "vps_max_layers_minus1"


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("name", ["FFV1 4:2:0", "VP9"])
def test_colour_and_range_are_kept(folder: Path, tmp_path: Path, name: str) -> None:
    """Of a source in 4:2:0, whose colours go to the encoder as they are: with QP 0 they come out as they were."""
    source = tmp_path / f"bt709{FORMS[name].suffix}"
    with av.open(str(source), "w") as file:
        stream: Any = file.add_stream(FORMS[name].encoder, rate=25, options=dict(FORMS[name].options))
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuva420p"
        context = stream.codec_context
        context.color_primaries = context.color_trc = context.colorspace = 1
        context.color_range = 2
        for number in range(4):
            frame = av.VideoFrame(WIDTH, HEIGHT, "yuva420p")
            for value, plane in zip((40 * number, 90, 240, 0), frame.planes, strict=True):
                np.frombuffer(plane, np.uint8)[:] = value
            frame.color_range, frame.colorspace, frame.pts = 2, 1, number
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    with EncoderPool() as pool:
        told = pool.encode_file(source, folder / "a.mov", alpha=True, qp=0)
    assert told.warnings == ()
    with av.open(str(folder / "a.mov")) as file:
        context = file.streams.video[0].codec_context
        assert (context.color_primaries, context.color_trc, context.colorspace, context.color_range) == (1, 1, 1, 2)
    assert_colours(folder / "a.mov", source, range(4))
    assert_alpha(folder / "a.mov", [np.zeros((HEIGHT, WIDTH), np.uint8)] * 4)


@pytest.mark.usefixtures("machine")
def test_an_odd_size_gets_an_edge_that_players_crop(folder: Path, tmp_path: Path) -> None:
    source = clip(tmp_path, "PNG", size=(161, 99))
    with EncoderPool() as pool:
        told = pool.encode_file(source, folder / "a.mov", **KEPT)
    assert any("161x99 is encoded as 162x100" in text for text in told.warnings)
    found = alpha_in(packets_of(folder / "a.mov"))
    for seen, wants in zip(found, slopes(width=161, height=99), strict=True):
        assert off(seen[:100, :162], np.pad(wants, ((0, 1), (0, 1)), mode="edge")) < 1.5


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("name", ["PNG", "VP9"])
def test_filters_change_colours_and_alpha_alike(folder: Path, tmp_path: Path, name: str) -> None:
    source = clip(tmp_path, name)
    with EncoderPool() as pool:
        pool.encode_file(source, folder / "a.mov", filters=Filters(crop="144:96:32:16", trim="0.12-0.36"), **KEPT)
    wanted = [one[16:112, 32:176] for one in slopes(range(3, 9))]
    assert_alpha(folder / "a.mov", wanted, most=3)


@pytest.mark.parametrize("name", ["ProRes 4444", "QuickTime RLE", "VP9", "FFV1 4:2:2 of 10 bits"])
@pytest.mark.parametrize(
    "given",
    [
        *({"scale": "50%"}, {"rotate": 90}, {"crop": "32:32:0:0"}, {"deinterlace": "always"}, {"fps": "12"}),
        *({"denoise": strength} for strength in ("light", "medium", "strong")),
        *({"vf": "hflip"}, {"vf": "unpremultiply=inplace=1"}),
    ],
    ids=str,
)
def test_usual_filters_keep_alpha(tmp_path: Path, name: str, given: dict[str, Any]) -> None:
    path = clip(tmp_path, name, frames=6)
    source, start = look_through(path, 1, lambda: None, True)
    with closing(start):
        video = FilteredVideo(source, Filters(**given), start.frames, lambda number: frames_from(path, source, number))
    require_alpha(path, video)


@pytest.mark.parametrize("name", ["PNG", *OF_WEBM])
def test_every_stretch_of_a_file_has_alpha(tmp_path: Path, name: str) -> None:
    """Several decoders share a file."""
    path = clip(tmp_path, name)
    source, start = look_through(path, 1, lambda: None, True)
    start.close()
    stretches, found = Stretches(source, 1), []
    assert len(stretches) > 1
    for number in range(len(stretches)):
        decoding = Decoding(1)
        with decoding.opened(path) as container:
            found += [alpha_of(frame) for frame in stretch_frames(container, source, stretches[number], decoding)]
    for seen, wants in zip(found, slopes(), strict=True):
        assert off(seen, wants) < 2


@pytest.mark.usefixtures("machine")
def test_a_filter_that_makes_alpha_makes_up_for_a_source_without_any(folder: Path, tmp_path: Path) -> None:
    source = make_clip(tmp_path / "opaque.mp4", 6)
    with EncoderPool() as pool:
        half = Filters(vf="format=rgba,colorchannelmixer=aa=0.5")
        pool.encode_file(source, folder / "a.mov", filters=half, **KEPT)
    assert_alpha(folder / "a.mov", [np.full((160, 192), 128, np.uint8)] * 6)


@pytest.mark.usefixtures("machine")
def test_wrong_sources_and_filters_are_refused_before_anything_is_written(folder: Path, tmp_path: Path) -> None:
    opaque, wrong = make_clip(tmp_path / "opaque.mp4", 6), clip(tmp_path, "PNG")
    drops = Filters(vf="format=yuv420p")
    with EncoderPool() as pool:
        with pytest.raises(InvalidConfig, match=r"opaque\.mp4: .*an alpha channel.*yuv420p.*colorkey"):
            pool.encode_file(opaque, folder / "a.mov", **KEPT)
        with pytest.raises(InvalidConfig, match=r"without alpha \(yuv420p\) of frames with it \(rgba\)"):
            pool.encode_file(wrong, folder / "a.mov", filters=drops, **KEPT)
        for suffix in ("mkv", "ts"):
            with pytest.raises(InvalidConfig, match=rf"a\.{suffix}' does not work with alpha.*Use \.mov or \.mp4"):
                pool.encode_file(wrong, folder / f"a.{suffix}", **KEPT)
    assert list(folder.iterdir()) == []


@pytest.mark.usefixtures("machine")
def test_a_decoder_that_is_missing_is_told(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PyAV can be built with an FFmpeg that lacks libvpx."""
    source = clip(tmp_path, "VP9")
    monkeypatch.setattr(av, "codecs_available", av.codecs_available - {"libvpx-vp9"})
    with EncoderPool() as pool, pytest.raises(InvalidConfig, match="decoder for vp9 gives the colours"):
        pool.encode_file(source, folder / "a.mov", **KEPT)


def test_two_views_have_no_transparency(tmp_path: Path) -> None:
    settings = FileSettings(encoder=KEPT)
    with pytest.raises(InvalidConfig, match=r"right='.*right\.mov' does not work with alpha=True: two views have no"):
        FileJob(
            source=tmp_path / "left.mov", right=tmp_path / "right.mov", destination=tmp_path / "a.mov",
            settings=settings,
        )  # fmt: skip


@pytest.mark.usefixtures("machine")
def test_hevc_with_alpha_is_a_source_too(folder: Path, tmp_path: Path) -> None:
    first = tmp_path / "first.mov"
    with EncoderPool() as pool:
        pool.encode_file(clip(tmp_path, "PNG"), first, **KEPT)
        told = pool.encode_file(first, folder / "a.mov", codec="hevc", **QP)
        assert [text for text in told.warnings if LEFT_OUT in text]
        pool.encode_file(first, folder / "b.mov", segments=2, **KEPT)
    assert_alpha(folder / "b.mov", slopes())
    assert_colours(folder / "b.mov", first)


@pytest.mark.usefixtures("machine")
def test_colours_that_are_multiplied_already_are_told(folder: Path, tmp_path: Path) -> None:
    """As a file of Apple's encoder may say. With its bits as they are, players would multiply the colours again."""
    first, message = tmp_path / "first.mov", bytes.fromhex("4e01a504")
    with EncoderPool() as pool:
        pool.encode_file(clip(tmp_path, "PNG"), first, **KEPT)
        first.write_bytes(first.read_bytes().replace(message + b"\x00", message + b"\x10"))
        told = pool.encode_file(first, folder / "a.mov", **KEPT)
        divided = Filters(vf="unpremultiply=inplace=1")
        others = [
            pool.encode_file(first, folder / "b.mov", filters=divided, **KEPT),
            pool.encode_file(first, folder / "c.mov", codec="hevc", **QP),
        ]
    assert any("multiplied by alpha already" in text and "unpremultiply" in text for text in told.warnings)
    assert not any("multiplied by alpha already" in text for one in others for text in one.warnings)


@pytest.mark.parametrize("backend", ["nvenc", "software"])
@pytest.mark.parametrize("name", ["PNG", "VP9", "FFV1 4:2:0"])
def test_without_alpha_a_warning_says_what_is_lost(
    simulator: Simulator, folder: Path, tmp_path: Path, name: str, backend: str
) -> None:
    with simulator.machine(gpus=["RTX 5090"], backend="codec"), EncoderPool(backend=backend) as pool:
        told = pool.encode_file(clip(tmp_path, name), folder / "a.mp4", codec="h264", qp=6)
        opaque = pool.encode_file(make_clip(tmp_path / "opaque.mp4", 6), folder / "b.mp4", codec="h264", qp=6)
    assert len([text for text in told.warnings if LEFT_OUT in text and "--alpha" in text]) == 1
    assert not [text for text in opaque.warnings if LEFT_OUT in text]
    assert_colours(folder / "a.mp4", tmp_path / f"source{FORMS[name].suffix}")


@pytest.mark.parametrize("transparent", [True, False])
def test_a_palette_counts_if_it_is_used(tmp_path: Path, transparent: bool) -> None:
    """The frames of every GIF have alpha, as FFmpeg decodes it."""
    from PIL import Image

    pictures = [Image.new("P", (64, 48), number % 3 + 1) for number in range(4)]
    for number, picture in enumerate(pictures):
        picture.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255])
        picture.putpixel((number, 1), 0)
    more: dict[str, Any] = {"transparency": 0} if transparent else {}
    pictures[0].save(tmp_path / "a.gif", save_all=True, append_images=pictures[1:], duration=40, **more)
    source, start = look_through(tmp_path / "a.gif", 1, lambda: None, True)
    start.close()
    assert source.look.gives_alpha
    assert source.look.transparent == transparent


def test_engines_that_cannot_are_refused(simulator: Simulator, folder: Path, tmp_path: Path) -> None:
    source = clip(tmp_path, "PNG")
    with EncoderPool(backend="software") as pool, pytest.raises(UnsupportedFeature, match="does not keep transparency"):
        pool.encode_file(source, folder / "a.mov", **KEPT)
    with (
        simulator.machine(gpus=[{"name": "RTX 5090", "caps": {"SUPPORT_ALPHA_LAYER_ENCODING": 0}}], backend="codec"),
        EncoderPool() as pool,
        pytest.raises(UnsupportedFeature, match="cannot encode HEVC with alpha"),
    ):
        pool.encode_file(source, folder / "a.mov", **KEPT)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"codec": "h264"}, "alpha=True does not work with codec='h264'.*part of HEVC"),
        ({"codec": "av1"}, "alpha=True does not work with codec='av1'"),
        ({"encoder": {"alpha": "yes"}}, "got alpha='yes'"),
        ({"encoder": {"alpha": 0}}, "alpha"),
    ],
)
def test_wrong_settings(more: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidConfig, match=said):
        FileSettings(**{"encoder": {"alpha": True}, **more})


@pytest.mark.usefixtures("machine")
def test_the_share_of_the_bits_is_a_number(folder: Path, tmp_path: Path) -> None:
    source, sizes = clip(tmp_path, "PNG"), []
    for ratio in (1, 15):
        with EncoderPool() as pool:
            pool.encode_file(source, folder / f"{ratio}.mov", alpha=ratio, bitrate=200_000)
        sizes.append([off(*pair) for pair in zip(alpha_in(packets_of(folder / f"{ratio}.mov")), slopes(), strict=True)])
    assert np.mean(sizes[0]) < np.mean(sizes[1])


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("name", ["PNG", *OF_WEBM])
@pytest.mark.parametrize("verify", ["structure", "samples", "full"])
def test_ranges_of_several_engines(folder: Path, tmp_path: Path, name: str, verify: str) -> None:
    task = FileTask(
        FileJob(
            source=clip(tmp_path, name), destination=folder / "a.mov", settings=FileSettings(encoder=KEPT),
            verify=verify,
        ),
        "nvenc",
    )  # fmt: skip
    run_task(task, HARDWARE, lambda frames: [(0, 5), (5, 7), (7, frames)])
    assert_alpha(folder / "a.mov", slopes(), most=3)


@pytest.mark.usefixtures("machine")
def test_pieces_of_an_earlier_run_are_taken_up_only_with_alpha(folder: Path, tmp_path: Path) -> None:
    source = clip(tmp_path, "PNG")

    def task(encoder: dict[str, Any]) -> FileTask:
        settings = FileSettings(codec="hevc", encoder=encoder)
        return FileTask(
            FileJob(source=source, destination=folder / "a.mov", settings=settings, keep_work=True), "nvenc"
        )

    def begin_and_give_up() -> None:
        first = task(KEPT)
        first.prepare(1)
        encode_ranges(first, HARDWARE, [(0, 6)])
        first.abandon(keep=True)

    begin_and_give_up()
    again = task(KEPT)
    assert [tuple(one) for one in again.prepare(1).ranges] == [(6, FRAMES)]
    encode_ranges(again, HARDWARE, [(6, FRAMES)])
    again.finished()
    assert_alpha(folder / "a.mov", slopes())
    begin_and_give_up()
    other = task(QP)
    assert [tuple(one) for one in other.prepare(1).ranges] == [(0, FRAMES)]
    other.abandon(keep=False)


@pytest.mark.usefixtures("machine")
def test_the_quality_is_searched_by_the_colours(folder: Path, tmp_path: Path) -> None:
    with EncoderPool() as pool:
        pool.encode_file(clip(tmp_path, "PNG"), folder / "a.mov", alpha=True, target="ssim=0.95")
        pool.encode_file(clip(tmp_path, "PNG"), folder / "b.mov", alpha=True, max_size=60_000)
    assert_alpha(folder / "a.mov", slopes(), most=12)
    assert (folder / "b.mov").stat().st_size <= 60_000


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("verify", ["samples", "full"])
@pytest.mark.parametrize("place", [0, 3, 9])
def test_pictures_without_alpha_are_found(folder: Path, tmp_path: Path, verify: str, place: int) -> None:
    """Samples are the first packets. The colours are whole."""
    job = FileJob(
        source=clip(tmp_path, "PNG"), destination=folder / "a.mov", settings=FileSettings(encoder=KEPT), verify=verify
    )
    task = FileTask(job, "nvenc")
    encode_changed(task, lambda packet, _: first_layer_alone(packet.data) if packet.seq == place else packet.data)
    if verify == "samples" and place > 4:
        task.finished()
        return
    with pytest.raises(VerificationFailed, match=f"packet {place} has no alpha"):
        task.finished()
    task.abandon(keep=False)


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("suffix", ["mov", "mp4"])
def test_parameter_sets_of_alpha_have_a_box_of_their_own(folder: Path, tmp_path: Path, suffix: str) -> None:
    """The simulated driver has one for both layers. Others may not, and say so in packets alone."""
    path = folder / f"a.{suffix}"
    task = FileTask(
        FileJob(source=clip(tmp_path, "PNG"), destination=path, settings=FileSettings(encoder=KEPT)), "nvenc"
    )

    def with_further(packet: Packet, header: bytes) -> bytes:
        return with_sets(packet.data, sets_of_second_layer(header)) if packet.keyframe else packet.data

    sets = sets_of_second_layer(encode_changed(task, with_further))
    task.finished()
    (further,) = boxes(path.read_bytes(), *ENTRY, "lhvC")
    assert [unit for units in arrays(further, 5).values() for unit in units] == sets
    assert list(arrays(boxes(path.read_bytes(), *ENTRY, "hvcC")[0], 22)) == [32, 33, 34, 39]
    assert_alpha(path, slopes())


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("name", ["PNG", "VP9"])
def test_other_machines_keep_it_too(folder: Path, tmp_path: Path, name: str) -> None:
    job = FileJob(source=clip(tmp_path, name), destination=folder / "a.mov", settings=FileSettings(encoder=KEPT))
    task = FileTask(job, "nvenc")
    task.prepare(2)
    for first, last in ((0, 5), (5, FRAMES)):
        task.adopt(encode_elsewhere(elsewhere(task, HARDWARE), HARDWARE, first, last))
    task.finish()
    assert_alpha(folder / "a.mov", slopes(), most=3)
