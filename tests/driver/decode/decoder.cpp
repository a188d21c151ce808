#include "decode/decoder.hpp"

#include <algorithm>
#include <utility>

#include "common/text.hpp"
#include "decode/create_info.hpp"
#include "decode/parser.hpp"
#include "decode/units.hpp"

namespace nvsim::decode {

namespace {

constexpr int kLongestQueue = 8;  // pictures that wait for the chip, before a further call waits, too

}  // namespace

// A picture on its way through the engine.
class DecodeJob final : public Job {
   public:
    DecodeJob(std::shared_ptr<Decoder> decoder, int index, Bytes unit, double area, bool second_field, bool begins)
        : Job(decoder.get(), !second_field),
          decoder_(std::move(decoder)),
          index_(index),
          unit_(std::move(unit)),
          begins_(begins) {
        pixels = area;
    }

    void work() override {
        if (picture) damage_ = Machine::instance().next_damage();
        if (begins_) decoder_->codec_->forget();
        decoded_ = decoder_->codec_->decode(unit_);
    }
    void finish() override { decoder_->take(index_, std::move(decoded_), damage_); }
    void lost() override { decoder_->lost(); }

   private:
    const std::shared_ptr<Decoder> decoder_;
    const int index_;
    const Bytes unit_;
    const bool begins_;
    Decoded decoded_;
    int damage_ = 0;
};

struct Decoder::PostProcess {
    std::shared_ptr<const Pixels> pixels;
    std::shared_ptr<Pending> pending;
    Layout layout;
    Field field;
    void* memory;

    static void lay(void* closure) {
        auto* self = static_cast<PostProcess*>(closure);
        lay_out(self->pixels.get(), self->layout, self->field, static_cast<uint8_t*>(self->memory));
    }

    static void end(void* closure) {
        const std::unique_ptr<PostProcess> self(static_cast<PostProcess*>(closure));
        const std::lock_guard<std::mutex> lock(self->pending->mutex);
        self->pending->free_memory.push_back(self->memory);
        --self->pending->count;
        self->pending->done.notify_all();
    }
};

Decoder::Decoder(Device& device, int number, void* context, const CUVIDDECODECREATEINFO& info)
    : device_(device),
      name_(text("decoder ", number)),
      context_(context),
      info_(info),
      max_width_(std::max(info.ulWidth, info.ulMaxWidth)),
      max_height_(std::max(info.ulHeight, info.ulMaxHeight)),
      layout_(layout_of(info)),
      engine_(device.least_loaded()),
      codec_(open_video_codec(info.CodecType)),
      units_(make_units(info.CodecType, info)) {
    try {
        if (codec_ == nullptr) throw Refusal{Status::not_supported};
        allocate();
    } catch (...) {
        release();
        --engine_.sessions;
        throw;
    }
    ticket_ =
        Machine::instance().announce({0, device_.index, false, static_cast<int>(info.CodecType),
                                      static_cast<uint32_t>(info.ulWidth), static_cast<uint32_t>(info.ulHeight), 0, 0});
}

Decoder::~Decoder() { --engine_.sessions; }

void Decoder::close() {
    require_context();
    const int64_t mapped = mapped_frames();
    if (mapped != 0) disapprove(name_, text("destroyed with ", mapped, " frame(s) mapped"));
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        stopped_ = true;
        changed_.notify_all();
    }
    engine_.cancel(this);
    wait_for_streams();
    release();
}

// Decode surfaces are allocated because they take device memory; their contents are the codec's own.
void Decoder::allocate() {
    const cu::Current current(context_);
    const auto allocated = [&](size_t size) {
        cu::DevicePtr memory = 0;
        if (!current.ok || cu::calls()->device_alloc(&memory, size) != 0) throw Refusal{Status::out_of_memory};
        return memory;
    };
    Layout coded = layout_;
    coded.width = static_cast<int>(max_width_);
    coded.height = static_cast<int>(max_height_);
    surfaces_.assign(info_.ulNumDecodeSurfaces, {});
    for (unsigned long i = 0; i < info_.ulNumDecodeSurfaces; ++i) memory_.push_back(allocated(coded.size()));
    outputs_.assign(info_.ulNumOutputSurfaces, {});
    for (Output& output : outputs_) output.memory = allocated(layout_.size());
}

