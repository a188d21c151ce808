#include "decoder/video.hpp"

#include <algorithm>
#include <exception>
#include <mutex>
#include <tuple>
#include <utility>

#include "core/error.hpp"
#include "core/failures.hpp"
#include "core/nvtx.hpp"
#include "core/process.hpp"
#include "decoder/decode_support.hpp"
#include "decoder/h264_references.hpp"
#include "decoder/hevc_references.hpp"

namespace pdum::nvenc {
namespace {

// Pictures that the chip works on while the caller has the frame before them.
constexpr uint32_t pictures_ahead = 4;
// For a header that does not say how many surfaces it needs.
constexpr uint32_t usual_surfaces = 20;
// The driver makes no decoder with more.
constexpr uint32_t most_surfaces = 32;

uint32_t room_beside(uint32_t surfaces) { return most_surfaces - std::min(surfaces, most_surfaces); }

uint32_t references_of(const VideoFormat& format) {
    return format.least_surfaces != 0 ? format.least_surfaces : usual_surfaces;
}

// Whether a decoder that was made for the second one also decodes the first.
bool is_same_shape(const VideoFormat& a, const VideoFormat& b) {
    const auto shape = [](const VideoFormat& one) {
        const PixelRectangle& shown = one.shown;
        return std::tuple(one.codec, one.chroma, one.bit_depth, one.coded_width, one.coded_height, shown.left,
                          shown.top, shown.right, shown.bottom);
    };
    return shape(a) == shape(b) && references_of(a) <= references_of(b);
}

bool is_same_look(const VideoFormat& a, const VideoFormat& b) {
    const auto look = [](const VideoFormat& one) {
        const VideoColour& colour = one.colour;
        return std::tuple(colour.primaries, colour.transfer, colour.matrix, colour.full_range, one.aspect_x,
                          one.aspect_y, one.progressive);
    };
    return look(a) == look(b);
}

// These codecs show a picture in the packet that says so, and it may have been decoded in an earlier one.
bool shows_in_order_of_packets(DecodeCodec codec) {
    return codec == DecodeCodec::vp8 || codec == DecodeCodec::vp9 || codec == DecodeCodec::av1;
}

// A picture of these may refer to one of another size.
bool scales_references(DecodeCodec codec) { return codec == DecodeCodec::vp9 || codec == DecodeCodec::av1; }

std::unique_ptr<StreamReferences> references_in(DecodeCodec codec) {
    if (codec == DecodeCodec::h264) return std::make_unique<H264References>();
    if (codec == DecodeCodec::hevc) return std::make_unique<HevcReferences>();
    return nullptr;
}

}  // namespace

// One call at a time, on a usable video, with its context current.
class Video::Turn {
   public:
    explicit Turn(Video& video) : lock_(turn_of(video)), scope_(*video.context_) {
        if (video.parser_ == nullptr) fail(ErrorKind::decoder_closed, "This decoder is closed.", "Make a new one.");
    }

   private:
    static Turnstile& turn_of(Video& video) {
        video.require_own_process();
        return video.turn_;
    }

