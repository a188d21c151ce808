// Sessions that find motion and encode nothing. The rules are those of NVENC's programming guide on the motion
// estimation mode.
#include "common/instrument.hpp"
#include "common/text.hpp"
#include "encode/breach.hpp"
#include "encode/motion.hpp"
#include "encode/session.hpp"
#include "recordings/statuses.hpp"

namespace nvsim {

void* Session::create_vectors() {
    if (!setup_.motion_only) refuse(recorded::create_mv_buffer, "the session has no enableMEOnlyMode");
    const auto [out, handle] = bitstreams_.add(number_);
    out->handle = handle;
    out->is_vectors = true;
    return handle;
}

void Session::destroy_vectors(void* handle) {
    Bitstream* out = bitstreams_.find(handle, number_);
    if (out == nullptr || !out->is_vectors)
        violate(recorded::destroy_null_mv_buffer, text(hex(handle), " is no buffer for vectors"));
    destroy_bitstream(handle);
}

// The search is done at once, on the client's thread.
void Session::estimate(void* input, void* reference, void* vectors, uint32_t width, uint32_t height) {
    if (input == nullptr || reference == nullptr || vectors == nullptr)
        refuse(recorded::motion_only, "inputBuffer, referenceFrame or mvBuffer is null");
    if (!setup_.motion_only) violate(Status::invalid_call, "motion is looked for without enableMEOnlyMode");
    const PictureFormat& format = setup_.settings.stream.format;
    if (width != static_cast<uint32_t>(format.width) || height != static_cast<uint32_t>(format.height))
        violate(Status::invalid_param, text("motion of a picture of ", width, "x", height, " in a session of ",
                                            format.width, "x", format.height));
    Bitstream& out = bitstream(vectors);
    if (!out.is_vectors) violate(Status::invalid_param, "mvBuffer was not made by nvEncCreateMVBuffer");
    if (out.state != Bitstream::idle)
        violate(Status::invalid_call, text("mvBuffer ", hex(vectors), " is used again before its vectors were taken"));
    out.unit.data = motion_data(codec(), luma_of(input), luma_of(reference), setup_.searches_intra);
    out.view = {};
    out.view.data = out.unit.data.data();
    out.view.size = static_cast<uint32_t>(out.unit.data.size());
    out.state = Bitstream::ready;
}

LumaPlane Session::luma_of(void* input) {
    Submission submission;
    submission.input = input;
    Record record;
    find_input(submission, record);
    const SourcePicture& source = record.source;
    const auto width = static_cast<size_t>(source.width), height = static_cast<size_t>(source.height);
    std::vector<uint8_t> packed(packed_size(source.format, width, height));
    const cu::Current current(context_);
    const cu::Stream stream = streams_set_ ? input_stream_ : nullptr;
    const bool ok = current.ok && read_surface(record.surface, source.width, source.height, stream, packed.data()) &&
                    cu::calls()->stream_wait(stream) == 0;
    if (!ok) refuse(Status::map_failed, "the picture cannot be read from the device");
    LumaPlane luma{{}, source.width, source.height};
    const size_t step = bit_depth_of(source.format) > 8 ? 2 : 1;
    for (size_t i = 0; i < width * height; ++i) luma.samples.push_back(packed[i * step + step - 1]);
    return luma;
}

}  // namespace nvsim