void Decoder::release() {
    const cu::Current current(context_);
    if (current.ok) {
        for (const cu::DevicePtr memory : memory_) cu::calls()->device_free(memory);
        for (const Output& output : outputs_)
            if (output.memory != 0) cu::calls()->device_free(output.memory);
        for (void* memory : pending_->all_memory) cu::calls()->host_free(memory);
    }
    pending_->all_memory.clear();
    pending_->free_memory.clear();
    memory_.clear();
    outputs_.clear();
}

void Decoder::wait_for_streams() {
    std::unique_lock<std::mutex> lock(pending_->mutex);
    pending_->done.wait(lock, [&] { return pending_->count == 0; });
}

void Decoder::require_context() {
    void* context = nullptr;
    Machine::instance().current_device(context);
    if (context != context_)
        violate(Status::invalid_context, name_, "another CUDA context is current than at its creation");
}

void Decoder::require_device() {
    require_context();
    if (device_.lost) throw Refusal{Status::unknown};
}

void Decoder::check_index(int index) const {
    if (index < 0 || static_cast<size_t>(index) >= surfaces_.size())
        violate(Status::invalid_value, name_,
                text("picture index ", index, " of ", surfaces_.size(), " decode surfaces"));
}

void Decoder::check_picture(const CUVIDPICPARAMS& picture) {
    check_index(picture.CurrPicIdx);
    if (info_.CodecType == cudaVideoCodec_AV1) check_index(picture.CodecSpecific.av1.decodePicIdx);
    if (picture.pBitstreamData == nullptr || picture.nBitstreamDataLen == 0)
        violate(Status::invalid_value, name_, "the picture has no bitstream");
    if (!all_zero(picture.Reserved)) violate(Status::invalid_value, name_, "CUVIDPICPARAMS.Reserved is not zero");
    if (picture.nNumSlices > 0 && picture.pSliceDataOffsets == nullptr)
        violate(Status::invalid_value, name_, "the picture has no offsets of its slices");
    for (unsigned i = 0; i < picture.nNumSlices; ++i)
        if (picture.pSliceDataOffsets[i] >= picture.nBitstreamDataLen)
            violate(Status::invalid_value, name_, text("slice ", i, " begins behind the bitstream's end"));
    const auto blocks = [](unsigned long size) { return static_cast<int>((size + 15) / 16); };
    // Field and macroblock pairs round the height up to 32.
    if (picture.PicWidthInMbs < 1 || picture.FrameHeightInMbs < 1 || picture.PicWidthInMbs > blocks(max_width_) ||
        picture.FrameHeightInMbs > blocks(max_height_) + 1)
        violate(Status::invalid_value, name_,
                text("a picture of ", picture.PicWidthInMbs, "x", picture.FrameHeightInMbs,
                     " macroblocks, created for ", max_width_, "x", max_height_));
}

void Decoder::decode(const CUVIDPICPARAMS& picture) {
    require_device();
    std::unique_lock<std::mutex> lock(mutex_);
    check_picture(picture);
    const int index = picture.CurrPicIdx;
    if (surfaces_[static_cast<size_t>(index)].mapped != 0)
        disapprove(name_, text("a picture is decoded into surface ", index, " while it is mapped"));
    Bytes unit = units_->unit(picture);
    changed_.wait(lock, [&] { return queued_ < kLongestQueue || stopped_ || device_.lost; });
    if (stopped_ || device_.lost) throw Refusal{Status::unknown};
    Surface& surface = surfaces_[static_cast<size_t>(index)];
    ++surface.queued;
    ++queued_;
    surface.status = cuvidDecodeStatus_InProgress;
    // A chip refers to what the parser lists. A new parser lists nothing of what this decoder has decoded before.
    const uint64_t stream = Parser::stream_at_hand();
    const bool begins = stream != 0 && stream != std::exchange(stream_, stream);
    engine_.submit(std::make_unique<DecodeJob>(shared_from_this(), index, std::move(unit),
                                               double(info_.ulWidth) * double(info_.ulHeight),
                                               picture.second_field != 0, begins));
}

