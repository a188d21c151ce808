#include "encode/reconstruction.hpp"

#include <cstring>

#include "common/instrument.hpp"
#include "common/text.hpp"
#include "encode/breach.hpp"
#include "encode/codec_backends.hpp"
#include "encode/session.hpp"

namespace nvsim {

namespace {

// Samples of 10 bits lie in the high bits of 16 in a client's memory.
template <typename Sample>
void copy_samples(const uint8_t* from, size_t count, size_t step, uint8_t* to) {
    constexpr int shift = sizeof(Sample) == 2 ? 6 : 0;
    for (size_t i = 0; i < count; ++i) {
        Sample sample;
        std::memcpy(&sample, from + i * sizeof sample, sizeof sample);
        sample = static_cast<Sample>(sample << shift);
        std::memcpy(to + i * step * sizeof sample, &sample, sizeof sample);
    }
}

template <typename Sample>
std::vector<uint8_t> packed_from(PixelFormat format, const std::vector<uint8_t>& planar, const PictureFormat& picture) {
    const PlaneLayout layout = plane_layout(picture);
    const size_t luma = layout.offset[1] / sizeof(Sample);
    const size_t chroma = (layout.offset[2] - layout.offset[1]) / sizeof(Sample);
    std::vector<uint8_t> packed(
        packed_size(format, static_cast<size_t>(picture.width), static_cast<size_t>(picture.height)));
    copy_samples<Sample>(planar.data(), luma, 1, packed.data());
    const bool is_planar = picture.chroma == 3;
    for (size_t plane : {size_t{1}, size_t{2}}) {
        const size_t place = is_planar ? layout.offset[plane] : layout.offset[1] + (plane - 1) * sizeof(Sample);
        copy_samples<Sample>(planar.data() + layout.offset[plane], chroma, is_planar ? 1 : 2, packed.data() + place);
    }
    return packed;
}

}  // namespace

bool is_reconstruction_format(PixelFormat format) {
    switch (format) {
        case PixelFormat::nv12:
        case PixelFormat::p010:
        case PixelFormat::nv16:
        case PixelFormat::p210:
        case PixelFormat::yuv444:
        case PixelFormat::yuv444_10: return true;
        default: return false;
    }
}

std::vector<uint8_t> from_planar(PixelFormat format, const std::vector<uint8_t>& planar, const PictureFormat& picture) {
    return picture.bit_depth > 8 ? packed_from<uint16_t>(format, planar, picture)
                                 : packed_from<uint8_t>(format, planar, picture);
}

bool write_surface(const SurfaceSource& target, int width, int height, const uint8_t* packed, cu::Stream stream) {
    const Planes planes =
        planes_of(target.format, static_cast<size_t>(width), static_cast<size_t>(height), target.pitch, target.rows);
    for (int i = 0; i < planes.count; ++i) {
        const Plane& plane = planes.plane[i];
        cu::Copy2D copy;
        copy.src_type = cu::host;
        copy.src_host = packed;
        copy.src_pitch = plane.row_bytes;
        copy.dst_type = cu::device;
        copy.dst_device = target.pointer + plane.offset;
        copy.dst_pitch = plane.pitch;
        copy.width_bytes = plane.row_bytes;
        copy.height = plane.rows;
        if (cu::calls()->copy(&copy, stream) != 0) return false;
        packed += plane.row_bytes * plane.rows;
    }
    return cu::calls()->stream_wait(stream) == 0;
}

// The rules are those of NVENC's programming guide on reconstructed frames: a buffer of its own usage and of the
// stream's format, which is mapped, and a flag that goes with it.
void Session::take_reconstruction(const Submission& submission, Record& record) {
    const bool is_asked = (submission.flags & output_reconstruction) != 0;
    if (submission.reconstruction == nullptr && !is_asked) return;
    if (!setup_.reconstructs)
        return forbid(Status::success, Status::invalid_param,
                      "a reconstruction is asked for, and the session has no enableReconFrameOutput");
    if (submission.reconstruction == nullptr || !is_asked)
        return forbid(Status::success, Status::invalid_param,
                      "outputReconBuffer and NV_ENC_PIC_FLAG_OUTPUT_RECON_FRAME go together");
    Mapped* mapped = mapped_.find(submission.reconstruction, number_);
    if (mapped == nullptr)
        violate(Status::resource_not_mapped,
                text("outputReconBuffer ", hex(submission.reconstruction), " is not mapped in ", name()));
    const Registration& wanted = mapped->registered->wanted;
    if (wanted.usage != Registration::reconstruction)
        violate(Status::invalid_param, "outputReconBuffer was not registered as NV_ENC_OUTPUT_RECON");
    if (mapped->in_flight > 0 || !mapped->reconstruction.empty())
        violate(Status::invalid_param, text("outputReconBuffer ", hex(submission.reconstruction),
                                            " is given to a second picture before it was unmapped"));
    const PictureFormat& coded = setup_.settings.stream.format;
    if (wanted.width < static_cast<uint32_t>(coded.width) || wanted.height < static_cast<uint32_t>(coded.height))
        violate(Status::invalid_param, "outputReconBuffer is smaller than the picture");
    record.reconstruction = mapped;
    record.source.wants_reconstruction = true;
}

// The client sees nothing of it before it unmaps the buffer.
void Session::keep_reconstruction(Record& record, const std::vector<uint8_t>& planar) {
    Mapped* mapped = std::exchange(record.reconstruction, nullptr);
    if (mapped == nullptr) return;
    --mapped->in_flight;
    if (!planar.empty())
        mapped->reconstruction = from_planar(mapped->registered->format, planar, setup_.settings.stream.format);
}

// Like an input, it may go at any time once the end of the stream was sent.
void Session::write_reconstruction(Mapped& mapped) {
    if (mapped.in_flight > 0 && !ended_ && !device_.lost)
        violate(Status::invalid_call, "outputReconBuffer is unmapped while its picture is in flight");
    for (Record* record : window_)
        if (record->reconstruction == &mapped) record->reconstruction = nullptr;
    if (mapped.reconstruction.empty()) return;
    const Registration& wanted = mapped.registered->wanted;
    const SurfaceSource target{SurfaceSource::device,     nullptr,      wanted.address(), nullptr,
                               mapped.registered->format, wanted.pitch, wanted.height};
    const PictureFormat& coded = setup_.settings.stream.format;
    const cu::Current current(context_);
    // The engine does not wait for work on the legacy stream.
    const cu::Stream stream = streams_set_ ? output_stream_ : nullptr;
    if (!current.ok || !write_surface(target, coded.width, coded.height, mapped.reconstruction.data(), stream))
        refuse(Status::map_failed, "the reconstruction cannot be written to the device");
}

void Session::check_reconstruction_buffer(const Registration& wanted, PixelFormat format) const {
    if (!setup_.reconstructs)
        refuse(Status::invalid_param,
               "NV_ENC_OUTPUT_RECON is registered, and the session has no enableReconFrameOutput");
    if (wanted.type != Registration::device_pointer)
        refuse(Status::unsupported_param, "a reconstruction is written to a device pointer");
    const PictureFormat& coded = setup_.settings.stream.format;
    if (!is_reconstruction_format(format) || chroma_of(format) != coded.chroma ||
        bit_depth_of(format) != coded.bit_depth)
        refuse(Status::unsupported_param,
               text("a reconstruction cannot be written as this buffer format, ", wanted.format));
}

}  // namespace nvsim
