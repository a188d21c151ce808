#include "session.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

#include "nvtx.hpp"
#include "open_encoder.hpp"
#include "process.hpp"

namespace pdum::nvenc {
namespace {

// How far decoding runs ahead of display where B-frames refer to one another as a tree.
int64_t display_delay(uint32_t b_frames) {
    int64_t depth = 0;
    for (uint32_t rest = b_frames; rest > 0; rest /= 2) ++depth;
    return depth;
}

std::shared_ptr<const Context> context_for(const SessionOptions& options) {
    if (options.context == nullptr) return Context::primary(options.gpu);
    std::shared_ptr<const Context> context = Context::borrowed(options.context);
    if (options.gpu != 0 && options.gpu != context->gpu()) {
        fail(ErrorKind::invalid_config,
             "gpu_id=" + std::to_string(options.gpu) + ", but the context given is one of GPU " +
                 std::to_string(context->gpu()) + ".",
             "Leave gpu_id out: the context tells the GPU.");
    }
    return context;
}

}  // namespace

// A call's stay inside: alone, on a usable encoder, with its context current. A release that failed in an earlier call
// is told here, before anything new is begun.
class Session::Turn {
   public:
    explicit Turn(Session& session) : lock_(turn_of(session)), scope_(usable(session)) {
        if (!session.deferred_) return;
        const Error failure = *std::exchange(session.deferred_, std::nullopt);
        throw failure;
    }

   private:
    static std::mutex& turn_of(Session& session) {
        session.require_own_process();
        return session.turn_;
    }

    static const Context& usable(const Session& session) {
        session.require_open();
        return *session.context_;
    }