void Decoder::take(int index, Decoded decoded, int damage) {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (Surface& surface : surfaces_)
        for (const void* identity : decoded.concealed)
            if (surface.pixels != nullptr && surface.pixels->identity() == identity)
                surface.status = cuvidDecodeStatus_Error_Concealed;
    --queued_;
    Surface& surface = surfaces_[static_cast<size_t>(index)];
    --surface.queued;
    if (decoded.picture != nullptr) surface.pixels = decoded.picture;
    surface.status = decoded.failed ? cuvidDecodeStatus_Error : cuvidDecodeStatus_Success;
    if (damage != 0) surface.status = static_cast<cuvidDecodeStatus>(damage);
    if (damage == cuvidDecodeStatus_Error) surface.pixels = nullptr;
    count_rate();
    changed_.notify_all();
}

void Decoder::count_rate() {
    ++measured_;
    const auto elapsed = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - measured_since_).count();
    if (elapsed < 100000 || ticket_ == nullptr) return;
    ticket_->rate(static_cast<uint32_t>(measured_ * 1000000 / static_cast<uint64_t>(elapsed)), 0);
    measured_ = 0;
    measured_since_ = Clock::now();
}

void Decoder::lost() {
    const std::lock_guard<std::mutex> lock(mutex_);
    changed_.notify_all();
}

Decoder::Output& Decoder::free_output(const std::string& what) {
    // The first free one, so that memory is used again as soon as it may be: who still reads it notices.
    const auto found =
        std::find_if(outputs_.begin(), outputs_.end(), [](const Output& output) { return !output.mapped; });
    if (found == outputs_.end())
        violate(Status::map_failed, name_, text(what, " while all ", outputs_.size(), " output surfaces are mapped"));
    return *found;
}

void Decoder::map(int index, unsigned long long* address, unsigned* pitch, const CUVIDPROCPARAMS& wanted) {
    require_device();
    if (wanted.reserved_zero != 0 || !all_zero(wanted.Reserved) || !all_zero(wanted.Reserved2))
        violate(Status::invalid_value, name_, "reserved words of CUVIDPROCPARAMS are not zero");
    if (wanted.raw_input_dptr != 0 || wanted.raw_output_dptr != 0 || wanted.histogram_dptr != nullptr)
        throw Refusal{Status::not_supported};
    std::unique_lock<std::mutex> lock(mutex_);
    check_index(index);
    Surface& surface = surfaces_[static_cast<size_t>(index)];
    changed_.wait(lock, [&] { return surface.queued == 0 || stopped_ || device_.lost; });
    if (stopped_ || device_.lost) throw Refusal{Status::unknown};
    if (surface.status == cuvidDecodeStatus_Invalid)
        violate(Status::invalid_value, name_, text("no picture was decoded into surface ", index));
    Output& output = free_output(text("picture ", index, " is mapped"));
    const bool fields = info_.DeinterlaceMode != cudaVideoDeinterlaceMode_Weave && wanted.progressive_frame == 0;
    const bool top = (wanted.top_field_first != 0) != (wanted.second_field != 0);
    const Field field = !fields ? Field::both : top ? Field::top : Field::bottom;
    post_process(surface.pixels, field, output.memory, reinterpret_cast<cu::Stream>(wanted.output_stream));
    output.mapped = true;
    output.index = index;
    ++surface.mapped;
    *address = output.memory;
    *pitch = static_cast<unsigned>(layout_.pitch());
}

