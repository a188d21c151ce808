#include "abi/decode_api.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <utility>

#include "abi/picture_surfaces.hpp"
#include "core/error.hpp"
#include "nvcuvid_13_0.hpp"

namespace pdum::nvenc {
namespace {

struct CodecName {
    DecodeCodec codec;
    const char* name;
    cuvid::cudaVideoCodec theirs;
};

constexpr std::array<CodecName, 10> codecs{{
    {DecodeCodec::mpeg1, "mpeg1", cuvid::cudaVideoCodec_MPEG1},
    {DecodeCodec::mpeg2, "mpeg2", cuvid::cudaVideoCodec_MPEG2},
    {DecodeCodec::mpeg4, "mpeg4", cuvid::cudaVideoCodec_MPEG4},
    {DecodeCodec::vc1, "vc1", cuvid::cudaVideoCodec_VC1},
    {DecodeCodec::h264, "h264", cuvid::cudaVideoCodec_H264},
    {DecodeCodec::mjpeg, "mjpeg", cuvid::cudaVideoCodec_JPEG},
    {DecodeCodec::hevc, "hevc", cuvid::cudaVideoCodec_HEVC},
    {DecodeCodec::vp8, "vp8", cuvid::cudaVideoCodec_VP8},
    {DecodeCodec::vp9, "vp9", cuvid::cudaVideoCodec_VP9},
    {DecodeCodec::av1, "av1", cuvid::cudaVideoCodec_AV1},
}};

cuvid::cudaVideoCodec theirs(DecodeCodec codec) { return codecs[static_cast<size_t>(codec)].theirs; }

cuvid::cudaVideoChromaFormat theirs(VideoChroma chroma) {
    return static_cast<cuvid::cudaVideoChromaFormat>(static_cast<unsigned>(chroma));
}

cuvid::cudaVideoSurfaceFormat theirs(PixelFormat format) {
    switch (format) {
        case PixelFormat::p010: return cuvid::cudaVideoSurfaceFormat_P016;
        case PixelFormat::yuv444: return cuvid::cudaVideoSurfaceFormat_YUV444;
        case PixelFormat::yuv444_10: return cuvid::cudaVideoSurfaceFormat_YUV444_16Bit;
        case PixelFormat::nv16: return cuvid::cudaVideoSurfaceFormat_NV16;
        case PixelFormat::p210: return cuvid::cudaVideoSurfaceFormat_P216;
        default: return cuvid::cudaVideoSurfaceFormat_NV12;
    }
}

constexpr CUresult cuda_device_unavailable = 46;
constexpr CUresult cuda_launch_failed = 719;

ErrorKind kind_of(CUresult result) {
    switch (result) {
        case cuda_out_of_memory: return ErrorKind::out_of_memory;
        case cuda_not_supported: return ErrorKind::unsupported_feature;
        case cuda_device_unavailable:
        case cuda_launch_failed: return ErrorKind::device_lost;
        default: return ErrorKind::decoder_failed;
    }
}

const char* advice_for(ErrorKind kind) {
    switch (kind) {
        case ErrorKind::out_of_memory:
            return "Free GPU memory, or decode fewer videos at once. The driver also answers this to sizes that the "
                   "decoder cannot take.";
        case ErrorKind::unsupported_feature: return "This GPU's decoder cannot do that: decode on the processor.";
        case ErrorKind::device_lost: return "The GPU is gone or was reset: make a new decoder.";
        default: return "The video may be damaged: decode it on the processor, or go on at its next key frame.";
    }
}

void check(CUresult result, const char* call, const char* doing) {
    if (result == cuda_success) return;
    const CudaFunctions& functions = cuda_functions();
    const char* name = nullptr;
    const char* text = nullptr;
    ErrorDetails details;
    details.kind = kind_of(result);
    details.summary = std::string("Could not ") + doing;
    details.advice = advice_for(details.kind);
    details.call = call;
    details.status = result;
    details.status_name = functions.cuGetErrorName(result, &name) == cuda_success && name != nullptr ? name : "unknown";
    if (functions.cuGetErrorString(result, &text) == cuda_success && text != nullptr) details.driver_text = text;
    throw Error(std::move(details));
}

bool is_ten_bit(const VideoFormat& format) { return format.bit_depth > 8; }

PixelFormat wanted_output(const VideoFormat& format) {
    const bool ten = is_ten_bit(format);
    switch (format.chroma) {
        case VideoChroma::c422: return ten ? PixelFormat::p210 : PixelFormat::nv16;
        case VideoChroma::c444: return ten ? PixelFormat::yuv444_10 : PixelFormat::yuv444;
        default: return ten ? PixelFormat::p010 : PixelFormat::nv12;
    }
}

VideoFormat format_from(const cuvid::CUVIDEOFORMAT& theirs) {
    const auto* codec =
        std::find_if(codecs.begin(), codecs.end(), [&](const CodecName& one) { return one.theirs == theirs.codec; });
    if (codec == codecs.end()) {
        fail(ErrorKind::unsupported_feature,
             "The parser found a codec with the number " + std::to_string(theirs.codec) + ", which is not known.");
    }
    VideoFormat format;
    format.codec = codec->codec;
    format.chroma = static_cast<VideoChroma>(theirs.chroma_format);
    format.bit_depth = 8 + std::max(theirs.bit_depth_luma_minus8, theirs.bit_depth_chroma_minus8);
    format.coded_width = theirs.coded_width;
    format.coded_height = theirs.coded_height;
    const auto& area = theirs.display_area;
    format.shown = {area.left, area.top, area.right, area.bottom};
    format.least_surfaces = theirs.min_num_decode_surfaces;
    format.rate_numerator = theirs.frame_rate.numerator;
    format.rate_denominator = theirs.frame_rate.denominator;
    format.aspect_x = theirs.display_aspect_ratio.x;
    format.aspect_y = theirs.display_aspect_ratio.y;
    const auto& signal = theirs.video_signal_description;
    format.colour = {signal.color_primaries, signal.transfer_characteristics, signal.matrix_coefficients,
                     signal.video_full_range_flag != 0};
    format.progressive = theirs.progressive_sequence != 0;
    return format;
}

// Even, and never larger than what is coded: then the decoder crops and does not scale.
int even_end(int begin, int end, uint32_t coded) {
    const int even = end + ((end - begin) & 1);
    return even <= static_cast<int>(coded) ? even : end;
}

cuvid::CUVIDDECODECREATEINFO creation_of(const DecoderSetup& setup) {
    const VideoFormat& format = setup.format;
    const PixelRectangle& shown = format.shown;
    cuvid::CUVIDDECODECREATEINFO info{};
    info.ulWidth = info.ulMaxWidth = format.coded_width;
    info.ulHeight = info.ulMaxHeight = format.coded_height;
    info.ulNumDecodeSurfaces = setup.decode_surfaces;
    info.CodecType = theirs(format.codec);
    info.ChromaFormat = theirs(format.chroma);
    info.ulCreationFlags = cuvid::cudaVideoCreate_PreferCUVID;
    info.bitDepthMinus8 = static_cast<cuvid::tcu_ulong>(format.bit_depth - 8);
    info.display_area = {static_cast<short>(shown.left), static_cast<short>(shown.top),
                         static_cast<short>(even_end(shown.left, shown.right, format.coded_width)),
                         static_cast<short>(even_end(shown.top, shown.bottom, format.coded_height))};
    info.OutputFormat = theirs(setup.output);
    info.DeinterlaceMode = cuvid::cudaVideoDeinterlaceMode_Weave;
    info.ulTargetWidth = (format.width() + 1) & ~1U;
    info.ulTargetHeight = (format.height() + 1) & ~1U;
    info.ulNumOutputSurfaces = setup.output_surfaces;
    return info;
}

}  // namespace

const char* name_of(DecodeCodec codec) { return codecs[static_cast<size_t>(codec)].name; }

std::optional<DecodeCodec> find_decode_codec(std::string_view name) {
    const auto* found =
        std::find_if(codecs.begin(), codecs.end(), [&](const CodecName& one) { return one.name == name; });
    return found != codecs.end() ? std::optional(found->codec) : std::nullopt;
}

DecodeLimits decode_limits(DecodeCodec codec, VideoChroma chroma, int bit_depth) {
    cuvid::CUVIDDECODECAPS caps{};
    caps.eCodecType = theirs(codec);
    caps.eChromaFormat = theirs(chroma);
    caps.nBitDepthMinus8 = static_cast<unsigned>(bit_depth - 8);
    check(decode_exports().cuvidGetDecoderCaps(&caps), "cuvidGetDecoderCaps", "ask what the decoder can do");
    return {caps.bIsSupported != 0, caps.nNumNVDECs, caps.nOutputFormatMask, caps.nMinWidth,
            caps.nMinHeight,        caps.nMaxWidth,  caps.nMaxHeight,        caps.nMaxMBCount};
}

std::optional<PixelFormat> output_format(const DecodeLimits& limits, const VideoFormat& format) {
    const PixelFormat wanted = wanted_output(format);
    return (limits.output_formats >> theirs(wanted) & 1) != 0 ? std::optional(wanted) : std::nullopt;
}

// The library calls these. Answers: 0 is a failure, 1 and more is success. A picture that fails is a success to the
// parser, which otherwise would stop in the middle of a packet and forget what the next pictures refer to.
struct VideoParser::Callbacks {
    static int sequence(void* parser, cuvid::CUVIDEOFORMAT* format) {
        uint32_t surfaces = 0;
        self(parser).guarded([&](ParserEvents& events) { events.before_sequence(format_from(*format)); });
        self(parser).guarded([&](ParserEvents& events) { surfaces = events.on_sequence(format_from(*format)); });
        return static_cast<int>(surfaces);
    }

