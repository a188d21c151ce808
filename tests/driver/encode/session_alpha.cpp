// Alpha that comes in a buffer of its own: NVENC's programming guide wants it as the luma of NV12, with grey chroma.
#include <algorithm>

#include "common/instrument.hpp"
#include "common/text.hpp"
#include "encode/breach.hpp"
#include "encode/session.hpp"

namespace nvsim {

void Session::find_alpha(const Submission& submission, Record& record) {
    if (submission.alpha == nullptr) return;
    Submission of_alpha = submission;
    of_alpha.input = submission.alpha;
    of_alpha.pitch = of_alpha.format = 0;
    Record alpha;
    find_input(of_alpha, alpha);
    if (alpha.source.format != PixelFormat::nv12)
        violate(Status::invalid_param, text("alphaBuffer ", hex(submission.alpha), " is not NV12"));
    record.alpha_surface = alpha.surface;
    record.alpha_in_flight = alpha.in_flight;
}

void Session::read_alpha(Record& record) {
    const cu::Current current(context_);
    const cu::Stream stream = streams_set_ ? input_stream_ : nullptr;
    const int width = record.source.width, height = record.source.height;
    record.alpha = staging_.take(packed_size(PixelFormat::nv12, width, height));
    const bool ok = current.ok && record.alpha != nullptr &&
                    read_surface(record.alpha_surface, width, height, stream, record.alpha->data);
    if (!ok) refuse(Status::map_failed, "the alpha of the picture cannot be read");
    record.alpha->pending = record.alpha_surface.kind != SurfaceSource::host;
    if (record.alpha->pending) cu::calls()->event_record(record.alpha->read, stream);
}

void Session::check_alpha(const Record& record) const {
    constexpr uint8_t grey = 0x80;
    if (record.source.alpha == nullptr) return;
    const uint8_t* chroma = record.source.alpha + static_cast<size_t>(record.source.width * record.source.height);
    const uint8_t* end =
        record.source.alpha + packed_size(PixelFormat::nv12, record.source.width, record.source.height);
    if (std::any_of(chroma, end, [](uint8_t value) { return value != grey; }))
        instrument::violation(name(),
                              text("the chroma of the alpha of picture ", record.source.serial, " is not 0x80"));
}

}  // namespace nvsim