    std::lock_guard<std::mutex> lock_;
    ContextScope scope_;
};

Session::Session(const SessionOptions& options)
    : context_(context_for(options)),
      abi_(choose_abi(options.forced_abi)),
      settings_(options.settings),
      extra_output_delay_(options.extra_output_delay),
      made_in_(process_generation()),
      held_back_(options.settings.reorder_depth()),
      next_dts_(-display_delay(options.settings.b_frames)),
      at_idr_(options.at_idr) {
    const ContextScope scope(*context_);
    try {
        set_up(options);
    } catch (...) {
        release_everything();
        throw;
    }
}

Session::~Session() {
    try {
        close();
    } catch (...) {
        // Nobody is left to be told; everything has been released all the same.
    }
}

void Session::set_up(const SessionOptions& options) {
    api_ = open_encoder(abi_, *context_);
    require_within_limits(*api_, *context_, options.settings);
    api_->initialize(options.settings);
    input_stream_ = std::make_unique<Stream>(context_);
    output_stream_ = std::make_unique<Stream>(context_);
    frame_ready_ = std::make_unique<Event>(context_);
    frame_read_ = std::make_unique<Event>(context_);
    input_stream_handle_ = input_stream_->handle();
    api_->order_by_streams(input_stream_->address(), output_stream_->address());
    // With a lookahead, the B-frames that wait for an anchor come on top of it.
    const uint32_t held = held_back_ + (settings_.rate.lookahead > 0 ? settings_.b_frames : 0);
    const size_t expected = std::max(extra_output_delay_, held) + size_t{1};
    while (inputs_.size() < expected) {
        inputs_[free_input()].free = false;
        free_outputs_.push_back(api_->create_output());
    }
    for (InputSlot& slot : inputs_) slot.free = true;
}

// Asked before the lock: a thread of the parent's may have held it at the fork, for ever as the child sees it.
void Session::require_own_process() const {
    if (made_in_ != process_generation()) {
        fail(ErrorKind::encoder_closed, "This encoder was made before a fork and cannot be used in the child.",
             "Make encoders in the process that uses them; start workers with multiprocessing's \"spawn\".");
    }
}

void Session::require_open() const {
    if (api_ == nullptr) {
        fail(ErrorKind::encoder_closed, "This encoder is closed.", "Make a new one.");
    }
}

void Session::submit(const FrameView& frame, int64_t seq, const PictureExtras& extras, Sink& sink) {
    const Turn turn(*this);
    if (frame.memory == FrameMemory::device) check_device(frame);
    const size_t input = free_input();
    copy_in(frame, *inputs_[input].rows);
    encode(input, seq, extras);
    collect(std::max(extra_output_delay_, held_back_), sink);
}

void Session::flush(Sink& sink) {
    const Turn turn(*this);
    if (lockable_ < pending_outputs_.size()) end_stream();
    collect(0, sink);
}

void Session::reconfigure(const std::vector<Change>& changes) {
    const Turn turn(*this);
    Settings settings = settings_;
    for (const Change& change : changes) change(settings);
    const bool resized = settings.width != settings_.width || settings.height != settings_.height;
    require_live_change(*api_, *context_, settings_, settings);
    if (resized && lockable_ < pending_outputs_.size()) end_stream();
    api_->reconfigure(settings, resized);
    settings_ = settings;
    if (!resized) return;
    must_be_idr_ = true;
    inputs_changed_size_ = true;
    drop_stale_inputs();
}

std::vector<uint8_t> Session::sequence_header() {
    const Turn turn(*this);
    return api_->sequence_header();
}

size_t Session::in_flight() const {
    require_own_process();
    const std::lock_guard<std::mutex> lock(turn_);
    return submitted_.size();
}

void Session::check_device(const FrameView& frame) const {
    int gpu = 0;
    const CUresult result = context_->functions().cuPointerGetAttribute(&gpu, pointer_device_ordinal,
                                                                        reinterpret_cast<CUdeviceptr>(frame.data));
    if (result == cuda_invalid_value) {
        fail(ErrorKind::invalid_frame, "The frame's pointer is no memory that CUDA knows in this process.",
             "Its memory was freed, or the array says CUDA where it lies on the host.");
    }
    check_cuda(result, "cuPointerGetAttribute");
    if (gpu != context_->gpu()) {
        fail(ErrorKind::invalid_frame,
             "The frame lies on GPU " + std::to_string(gpu) + "; this encoder works on GPU " +
                 std::to_string(context_->gpu()) + ".",
             "Copy the frame there, or make an encoder with gpu_id=" + std::to_string(gpu) + ".");
    }
}

// The driver may hold more frames than its documents say: then there is one more slot, rather than an error.
size_t Session::free_input() {
    const uint32_t width = settings_.width, height = settings_.height;
    for (size_t i = 0; i < inputs_.size(); ++i) {
        if (inputs_[i].free && inputs_[i].width == width && inputs_[i].height == height) return i;
    }
    const FormatTraits& format = traits_of(settings_.format);
    InputSlot slot;
    slot.width = width;
    slot.height = height;
    slot.rows =
        std::make_unique<DeviceRows>(context_, size_t{width} * format.pixel_bytes, surface_rows(format, height));
    const auto empty =
        std::find_if(inputs_.begin(), inputs_.end(), [](const InputSlot& s) { return s.rows == nullptr; });
    const auto place = static_cast<size_t>(empty - inputs_.begin());
    if (place == inputs_.size()) inputs_.emplace_back().free = false;
    const auto pitch = static_cast<uint32_t>(slot.rows->pitch());
    slot.registered = api_->register_surface(slot.rows->pointer(), width, height, pitch);
    inputs_[place] = std::move(slot);
    return place;
}

// Slots of a picture size that is no more. Those that are in flight are kept, since others know them by their place.
void Session::drop_stale_inputs() noexcept {
    for (InputSlot& slot : inputs_) {
        const bool stale = slot.width != settings_.width || slot.height != settings_.height;
        if (!stale || !slot.free || slot.rows == nullptr) continue;
        attempt([&] { api_->unregister_surface(slot.registered); });
        slot = InputSlot{};
        slot.free = false;
    }
}

OutputHandle Session::free_output() {
    if (free_outputs_.empty()) free_outputs_.push_back(api_->create_output());
    return free_outputs_.back();
}

void Session::copy_in(const FrameView& frame, const DeviceRows& destination) {
    const NvtxRange range("pdum.copy_to_nvenc");
    const CUstream ours = input_stream_handle_;
    const bool tied = frame.order == ProducerOrder::on_stream;
    if (tied) {
        frame_ready_->record(frame.stream);
        frame_ready_->make_wait(ours);
    }
    copy_planes(frame, destination);
    frame_read_->record(ours);
    if (tied) {
        frame_read_->make_wait(frame.stream);
    } else {
        frame_read_->synchronize();
    }
}

// The chroma of yuv420 lies at half the pitch; all other surfaces are one block of rows.
void Session::copy_planes(const FrameView& frame, const DeviceRows& destination) {
    const size_t row_bytes = frame.row_bytes;
    if (settings_.format != PixelFormat::yuv420) {
        copy_rows(frame, {0, frame.pitch, 0, destination.pitch(), row_bytes, frame.rows}, destination);
        return;
    }
    const size_t luma_rows = settings_.height;
    copy_rows(frame, {0, frame.pitch, 0, destination.pitch(), row_bytes, luma_rows}, destination);
    copy_rows(frame,
              {frame.pitch * luma_rows, frame.pitch / 2, destination.pitch() * luma_rows, destination.pitch() / 2,
               row_bytes / 2, luma_rows},
              destination);
}

void Session::copy_rows(const FrameView& frame, const RowBlock& block, const DeviceRows& destination) {
    CUDA_MEMCPY2D copy{};
    copy.srcPitch = block.source_pitch;
    copy.dstMemoryType = memory_device;
    copy.dstDevice = destination.pointer() + block.destination_offset;
    copy.dstPitch = block.destination_pitch;
    copy.WidthInBytes = block.row_bytes;
    copy.Height = block.rows;
    const auto* source = static_cast<const char*>(frame.data) + block.source_offset;
    if (frame.memory == FrameMemory::host) {
        copy.srcMemoryType = memory_host;
        copy.srcHost = source;
    } else {
        copy.srcMemoryType = memory_device;
        copy.srcDevice = reinterpret_cast<CUdeviceptr>(source);
    }
    check_cuda(context_->functions().cuMemcpy2DAsync(&copy, input_stream_handle_), "cuMemcpy2DAsync");
}

// The driver makes IDRs by the GOP's length and on demand, never by itself.
bool Session::next_is_idr(const PictureExtras& extras) const {
    return next_pts_ == 0 || must_be_idr_ || extras.force_idr || (settings_.gop != 0 && since_idr_ >= settings_.gop);
}

void Session::encode(size_t input, int64_t seq, const PictureExtras& extras) {
    const NvtxRange range("pdum.submit");
    InputSlot& slot = inputs_[input];
    PictureRequest request;
    request.output = free_output();
    request.width = settings_.width;
    request.height = settings_.height;
    request.pitch = static_cast<uint32_t>(slot.rows->pitch());
    request.timestamp = static_cast<uint64_t>(next_pts_);
    request.force_idr = extras.force_idr || must_be_idr_;
    request.force_intra = extras.force_intra;
    const bool idr = next_is_idr(extras);
    PictureExtras with_hdr;
    request.extras = extras.messages.empty() && !extras.time_code ? nullptr : &extras;
    if (idr && !at_idr_.empty()) {
        with_hdr = extras;
        with_hdr.messages.insert(with_hdr.messages.begin(), at_idr_.begin(), at_idr_.end());
        request.extras = &with_hdr;
    }
    submitted_.push_back({next_pts_, seq, input});
    Accepted accepted{};
    try {
        request.input = slot.mapped = api_->map(slot.registered);
        accepted = api_->encode(request);
    } catch (...) {
        submitted_.pop_back();
        if (slot.mapped != nullptr && attempt([&] { api_->unmap(slot.mapped); })) slot.mapped = nullptr;
        slot.free = slot.mapped == nullptr;
        throw;
    }
    slot.free = false;
    free_outputs_.pop_back();
    pending_outputs_.push_back(request.output);
    ++next_pts_;
    must_be_idr_ = false;
    since_idr_ = idr ? 1 : since_idr_ + 1;
    if (accepted == Accepted::needs_more_input) {
        held_back_ = std::max(held_back_, ++wanting_input_);
    } else {
        wanting_input_ = 0;
        lockable_ = promised_outputs();
    }
}

// With B-frames alone, a picture that is taken releases all that waited for it. A lookahead goes on holding back as
// many as it held back at first.
size_t Session::promised_outputs() const {
    const size_t pending = pending_outputs_.size();
    return held_back_ > settings_.b_frames ? pending - std::min<size_t>(pending, held_back_) : pending;
}

void Session::collect(size_t may_stay_in_flight, Sink& sink) {
    const NvtxRange range("pdum.collect_output");
    units_.clear();
    finished_inputs_.clear();
    while (lockable_ > 0 && submitted_.size() > may_stay_in_flight) {
        if (units_.empty()) {
            lock_next();  // what it throws has cost nothing yet
        } else if (!attempt([this] { lock_next(); })) {
            break;
        }
    }
    try {
        if (!units_.empty()) sink.take(units_);
    } catch (...) {
        give_back_locked();
        throw;
    }
    give_back_locked();
}

// Moves the oldest pending output among those on their way out. Where the driver refuses, it stays the oldest pending.
void Session::lock_next() {
    const OutputHandle output = pending_outputs_.front();
    const LockedAccessUnit locked = api_->lock(output);
    locked_outputs_.push_back(output);
    pending_outputs_.pop_front();
    --lockable_;
    const auto pts = static_cast<int64_t>(locked.timestamp);
    const auto it =
        std::find_if(submitted_.begin(), submitted_.end(), [&](const Submitted& s) { return s.pts == pts; });
    if (it == submitted_.end()) {
        fail(ErrorKind::encoder_failed, "The driver gave an access unit for a frame that is not in flight.",
             "Please report it with the driver's version.");
    }
    finished_inputs_.push_back(it->input);
    units_.push_back({it->seq, pts, next_dts_++, locked.type, locked.average_qp, locked.data, locked.size});
    submitted_.erase(it);
}

// Failures here cost no access unit: they are told at the next call.
void Session::give_back_locked() noexcept {
    const auto unlocked = [this](OutputHandle output) {
        const bool done = attempt([&] { api_->unlock(output); });
        if (done) free_outputs_.push_back(output);
        return done;
    };
    locked_outputs_.erase(std::remove_if(locked_outputs_.begin(), locked_outputs_.end(), unlocked),
                          locked_outputs_.end());
    for (const size_t index : finished_inputs_) {
        InputSlot& slot = inputs_[index];
        if (!attempt([&] { api_->unmap(slot.mapped); })) continue;
        slot.mapped = nullptr;
        slot.free = true;
    }
    if (inputs_changed_size_) drop_stale_inputs();
}

void Session::end_stream() {
    api_->end_of_stream();
    lockable_ = pending_outputs_.size();
    wanting_input_ = 0;
    must_be_idr_ = true;
}

template <typename Step>
bool Session::attempt(Step step) noexcept {
    try {
        step();
        return true;
    } catch (const Error& error) {
        if (!deferred_) deferred_ = error;
    } catch (...) {
        // Out of host memory: nothing could be told either.
    }
    return false;
}

void Session::close() {
    if (made_in_ != process_generation()) return abandon();
    const std::lock_guard<std::mutex> lock(turn_);
    if (api_ == nullptr) return;
    {
        std::optional<ContextScope> scope;
        attempt([&] { scope.emplace(*context_); });  // without it, what needs no context is released all the same
        drain();
        release_everything();
    }
    if (!deferred_) return;
    const Error failure = *std::exchange(deferred_, std::nullopt);
    throw failure;
}

// Nothing may be taken away under a running engine.
void Session::drain() noexcept {
    if (lockable_ < pending_outputs_.size()) attempt([this] { end_stream(); });
    const auto waited_for = [this](OutputHandle output) {
        const bool locked = attempt([&] { api_->lock(output); });
        if (locked) locked_outputs_.push_back(output);
        return locked;
    };
    const auto promised = pending_outputs_.begin() + static_cast<std::ptrdiff_t>(lockable_);
    pending_outputs_.erase(std::remove_if(pending_outputs_.begin(), promised, waited_for), promised);
    lockable_ = 0;
}

// What the driver does not take back piece by piece, it takes back with the session; so it does with everything that a
// picture uses which could not be waited for.
void Session::release_everything() noexcept {
    const bool idle = pending_outputs_.empty();
    for (const OutputHandle output : locked_outputs_) {
        if (attempt([&] { api_->unlock(output); })) free_outputs_.push_back(output);
    }
    for (const InputSlot& slot : inputs_) {
        if (slot.rows == nullptr) continue;
        const bool unmapped = slot.mapped == nullptr || (idle && attempt([&] { api_->unmap(slot.mapped); }));
        if (unmapped) attempt([&] { api_->unregister_surface(slot.registered); });
    }
    for (const OutputHandle output : free_outputs_) attempt([&] { api_->destroy_output(output); });
    if (api_ != nullptr) attempt([this] { api_->destroy(); });
    api_.reset();
    inputs_.clear();
    free_outputs_.clear();
    locked_outputs_.clear();
    pending_outputs_.clear();
    submitted_.clear();
    lockable_ = 0;
    frame_read_.reset();
    frame_ready_.reset();
    output_stream_.reset();
    input_stream_.reset();
}

// In a forked child the driver's objects are the parent's, and calling it can hang on a lock that a thread of the
// parent held. So the child forgets them; the kernel frees what is left when it ends.
void Session::abandon() noexcept {
    for (InputSlot& slot : inputs_) static_cast<void>(slot.rows.release());
    inputs_.clear();
    static_cast<void>(frame_read_.release());
    static_cast<void>(frame_ready_.release());
    static_cast<void>(output_stream_.release());
    static_cast<void>(input_stream_.release());
    static_cast<void>(api_.release());
}

}  // namespace pdum::nvenc