    std::lock_guard<Turnstile> lock_;
    ContextScope scope_;
};

Video::Video(const VideoOptions& options)
    : options_(options),
      context_(Context::chosen(options.gpu, options.context)),
      gpu_(context_->gpu()),
      made_in_(process_generation()),
      references_(references_in(options.codec)),
      header_(options.header) {
    const ContextScope scope(*context_);
    stream_ = std::make_shared<const Stream>(context_);
    ParserEvents& events = *this;  // a private base, which make_unique cannot see
    parser_ = std::make_unique<VideoParser>(options_.codec, header_, events);
}

Video::~Video() { close(); }

// Before the lock is taken: a thread of the parent may have held it at the fork.
void Video::require_own_process() const {
    if (made_in_ == process_generation()) return;
    fail(ErrorKind::decoder_closed, "This decoder was made before a fork and cannot be used in the child.",
         "Make decoders in the process that uses them; start workers with multiprocessing's \"spawn\".");
}

void Video::close() noexcept {
    if (made_in_ != process_generation()) {
        static_cast<void>(parser_.release());
        return;
    }
    const std::lock_guard<Turnstile> lock(turn_);
    Failures unreported;
    unreported.run([this] {
        const ContextScope scope(*context_);
        parser_.reset();
    });
    waiting_.clear();
    ready_.clear();
    spares_.reset();
    chip_.reset();
    stream_.reset();
}

std::vector<DecodedPicture> Video::decode(const uint8_t* data, size_t size, std::optional<int64_t> pts) {
    const NvtxRange range("pdum.decode");
    const Turn turn(*this);
    is_ending_ = false;
    packet_pts_ = pts;
    if (std::exchange(needs_header_, false) && !header_.empty()) {
        std::vector<uint8_t> with_header = header_;  // in one packet, since each packet ends a picture
        with_header.insert(with_header.end(), data, data + size);
        parse(with_header.data(), with_header.size());
    } else {
        parse(data, size);
    }
    return take_ready();
}

void Video::parse(const uint8_t* data, size_t size) {
    if (references_ != nullptr) references_->read_packet(data, size);
    parser_->parse(data, size);
}

std::vector<DecodedPicture> Video::flush(size_t most) {
    const Turn turn(*this);
    needs_header_ = true;
    if (!std::exchange(is_ending_, true)) {
        parser_->end_of_stream();
        forget_references();
    }
    while (!waiting_.empty() && ready_.size() < most) bring_out();
    is_ending_ = !waiting_.empty();
    return take_ready();
}

void Video::begin_anew(std::vector<uint8_t> header) {
    const Turn turn(*this);
    header_ = std::move(header);
    waiting_.clear();
    ready_.clear();
    std::fill(surfaces_.begin(), surfaces_.end(), -1);
    is_ending_ = lacks_references_ = false;
    needs_header_ = true;
    forget_references();
    ParserEvents& events = *this;
    parser_.reset();
    parser_ = std::make_unique<VideoParser>(options_.codec, header_, events);
}

void Video::forget_references() {
    healed_losses_ = 0;
    if (references_ != nullptr) references_->begin_anew();
}

std::vector<DecodedPicture> Video::take_ready() { return std::exchange(ready_, {}); }

DecoderSetup Video::setup_for(const VideoFormat& format) const {
    DecoderSetup setup;
    setup.format = format;
    setup.output = require_decodable(*context_, format);
    const uint32_t references = references_of(format);
    const uint32_t waiting = std::min(pictures_ahead, room_beside(references));
    const uint32_t lent = std::min(options_.lent_surfaces, room_beside(references + waiting));
    setup.decode_surfaces = references + waiting + lent;
    setup.output_surfaces = lent + 1;  // one is kept for copying
    return setup;
}

bool Video::fits_chip(const VideoFormat& format) const {
    return chip_ != nullptr && is_same_shape(format, chip_->setup().format);
}

// Frames that wait get the format of their own sequence. One that fails does not keep the others.
void Video::before_sequence(const VideoFormat& format) {
    if (fits_chip(format) && is_same_look(format, format_)) return;
    std::exception_ptr failure;
    while (!waiting_.empty()) {
        try {
            bring_out();
        } catch (...) {
            if (failure == nullptr) failure = std::current_exception();
        }
    }
    if (failure != nullptr) std::rethrow_exception(failure);
}

uint32_t Video::on_sequence(const VideoFormat& format) {
    format_ = format;
    if (fits_chip(format)) return static_cast<uint32_t>(surfaces_.size());
    lacks_references_ = lacks_references_ || (chip_ != nullptr && scales_references(format.codec));
    chip_.reset();  // before the next one is made: its memory is free unless frames are out
    const DecoderSetup setup = setup_for(format);
    chip_ = std::make_shared<Chip>(context_, stream_, setup);
    surfaces_.assign(references_of(format), -1);
    facts_.assign(references_of(format), {});
    most_lent_ = setup.output_surfaces - 1;
    most_waiting_ = setup.decode_surfaces - references_of(format) - most_lent_;
    const FormatTraits& layout = traits_of(setup.output);
    const uint32_t width = (format.width() + 1) & ~1U;
    const uint32_t height = (format.height() + 1) & ~1U;
    spares_ = std::make_shared<SpareRows>(row_bytes_of(layout, width), surface_rows(layout, height));
    return references_of(format);
}

bool Video::is_bound_or_waiting(int surface) const {
    const auto is_it = [&](const Waiting& one) { return one.picture.surface == surface; };
    return std::find(surfaces_.begin(), surfaces_.end(), surface) != surfaces_.end() ||
           std::any_of(waiting_.begin(), waiting_.end(), is_it);
}

// The one after the last comes first, since its frame was read longest ago.
std::optional<int> Video::unused_surface() const {
    const int count = static_cast<int>(chip_->setup().decode_surfaces);
    std::optional<int> busy;  // decoding into it would have to wait
    for (int step = 1; step <= count; ++step) {
        const int surface = (last_bound_ + step) % count;
        if (is_bound_or_waiting(surface) || !chip_->is_free(surface)) continue;
        if (chip_->is_idle(surface)) return surface;
        if (!busy) busy = surface;
    }
    return busy;
}

void Video::bind(int parsers_surface) {
    int& bound = surfaces_.at(static_cast<size_t>(parsers_surface));
    bound = -1;
    std::optional<int> found = unused_surface();
    for (; !found && !waiting_.empty(); found = unused_surface()) bring_out();
    if (!found) fail(ErrorKind::decoder_failed, "All surfaces of the decoder are in use.", "Release frames earlier.");
    bound = last_bound_ = *found;
}

void Video::on_picture(const CodedPicture& picture) {
    if (chip_ == nullptr) fail(ErrorKind::decoder_failed, "The video has a picture before its first header.");
    lacks_references_ = lacks_references_ && !picture.is_intra;
    if (lacks_references_) {
        fail(ErrorKind::unsupported_feature,
             "The video changes its size at a picture that refers to earlier ones, of another size.",
             "Decode it on the processor, or go on at its next key frame.");
    }
    PictureFacts& facts = facts_.at(static_cast<size_t>(picture.surface));
    if (!picture.is_second_field) facts = {packet_pts_, {}};
    if (references_ != nullptr)
        facts.outlook = both(facts.outlook, references_->take_picture(picture.coded, picture.coded_size));
    try {
        decode(picture);
    } catch (...) {
        surfaces_.at(static_cast<size_t>(picture.surface)) = -1;  // it holds no picture to be shown
        if (references_ != nullptr) references_->spoil_last();
        throw;
    }
}

void Video::decode(const CodedPicture& picture) {
    if (!picture.is_second_field) bind(picture.surface);
    if (picture.second_surface >= 0) bind(picture.second_surface);
    chip_->decode(picture, surfaces_);
}

void Video::on_shown(const ShownPicture& picture) {
    const int surface = chip_ != nullptr ? surfaces_.at(static_cast<size_t>(picture.surface)) : -1;
    if (surface < 0) return;  // it was never decoded
    const bool is_of_packet = shows_in_order_of_packets(options_.codec);
    const auto& [pts, outlook] = facts_.at(static_cast<size_t>(picture.surface));
    if (outlook.heals) healed_losses_ = std::max(healed_losses_, outlook.losses);
    const bool lacks_references = outlook.is_affected && outlook.losses > healed_losses_;
    waiting_.push_back({picture, is_of_packet ? packet_pts_ : pts, lacks_references});
    waiting_.back().picture.surface = surface;
    while (waiting_.size() > most_waiting_ && !is_ending_) bring_out();
}

void Video::bring_out() {
    const auto [shown, pts, lacks_references] = waiting_.front();
    waiting_.pop_front();
    DecodedPicture picture;
    picture.lease = lease_of(shown, picture.status);
    picture.format = format_;
    picture.layout = chip_->setup().output;
    picture.pts = pts;
    picture.lacks_references = lacks_references;
    picture.is_progressive = shown.is_progressive;
    picture.top_field_first = shown.top_field_first;
    ready_.push_back(std::move(picture));
}

std::shared_ptr<FrameLease> Video::lease_of(const ShownPicture& picture, DecodeStatus& status) {
    const bool lends = chip_->mapped() < most_lent_;
    const MappedFrame frame = chip_->map(picture);
    auto lease = std::make_shared<FrameLease>(chip_, frame);  // gives the frame back if what follows fails
    status = chip_->status_of(picture.surface);
    return lends ? lease : copy_of(frame);
}

std::shared_ptr<FrameLease> Video::copy_of(const MappedFrame& frame) {
    auto lease = std::make_shared<FrameLease>(chip_, spares_, spares_->take(context_));
    CUDA_MEMCPY2D copy{};
    copy.srcMemoryType = copy.dstMemoryType = memory_device;
    copy.srcDevice = frame.address;
    copy.srcPitch = frame.pitch;
    copy.dstDevice = lease->address();
    copy.dstPitch = lease->pitch();
    copy.WidthInBytes = spares_->row_bytes();
    copy.Height = spares_->rows();
    check_cuda(context_->functions().cuMemcpy2DAsync(&copy, stream_->handle()), "cuMemcpy2DAsync");
    return lease;
}

}  // namespace pdum::nvenc