void* Decoder::staging() {
    const std::lock_guard<std::mutex> lock(pending_->mutex);
    if (pending_->free_memory.empty()) {
        void* memory = nullptr;
        if (cu::calls()->host_alloc(&memory, layout_.size()) != 0) throw Refusal{Status::out_of_memory};
        pending_->all_memory.push_back(memory);
        pending_->free_memory.push_back(memory);
    }
    void* memory = pending_->free_memory.back();
    pending_->free_memory.pop_back();
    ++pending_->count;
    return memory;
}

void Decoder::post_process(const std::shared_ptr<const Pixels>& pixels, Field field, cu::DevicePtr output,
                           cu::Stream stream) {
    const cu::Quiet quiet;
    auto* work = new PostProcess{pixels, pending_, layout_, field, staging()};
    if (cu::calls()->launch_host(stream, &PostProcess::lay, work) != 0) {
        PostProcess::end(work);
        violate(Status::invalid_handle, name_, "output_stream is no stream of this context");
    }
    cu::Copy2D copy;
    copy.src_type = cu::host;
    copy.src_host = work->memory;
    copy.dst_type = cu::device;
    copy.dst_device = output;
    copy.src_pitch = copy.dst_pitch = copy.width_bytes = layout_.pitch();
    copy.height = layout_.rows();
    cu::calls()->copy(&copy, stream);
    cu::calls()->launch_host(stream, &PostProcess::end, work);
}

// Without a look at the current context: PyNvVideoCodec's decoder has none here, and works on real cards.
void Decoder::unmap(unsigned long long address) {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (Output& output : outputs_) {
        if (output.memory != address) continue;
        if (!output.mapped) violate(Status::invalid_value, name_, "the frame was unmapped already");
        output.mapped = false;
        --surfaces_[static_cast<size_t>(output.index)].mapped;
        return;
    }
    violate(Status::invalid_value, name_, "the address is not that of a mapped frame");
}

cuvidDecodeStatus Decoder::status(int index) {
    const std::lock_guard<std::mutex> lock(mutex_);
    check_index(index);
    const bool told = info_.CodecType == cudaVideoCodec_H264 || info_.CodecType == cudaVideoCodec_HEVC ||
                      info_.CodecType == cudaVideoCodec_JPEG;
    if (!told) throw Refusal{Status::not_supported};
    return surfaces_[static_cast<size_t>(index)].status;
}

void Decoder::reconfigure(const CUVIDRECONFIGUREDECODERINFO& info) {
    require_device();
    if (!all_zero(info.reserved1) || !all_zero(info.reserved2))
        violate(Status::invalid_value, name_, "reserved words of CUVIDRECONFIGUREDECODERINFO are not zero");
    if (const int64_t mapped = mapped_frames())
        violate(Status::invalid_value, name_, text("reconfigured with ", mapped, " frame(s) mapped"));
    if (info.ulWidth > max_width_ || info.ulHeight > max_height_) throw Refusal{Status::invalid_value};
    CUVIDDECODECREATEINFO next = info_;
    next.ulWidth = info.ulWidth;
    next.ulHeight = info.ulHeight;
    next.ulTargetWidth = info.ulTargetWidth;
    next.ulTargetHeight = info.ulTargetHeight;
    next.ulNumDecodeSurfaces = info.ulNumDecodeSurfaces;
    next.display_area = {info.display_area.left, info.display_area.top, info.display_area.right,
                         info.display_area.bottom};
    next.target_rect = {info.target_rect.left, info.target_rect.top, info.target_rect.right, info.target_rect.bottom};
    check_create_info(device_, next);
    wait_for_streams();
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [&] { return queued_ == 0 || stopped_ || device_.lost; });
    release();
    info_ = next;
    layout_ = layout_of(next);
    allocate();
}

int64_t Decoder::mapped_frames() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return std::count_if(outputs_.begin(), outputs_.end(), [](const Output& output) { return output.mapped; });
}

}  // namespace nvsim::decode
