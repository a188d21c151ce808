// What the library exports: NVIDIA's functions, and the control of the simulated driver.
#include <atomic>

#include "common/control.hpp"
#include "decode/caps.hpp"
#include "decode/context_lock.hpp"
#include "decode/create_info.hpp"
#include "decode/decoder.hpp"
#include "decode/entry.hpp"
#include "decode/machine.hpp"
#include "decode/parser.hpp"

namespace nvsim::decode {
namespace {

const Library library(
    "decode", [](const Config& next) { return Machine::instance().obstacle(next); },
    [](const Config& config) { Machine::instance().apply(config); }, [] { return Machine::instance().live(); });

template <typename T>
T& given(T* pointer, const char* what) {
    if (pointer == nullptr) violate(Status::invalid_value, what, "the pointer is null");
    return *pointer;
}

Machine& machine() { return Machine::instance(); }

std::atomic<int> created{0};

}  // namespace
}  // namespace nvsim::decode

using namespace nvsim::decode;

NVSIM_CUVID(cuvidGetDecoderCaps, (CUVIDDECODECAPS * caps), (caps)) {
    CUVIDDECODECAPS& asked = given(caps, "CUVIDDECODECAPS");
    void* context = nullptr;
    const Device& device = machine().current_device(context);
    CUVIDDECODECAPS answer{};
    answer.eCodecType = asked.eCodecType;
    answer.eChromaFormat = asked.eChromaFormat;
    answer.nBitDepthMinus8 = asked.nBitDepthMinus8;
    const auto found = capability(device.gpu, asked.eCodecType, asked.eChromaFormat, asked.nBitDepthMinus8 + 8);
    if (found) {
        answer.bIsSupported = 1;
        answer.nNumNVDECs = static_cast<unsigned char>(device.gpu.decoders);
        answer.nOutputFormatMask = found->output_formats;
        answer.nMaxWidth = found->max_width;
        answer.nMaxHeight = found->max_height;
        answer.nMaxMBCount = found->max_macroblocks;
        answer.nMinWidth = found->min_width;
        answer.nMinHeight = found->min_height;
    }
    asked = answer;
    return Status::success;
}

NVSIM_CUVID(cuvidCreateDecoder, (CUvideodecoder * decoder, CUVIDDECODECREATEINFO* info), (decoder, info)) {
    CUvideodecoder& out = given(decoder, "CUvideodecoder");
    const CUVIDDECODECREATEINFO& wanted = given(info, "CUVIDDECODECREATEINFO");
    void* context = nullptr;
    Device& device = machine().current_device(context);
    if (device.lost) return Status::unknown;
    if (wanted.vidLock != nullptr) machine().locks.find(wanted.vidLock);
    check_create_info(device, wanted);
    out = machine().decoders.add(std::make_shared<Decoder>(device, ++created, context, wanted));
    return Status::success;
}

NVSIM_CUVID(cuvidDestroyDecoder, (CUvideodecoder decoder), (decoder)) {
    machine().decoders.find(decoder)->close();
    machine().decoders.remove(decoder);
    return Status::success;
}

NVSIM_CUVID(cuvidDecodePicture, (CUvideodecoder decoder, CUVIDPICPARAMS* picture), (decoder, picture)) {
    machine().decoders.find(decoder)->decode(given(picture, "CUVIDPICPARAMS"));
    return Status::success;
}

NVSIM_CUVID(cuvidGetDecodeStatus, (CUvideodecoder decoder, int index, CUVIDGETDECODESTATUS* status),
            (decoder, index, status)) {
    CUVIDGETDECODESTATUS& out = given(status, "CUVIDGETDECODESTATUS");
    const cuvidDecodeStatus found = machine().decoders.find(decoder)->status(index);
    out = {};
    out.decodeStatus = found;
    return Status::success;
}

NVSIM_CUVID(cuvidReconfigureDecoder, (CUvideodecoder decoder, CUVIDRECONFIGUREDECODERINFO* info), (decoder, info)) {
    machine().decoders.find(decoder)->reconfigure(given(info, "CUVIDRECONFIGUREDECODERINFO"));
    return Status::success;
}

NVSIM_CUVID(cuvidMapVideoFrame64,
            (CUvideodecoder decoder, int index, unsigned long long* address, unsigned* pitch, CUVIDPROCPARAMS* wanted),
            (decoder, index, address, pitch, wanted)) {
    machine().decoders.find(decoder)->map(index, &given(address, "device pointer"), &given(pitch, "pitch"),
                                          given(wanted, "CUVIDPROCPARAMS"));
    return Status::success;
}

NVSIM_CUVID(cuvidUnmapVideoFrame64, (CUvideodecoder decoder, unsigned long long address), (decoder, address)) {
    machine().decoders.find(decoder)->unmap(address);
    return Status::success;
}

