"""The description of a track's samples, from which players open their decoders: the box stsd."""

from __future__ import annotations

import struct
from fractions import Fraction
from typing import TYPE_CHECKING

from . import hevc
from .boxes import box, full_box
from .codec_string import describe
from .hdr_messages import DISPLAY, LIGHT, hdr_in
from .hevc_units import has_two_views, whole_header
from .tracks import OPUS_RATE, PCM_BYTES, AudioTrack, VideoTrack

if TYPE_CHECKING:
    from .stream_description import StreamDescription

VIDEO_ENTRIES = {"h264": ("avc1", "avcC"), "hevc": ("hvc1", "hvcC"), "av1": ("av01", "av1C")}
AUDIO_ENTRIES = {"aac": "mp4a", "opus": "Opus", "pcm": "sowt"}
"""PCM has an older and a newer name. All players know the older one; FFmpeg knows the newer one since 2023."""
DOTS_PER_INCH = 72 << 16
DEPTH = 24
BOTH_EYES, LEFT_EYE = 3, 1
"""Of Apple's stereo boxes: there is a view for each eye, and the left one is for displays that show one."""
AAC_OBJECT, AUDIO_STREAM, PREDEFINED = 0x40, 0x15, 2


def video_entry(track: VideoTrack, first_packet: bytes) -> bytes:
    """The stsd of a video track. The first packet may hold HDR metadata, and what a header leaves out about layers."""
    header = header_of(track, first_packet)
    found = describe(track.codec, header)
    kind, record = VIDEO_ENTRIES[track.codec]
    size = struct.pack(">HH", track.width, track.height)
    head = _entry_head() + bytes(16) + size + struct.pack(">III", DOTS_PER_INCH, DOTS_PER_INCH, 0)
    head += struct.pack(">H32sHh", 1, b"", DEPTH, -1)
    more = [*_layers(track, header, first_packet), *_extensions(track, found, first_packet)]
    return _description(box(kind, head, box(record, found.configuration), *more))


def header_of(track: VideoTrack, first_packet: bytes) -> bytes:
    """The parameter sets of all layers."""
    return whole_header(track.header, first_packet) if track.codec == "hevc" else track.header


def _layers(track: VideoTrack, header: bytes, first_packet: bytes) -> list[bytes]:
    """Of HEVC's layers above the first, and of Apple's "Spatial and Stereo Media" for the views of both eyes.

    If the second layer uses the parameter sets of the first, there is no lhvC: FFmpeg refuses an empty one.
    """
    if track.codec != "hevc":
        return []
    is_stereo = has_two_views(first_packet) if track.stereo is None else track.stereo
    further = hevc.layered_configuration(header)
    return [*([box("lhvC", further)] if further else []), *([_stereo_view()] if is_stereo else [])]


def _stereo_view() -> bytes:
    eyes = full_box("stri", 0, 0, bytes((BOTH_EYES,))), full_box("hero", 0, 0, bytes((LEFT_EYE,)))
    return box("vexu", box("eyes", *eyes))


def _extensions(track: VideoTrack, found: StreamDescription, first_packet: bytes) -> list[bytes]:
    made = []
    colour = found.colour if track.colour is None else track.colour.native()
    if colour is not None:
        primaries, transfer, matrix, full = colour
        made.append(box("colr", b"nclx", struct.pack(">HHHB", primaries, transfer, matrix, full << 7)))
    hdr = hdr_in(track.codec, first_packet)
    display = hdr.display if track.mastering_display is None else _mastering(track)
    light = hdr.light if track.content_light is None else LIGHT.pack(*track.content_light.native())
    made += [box(kind, data) for kind, data in (("mdcv", display), ("clli", light)) if data]
    ratio = pixel_shape(track, found)
    return [*made, box("pasp", struct.pack(">II", ratio.numerator, ratio.denominator))] if ratio is not None else made


def pixel_shape(track: VideoTrack, found: StreamDescription) -> Fraction | None:
    return found.sample_aspect_ratio if track.sample_aspect_ratio is None else track.sample_aspect_ratio


def _mastering(track: VideoTrack) -> bytes:
    assert track.mastering_display is not None
    red, green, blue, white, most, least = track.mastering_display.native("hevc")
    return DISPLAY.pack(*green, *blue, *red, *white, most, least)


def audio_entry(track: AudioTrack) -> bytes:
    """The stsd of an audio track."""
    rate = track.rate if track.rate <= 0xFFFF else 0
    head = _entry_head() + bytes(8) + struct.pack(">HHIHH", track.channels, PCM_BYTES * 8, 0, rate, 0)
    extension = b""
    if track.codec == "aac":
        extension = full_box("esds", 0, 0, _elementary_stream(track.description))
    elif track.codec == "opus":
        extension = box("dOps", _opus_description(track.description))
    return _description(box(AUDIO_ENTRIES[track.codec], head, extension))


def _entry_head() -> bytes:
    """Reserved bytes, and which of the file's references holds the data: the first, the file itself."""
    return bytes(6) + struct.pack(">H", 1)


def _description(entry: bytes) -> bytes:
    return full_box("stsd", 0, 0, struct.pack(">I", 1), entry)


def _elementary_stream(config: bytes) -> bytes:
    """AAC's descriptors (ISO/IEC 14496-1), each a tag, a size and its contents."""
    decoder = struct.pack(">BB3xII", AAC_OBJECT, AUDIO_STREAM, 0, 0) + _descriptor(5, config)
    return _descriptor(3, struct.pack(">HB", 0, 0) + _descriptor(4, decoder) + _descriptor(6, bytes((PREDEFINED,))))


def _descriptor(tag: int, body: bytes) -> bytes:
    size = len(body)
    return bytes((tag, size >> 21 & 0x7F | 0x80, size >> 14 & 0x7F | 0x80, size >> 7 & 0x7F | 0x80, size & 0x7F)) + body


def _opus_description(head: bytes) -> bytes:
    """An OpusHead with the bytes of its numbers reversed."""
    channels, skipped, rate, gain, family = struct.unpack("<xBHIhB", head[8:19])
    return struct.pack(">BBHIhB", 0, channels, skipped, rate or OPUS_RATE, gain, family) + head[19:]


def skipped_by_opus(head: bytes) -> int:
    """Samples at the beginning that a decoder discards."""
    return int.from_bytes(head[10:12], "little")
