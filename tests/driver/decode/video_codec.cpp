#include "decode/video_codec.hpp"

#include <algorithm>
#include <cstring>

#include "decode/av_library.hpp"

namespace nvsim::decode {

#ifdef NVSIM_WITH_LIBAVCODEC

namespace {

const AVCodec* codec_of(cudaVideoCodec codec) {
    switch (codec) {
        case cudaVideoCodec_MPEG1: return av()->avcodec_find_decoder(AV_CODEC_ID_MPEG1VIDEO);
        case cudaVideoCodec_MPEG2: return av()->avcodec_find_decoder(AV_CODEC_ID_MPEG2VIDEO);
        case cudaVideoCodec_MPEG4: return av()->avcodec_find_decoder(AV_CODEC_ID_MPEG4);
        case cudaVideoCodec_VC1: return av()->avcodec_find_decoder(AV_CODEC_ID_VC1);
        case cudaVideoCodec_H264: return av()->avcodec_find_decoder(AV_CODEC_ID_H264);
        case cudaVideoCodec_JPEG: return av()->avcodec_find_decoder(AV_CODEC_ID_MJPEG);
        case cudaVideoCodec_HEVC: return av()->avcodec_find_decoder(AV_CODEC_ID_HEVC);
        // The decoders by these names, not FFmpeg's wrappers of others that have no such order of decoding.
        case cudaVideoCodec_VP8: return av()->avcodec_find_decoder_by_name("vp8");
        case cudaVideoCodec_VP9: return av()->avcodec_find_decoder_by_name("vp9");
        case cudaVideoCodec_AV1: return av()->avcodec_find_decoder_by_name("libdav1d");
        default: return nullptr;
    }
}

int chroma_of(const AVPixFmtDescriptor& format) {
    if (format.nb_components < 3) return 0;
    if (format.log2_chroma_w == 0) return 3;
    return format.log2_chroma_h == 0 ? 2 : 1;
}

std::shared_ptr<const Pixels> pixels_of(const AVFrame& frame) {
    const AVPixFmtDescriptor* format = av()->av_pix_fmt_desc_get(static_cast<AVPixelFormat>(frame.format));
    AVFrame* copy = av()->av_frame_clone(&frame);
    if (format == nullptr || copy == nullptr) return nullptr;
    auto pixels = std::make_shared<Pixels>();
    pixels->keep = std::shared_ptr<const void>(copy, [](AVFrame* held) { av()->av_frame_free(&held); });
    for (int i = 0; i < 3; ++i) {
        pixels->plane[i] = copy->data[i];
        pixels->pitch[i] = copy->linesize[i];
    }
    pixels->width = copy->width;
    pixels->height = copy->height;
    pixels->depth = format->comp[0].depth;
    pixels->chroma = chroma_of(*format);
    return pixels;
}

// libavcodec gets one picture at most from each packet: one with each frame header, each with its OBUs.
std::vector<Bytes> packets_of_av1(const Bytes& unit) {
    constexpr int frame_header = 3, frame = 6;
    std::vector<Bytes> packets(1);
    bool has_frame = false;
    for (size_t at = 0; at < unit.size();) {
        const int type = unit[at] >> 3 & 15;
        size_t end = at + ((unit[at] & 4) != 0 ? 2 : 1), length = 0;
        for (int shift = 0; end < unit.size() && shift < 56; shift += 7) {
            length |= size_t{unit[end] & 127u} << shift;
            if ((unit[end++] & 128) == 0) break;
        }
        if ((unit[at] & 2) == 0) length = unit.size();  // without a size it is the last
        end = std::min(unit.size(), end + length);
        const bool begins = type == frame_header || type == frame;
        if (begins && has_frame) packets.emplace_back();
        has_frame = has_frame || begins;
        packets.back().insert(packets.back().end(), unit.begin() + static_cast<ptrdiff_t>(at),
                              unit.begin() + static_cast<ptrdiff_t>(end));
        at = end;
    }
    return packets;
}

// VC-1's headers before a frame.
size_t headers_of_vc1(const Bytes& unit) {
    static constexpr uint8_t frame[] = {0, 0, 1, 0x0d};
    const auto found = std::search(unit.begin(), unit.end(), std::begin(frame), std::end(frame));
    return static_cast<size_t>(found - unit.begin());
}

class AvCodec final : public VideoCodec {
   public:
    explicit AvCodec(cudaVideoCodec codec)
        : codec_(codec_of(codec)),
          context_(av()->avcodec_alloc_context3(codec_)),
          packet_(av()->av_packet_alloc()),
          frame_(av()->av_frame_alloc()),
          // Pictures that stand in for missing ones get their memory before the picture in H.264, and after it
          // elsewhere.
          last_counts_(codec == cudaVideoCodec_H264),
          takes_outputs_(codec == cudaVideoCodec_AV1),
          wants_header_(codec == cudaVideoCodec_VC1) {
        context_->thread_count = 1;
        context_->thread_type = FF_THREAD_SLICE;
        context_->opaque = this;
        context_->log_level_offset = 64;  // nothing is said on the client's terminal
        context_->flags |= AV_CODEC_FLAG_OUTPUT_CORRUPT;
        context_->flags2 |= AV_CODEC_FLAG2_SHOW_ALL;
        if (takes_outputs_)
            context_->flags |= AV_CODEC_FLAG_LOW_DELAY;
        else
            context_->get_buffer2 = &AvCodec::get_buffer;
        open_ = wants_header_ || av()->avcodec_open2(context_, codec_, nullptr) == 0;
    }