// These two are for pointers of 32 bits, which this machine's do not fit into.
NVSIM_CUVID(cuvidMapVideoFrame,
            (CUvideodecoder decoder, int index, unsigned* address, unsigned* pitch, CUVIDPROCPARAMS* wanted),
            (decoder, index, address, pitch, wanted)) {
    machine().decoders.find(decoder);
    given(address, "device pointer");
    given(pitch, "pitch");
    given(wanted, "CUVIDPROCPARAMS");
    static_cast<void>(index);
    return Status::not_supported;
}

NVSIM_CUVID(cuvidUnmapVideoFrame, (CUvideodecoder decoder, unsigned address), (decoder, address)) {
    machine().decoders.find(decoder);
    static_cast<void>(address);
    return Status::not_supported;
}

NVSIM_CUVID(cuvidCtxLockCreate, (CUvideoctxlock * lock, CUcontext context), (lock, context)) {
    if (context == nullptr) violate(Status::invalid_context, "lock", "the context is null");
    given(lock, "CUvideoctxlock") =
        static_cast<CUvideoctxlock>(machine().locks.add(std::make_shared<ContextLock>(context)));
    return Status::success;
}

NVSIM_CUVID(cuvidCtxLockDestroy, (CUvideoctxlock lock), (lock)) {
    const auto found = machine().locks.remove(lock);
    const std::lock_guard<std::mutex> state(found->state);
    if (found->depth != 0) disapprove("lock", "destroyed while it is held");
    return Status::success;
}

NVSIM_CUVID(cuvidCtxLock, (CUvideoctxlock lock, unsigned flags), (lock, flags)) {
    const auto found = machine().locks.find(lock);
    if (flags != 0) violate(Status::invalid_value, "lock", "the reserved flags are not zero");
    found->acquire();
    return Status::success;
}

NVSIM_CUVID(cuvidCtxUnlock, (CUvideoctxlock lock, unsigned flags), (lock, flags)) {
    const auto found = machine().locks.find(lock);
    if (flags != 0) violate(Status::invalid_value, "lock", "the reserved flags are not zero");
    if (!found->release()) violate(Status::invalid_value, "lock", "this thread does not hold it");
    return Status::success;
}

NVSIM_CUVID(cuvidCreateVideoParser, (CUvideoparser * parser, CUVIDPARSERPARAMS* params), (parser, params)) {
    static std::atomic<int> parsers{0};
    CUvideoparser& out = given(parser, "CUvideoparser");
    out = machine().parsers.add(std::make_shared<Parser>(++parsers, given(params, "CUVIDPARSERPARAMS")));
    return Status::success;
}

NVSIM_CUVID(cuvidParseVideoData, (CUvideoparser parser, CUVIDSOURCEDATAPACKET* packet), (parser, packet)) {
    machine().parsers.find(parser)->parse(given(packet, "CUVIDSOURCEDATAPACKET"));
    return Status::success;
}

NVSIM_CUVID(cuvidDestroyVideoParser, (CUvideoparser parser), (parser)) {
    machine().parsers.remove(parser);
    return Status::success;
}

// Sources: NVIDIA's demultiplexer of files, which no client uses any more and Linux drivers have without its formats.
NVSIM_CUVID(cuvidCreateVideoSource, (CUvideosource * source, const char* path, CUVIDSOURCEPARAMS* params),
            (source, path, params)) {
    given(source, "CUvideosource");
    given(path, "path");
    given(params, "CUVIDSOURCEPARAMS");
    return Status::not_supported;
}

NVSIM_CUVID(cuvidCreateVideoSourceW, (CUvideosource * source, const wchar_t* path, CUVIDSOURCEPARAMS* params),
            (source, path, params)) {
    given(source, "CUvideosource");
    given(path, "path");
    given(params, "CUVIDSOURCEPARAMS");
    return Status::not_supported;
}

namespace {

Status no_source() { violate(Status::invalid_handle, "source", "this handle never was one"); }

}  // namespace

NVSIM_CUVID(cuvidDestroyVideoSource, (CUvideosource source), (source)) {
    static_cast<void>(source);
    return no_source();
}

NVSIM_CUVID(cuvidSetVideoSourceState, (CUvideosource source, cudaVideoState state), (source, state)) {
    static_cast<void>(source);
    static_cast<void>(state);
    return no_source();
}

NVSIM_EXPORT int cuvidGetVideoSourceState(CUvideosource) { return -1; }  // cudaVideoState_Error

NVSIM_CUVID(cuvidGetSourceVideoFormat, (CUvideosource source, CUVIDEOFORMAT* format, unsigned flags),
            (source, format, flags)) {
    static_cast<void>(source);
    static_cast<void>(format);
    static_cast<void>(flags);
    return no_source();
}

NVSIM_CUVID(cuvidGetSourceAudioFormat, (CUvideosource source, CUAUDIOFORMAT* format, unsigned flags),
            (source, format, flags)) {
    static_cast<void>(source);
    static_cast<void>(format);
    static_cast<void>(flags);
    return no_source();
}

NVSIM_EXPORT const char* nvsim_control(const char* request) {
    return nvsim::answer_control(nvsim::decode::library, request);
}
