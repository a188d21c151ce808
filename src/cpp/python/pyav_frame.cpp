#include "python/pyav_frame.hpp"

#include <string>

#include "core/error.hpp"

namespace py = pybind11;

namespace pdum::nvenc {
namespace {

// FFmpeg's names of the formats that have the same planes as ours.
const char* ffmpeg_name(PixelFormat format) {
    switch (format) {
        case PixelFormat::nv12: return "nv12";
        case PixelFormat::p010: return "p010le";
        case PixelFormat::nv16: return "nv16";
        case PixelFormat::p210: return "p210le";
        default: return "";
    }
}

std::string name_of_format(const py::handle& frame) {
    const py::object format = py::getattr(frame, "sw_format", py::none());  // from PyAV 18 on
    return (format.is_none() ? frame.attr("format") : format).attr("name").cast<std::string>();
}

}  // namespace

bool read_pyav_frame(const py::handle& frame, const FrameSpec& spec, FrameView& view) {
    if (!py::hasattr(frame, "pict_type") || !py::hasattr(frame, "planes")) return false;
    if (spec.rgb) {
        fail(ErrorKind::invalid_frame, "Expected an array of RGB, got a frame of PyAV.",
             "Give frame.to_ndarray(format='rgb24'), or make the encoder for the frame's own format.");
    }
    const FormatTraits& format = *spec.format;
    const auto width = frame.attr("width").cast<uint32_t>(), height = frame.attr("height").cast<uint32_t>();
    const std::string name = name_of_format(frame);
    if (width != spec.width || height != spec.height || name != ffmpeg_name(format.format)) {
        fail(ErrorKind::invalid_frame,
             "Expected format '" + std::string(format.name) + "' and " + std::to_string(spec.width) + "x" +
                 std::to_string(spec.height) + ", got a frame of PyAV of format '" + name + "' and " +
                 std::to_string(width) + "x" + std::to_string(height) + ".",
             "Use frame.reformat(), or make an encoder for the frame's format and size.");
    }
    const auto planes = frame.attr("planes").cast<py::tuple>();
    const auto luma = planes[0].attr("buffer_ptr").cast<uintptr_t>();
    const auto chroma = planes[1].attr("buffer_ptr").cast<uintptr_t>();
    const auto pitch = planes[0].attr("line_size").cast<size_t>();
    const bool on_gpu = frame.attr("format").attr("name").cast<std::string>() == "cuda";
    if (luma == 0 || chroma == 0 || planes[1].attr("line_size").cast<size_t>() != pitch) {
        fail(ErrorKind::invalid_frame, "The planes of the PyAV frame have no memory, or rows of different lengths.");
    }
    view.memory = on_gpu ? FrameMemory::device : FrameMemory::host;
    view.data = reinterpret_cast<const void*>(luma);
    view.pitch = pitch;
    view.row_bytes = size_t{spec.width} * format.pixel_bytes;
    view.rows = surface_rows(format, spec.height);
    view.chroma_offset = chroma - luma;  // wraps if chroma lies before luma; adding it wraps back
    if (on_gpu) {
        view.order = ProducerOrder::on_stream;
        view.stream = legacy_stream();  // FFmpeg's decoder and filters work there
    }
    return true;
}

}  // namespace pdum::nvenc