    ~AvCodec() override {
        av()->avcodec_free_context(&context_);
        av()->av_packet_free(&packet_);
        av()->av_frame_free(&frame_);
    }

    bool open() const { return open_; }

    Decoded decode(const Bytes& unit) override {
        Decoded decoded;
        picture_ = nullptr;
        if (wants_header_ && !open_with_header(unit)) {
            decoded.failed = true;
            return decoded;
        }
        if (takes_outputs_)
            for (const Bytes& packet : packets_of_av1(unit)) decode_packet(packet, decoded);
        else
            decode_packet(unit, decoded);
        decoded.picture = std::move(picture_);
        return decoded;
    }

    void forget() override {
        if (open_ && !wants_header_) av()->avcodec_flush_buffers(context_);
    }

   private:
    bool open_with_header(const Bytes& unit) {
        if (context_->extradata != nullptr) return false;  // these headers were no good
        const size_t size = headers_of_vc1(unit);
        context_->extradata = static_cast<uint8_t*>(av()->av_mallocz(size + AV_INPUT_BUFFER_PADDING_SIZE));
        if (context_->extradata == nullptr) return false;
        std::memcpy(context_->extradata, unit.data(), size);
        context_->extradata_size = static_cast<int>(size);
        wants_header_ = av()->avcodec_open2(context_, codec_, nullptr) != 0;
        return !wants_header_;
    }

    void decode_packet(const Bytes& unit, Decoded& decoded) {
        decoded.failed = true;
        if (av()->av_new_packet(packet_, static_cast<int>(unit.size())) != 0) return;
        std::memcpy(packet_->data, unit.data(), unit.size());
        int status = av()->avcodec_send_packet(context_, packet_);
        av()->av_packet_unref(packet_);
        bool output = false;
        while (status == 0 && (status = av()->avcodec_receive_frame(context_, frame_)) == 0) {
            output = true;
            if (takes_outputs_) picture_ = pixels_of(*frame_);
            if (frame_->decode_error_flags != 0 || (frame_->flags & AV_FRAME_FLAG_CORRUPT) != 0)
                decoded.concealed.push_back(frame_->data[0]);
            av()->av_frame_unref(frame_);
        }
        decoded.failed = status != AVERROR(EAGAIN) && picture_ == nullptr && !output;
    }

    static int get_buffer(AVCodecContext* context, AVFrame* frame, int flags) {
        const int status = av()->avcodec_default_get_buffer2(context, frame, flags);
        auto& self = *static_cast<AvCodec*>(context->opaque);
        if (status == 0 && (self.last_counts_ || self.picture_ == nullptr)) self.picture_ = pixels_of(*frame);
        return status;
    }

    const AVCodec* const codec_;
    AVCodecContext* context_;
    AVPacket* packet_;
    AVFrame* frame_;
    const bool last_counts_;
    const bool takes_outputs_;
    bool wants_header_;  // it cannot be opened before the first picture
    bool open_ = false;
    std::shared_ptr<const Pixels> picture_;
};

}  // namespace

bool has_video_codec(cudaVideoCodec codec) { return av() != nullptr && codec_of(codec) != nullptr; }

std::unique_ptr<VideoCodec> open_video_codec(cudaVideoCodec codec) {
    if (!has_video_codec(codec)) return nullptr;
    auto opened = std::make_unique<AvCodec>(codec);
    if (!opened->open()) return nullptr;
    return opened;
}

#else

bool has_video_codec(cudaVideoCodec) { return false; }
std::unique_ptr<VideoCodec> open_video_codec(cudaVideoCodec) { return nullptr; }

#endif

}  // namespace nvsim::decode