    static int picture(void* parser, cuvid::CUVIDPICPARAMS* parameters) {
        const int second = second_surface(self(parser).codec_, parameters);
        self(parser).guarded([&](ParserEvents& events) {
            events.on_picture({parameters, parameters->CurrPicIdx, second, parameters->second_field != 0,
                               is_intra(self(parser).codec_, parameters), parameters->pBitstreamData,
                               parameters->nBitstreamDataLen});
        });
        return 1;
    }

    // A null picture is the end of the stream, which the caller knows.
    static int shown(void* parser, cuvid::CUVIDPARSERDISPINFO* info) {
        if (info == nullptr) return 1;
        self(parser).guarded([&](ParserEvents& events) {
            events.on_shown({info->picture_index, info->progressive_frame != 0, info->top_field_first != 0,
                             info->repeat_first_field});
        });
        return 1;
    }

    static VideoParser& self(void* parser) { return *static_cast<VideoParser*>(parser); }
};

template <typename Body>
void VideoParser::guarded(Body body) noexcept {
    try {
        body(events_);
    } catch (...) {
        if (failure_ == nullptr) failure_ = std::current_exception();
    }
}

VideoParser::VideoParser(DecodeCodec codec, const std::vector<uint8_t>& header, ParserEvents& events)
    : exports_(decode_exports()), codec_(codec), events_(events) {
    cuvid::CUVIDEOFORMATEX known{};
    auto& raw = known.anonymous.raw_seqhdr_data;
    // VC-1's simple profile has its header here alone. The others have it in their packets.
    if (codec == DecodeCodec::vc1 && !header.empty() && header.size() <= sizeof raw) {
        known.format.seqhdr_data_length = static_cast<unsigned>(header.size());
        std::memcpy(raw, header.data(), header.size());
    }
    cuvid::CUVIDPARSERPARAMS parameters{};
    parameters.CodecType = theirs(codec);
    parameters.ulMaxNumDecodeSurfaces = 1;  // on_sequence() says how many
    parameters.ulMaxDisplayDelay = 0;       // our own queue keeps the chip busy
    parameters.pUserData = this;
    parameters.pfnSequenceCallback = Callbacks::sequence;
    parameters.pfnDecodePicture = Callbacks::picture;
    parameters.pfnDisplayPicture = Callbacks::shown;
    if (known.format.seqhdr_data_length != 0) parameters.pExtVideoInfo = &known;
    check(exports_.cuvidCreateVideoParser(&handle_, &parameters), "cuvidCreateVideoParser", "make a video parser");
}

VideoParser::~VideoParser() { exports_.cuvidDestroyVideoParser(handle_); }

void VideoParser::send(void* packet) {
    failure_ = nullptr;
    const CUresult result = exports_.cuvidParseVideoData(handle_, packet);
    if (failure_ != nullptr) std::rethrow_exception(std::exchange(failure_, nullptr));
    check(result, "cuvidParseVideoData", "parse the video");
}

void VideoParser::parse(const uint8_t* data, size_t size) {
    cuvid::CUVIDSOURCEDATAPACKET packet{};
    packet.payload = data;
    packet.payload_size = size;
    packet.flags = cuvid::CUVID_PKT_ENDOFPICTURE;
    send(&packet);
}

void VideoParser::end_of_stream() {
    cuvid::CUVIDSOURCEDATAPACKET packet{};
    packet.flags = cuvid::CUVID_PKT_ENDOFSTREAM;
    send(&packet);
}

VideoDecoder::VideoDecoder(const DecoderSetup& setup) : exports_(decode_exports()), codec_(setup.format.codec) {
    cuvid::CUVIDDECODECREATEINFO info = creation_of(setup);
    check(exports_.cuvidCreateDecoder(&handle_, &info), "cuvidCreateDecoder", "make a decoder");
}

VideoDecoder::~VideoDecoder() { exports_.cuvidDestroyDecoder(handle_); }

// The parser may look at its own parameters again, so they are left alone.
void VideoDecoder::decode(const CodedPicture& picture, const std::vector<int>& surfaces) {
    cuvid::CUVIDPICPARAMS parameters = *static_cast<const cuvid::CUVIDPICPARAMS*>(picture.parameters);
    rename_surfaces(codec_, &parameters, surfaces);
    check(exports_.cuvidDecodePicture(handle_, &parameters), "cuvidDecodePicture", "decode a picture");
}

MappedFrame VideoDecoder::map(const ShownPicture& picture, CUstream stream) {
    cuvid::CUVIDPROCPARAMS parameters{};
    parameters.progressive_frame = picture.is_progressive ? 1 : 0;
    parameters.second_field = picture.repeat_first_field + 1;
    parameters.top_field_first = picture.top_field_first ? 1 : 0;
    parameters.unpaired_field = picture.repeat_first_field < 0 ? 1 : 0;
    parameters.output_stream = stream;
    unsigned long long address = 0;
    unsigned pitch = 0;
    check(exports_.cuvidMapVideoFrame64(handle_, picture.surface, &address, &pitch, &parameters),
          "cuvidMapVideoFrame64", "take a decoded frame");
    return {picture.surface, address, pitch};
}

void VideoDecoder::unmap(uint64_t address) {
    check(exports_.cuvidUnmapVideoFrame64(handle_, address), "cuvidUnmapVideoFrame64", "give a decoded frame back");
}

DecodeStatus VideoDecoder::status_of(int surface) noexcept {
    cuvid::CUVIDGETDECODESTATUS status{};
    if (exports_.cuvidGetDecodeStatus(handle_, surface, &status) != cuda_success) return DecodeStatus::unknown;
    switch (status.decodeStatus) {
        case cuvid::cuvidDecodeStatus_Success: return DecodeStatus::good;
        case cuvid::cuvidDecodeStatus_Error: return DecodeStatus::damaged;
        case cuvid::cuvidDecodeStatus_Error_Concealed: return DecodeStatus::concealed;
        default: return DecodeStatus::unknown;
    }
}

}  // namespace pdum::nvenc
