#include "session/session.hpp"

#include <algorithm>
#include <mutex>
#include <tuple>
#include <utility>

#include "core/nvtx.hpp"
#include "core/process.hpp"
#include "session/frame_copy.hpp"
#include "session/open_encoder.hpp"

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

[[noreturn]] void closed() { fail(ErrorKind::encoder_closed, "This encoder is closed.", "Make a new one."); }

}  // namespace

// A call's stay inside: alone, on a usable encoder, with its context current. A release that failed in an earlier call
// is told here, before anything new is begun.
class Session::Turn {
   public:
    explicit Turn(Session& session) : lock_(turn_of(session)), scope_(usable(session)) { session.failures_.raise(); }

   private:
    static Turnstile& turn_of(Session& session) {
        session.require_own_process();
        return session.turn_;
    }

    static const Context& usable(const Session& session) {
        session.require_open();
        return *session.context_;
    }

    std::lock_guard<Turnstile> lock_;
    ContextScope scope_;
};

Session::Session(const SessionOptions& options)
    : context_(context_for(options)),
      gpu_(context_->gpu()),
      abi_(choose_abi(options.forced_abi)),
      settings_(options.settings),
      extra_output_delay_(options.extra_output_delay),
      copy_(options.copy),
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

Session::~Session() { close_quietly(); }

void Session::close_quietly() noexcept {
    try {
        close();
    } catch (...) {
        // Nobody is left to be told; everything has been released all the same.
    }
}

void Session::set_up(const SessionOptions& options) {
    api_ = open_encoder(abi_, *context_);
    // Settings follow each live change; the largest size stays the one that the driver is given here.
    settings_.max_width = std::max(settings_.width, settings_.max_width);
    settings_.max_height = std::max(settings_.height, settings_.max_height);
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
    inputs_ = std::make_unique<Inputs>(context_, *api_, settings_);
    if (settings_.rgb_input) rgb_ = std::make_unique<RgbInput>(context_);
    std::vector<size_t> made;
    while (made.size() < expected) {
        made.push_back(inputs_->own_surface());
        inputs_->lend(made.back());
        free_outputs_.push_back(api_->create_output());
    }
    for (const size_t input : made) inputs_->give_back(input);
}

// Asked before the lock: a thread of the parent's may have held it at the fork, for ever as the child sees it.
void Session::require_own_process() const {
    if (made_in_ != process_generation()) {
        fail(ErrorKind::encoder_closed, "This encoder was made before a fork and cannot be used in the child.",
             "Make encoders in the process that uses them; start workers with multiprocessing's \"spawn\".");
    }
}

void Session::require_open() const {
    if (api_ == nullptr) closed();
}

CUstream Session::input_stream() const {
    require_own_process();
    const CUstream stream = input_stream_handle_;
    if (stream == nullptr) closed();
    return stream;
}

Submission Session::submit(const FrameView& frame, int64_t seq, const PictureExtras& extras, bool awaits_release,
                           Sink& sink) {
    const Turn turn(*this);
    require_size(frame);
    Submission submission{next_pts_, reads_in_place(frame, awaits_release), false};
    std::optional<size_t> input;
    CUcontext owner = context_->handle();
    if (submission.in_place) input = inputs_->find(frame);  // which was found to be right when it was registered
    if (!input && frame.memory == FrameMemory::device) {
        check_device(frame);
        owner = owner_of(frame, submission.in_place);
        if (submission.in_place && is_foreign(owner)) {
            require_copy("it belongs to another CUDA context");
            submission.in_place = false;
        }
    }
    if (!submission.in_place) {
        input = inputs_->own_surface();
        bring_in(frame, owner, *input);
    } else {
        submission.first_in_place = !input.has_value();
        if (!input) input = inputs_->add(frame);
        if (frame.order == ProducerOrder::on_stream) wait_for(frame.stream, owner);
    }
    encode(*input, seq, extras);
    collect(std::max(extra_output_delay_, held_back_), sink);
    return submission;
}

LentSurface Session::lend_surface() {
    const Turn turn(*this);
    const size_t input = inputs_->own_surface();
    inputs_->lend(input);
    return {input, inputs_->rows(input).pointer(), inputs_->rows(input).pitch()};
}

void Session::give_back_surface(size_t input) {
    if (made_in_ != process_generation()) return;
    const std::lock_guard<Turnstile> lock(turn_);
    if (inputs_ != nullptr) inputs_->give_back(input);
}

void Session::submit_surface(size_t input, CUstream written, int64_t seq, const PictureExtras& extras, Sink& sink) {
    const Turn turn(*this);
    if (!inputs_->fits(input)) {
        fail(ErrorKind::invalid_frame, "The surface is of the size that the encoder had before.", "Take a new one.");
    }
    wait_for(written, context_->handle());
    encode(input, seq, extras);
    inputs_->give_back(input);
    collect(std::max(extra_output_delay_, held_back_), sink);
}

void Session::forget(CUdeviceptr address) noexcept {
    if (made_in_ != process_generation()) return;
    const std::lock_guard<Turnstile> lock(turn_);
    if (inputs_ == nullptr) return;
    attempt([&] {
        const ContextScope scope(*context_);
        inputs_->forget(address, failures_);
    });
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
    inputs_->resize(settings_, failures_);
}

std::vector<uint8_t> Session::sequence_header() {
    const Turn turn(*this);
    return api_->sequence_header();
}

size_t Session::in_flight() const {
    require_own_process();
    const std::lock_guard<Turnstile> lock(turn_);
    return submitted_.size();
}

bool Session::is_in_flight(int64_t pts) const {
    const std::lock_guard<Turnstile> lock(turn_);
    return std::any_of(submitted_.begin(), submitted_.end(), [pts](const Submitted& s) { return s.pts == pts; });
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
    if (gpu != gpu_) {
        fail(ErrorKind::invalid_frame,
             "The frame lies on GPU " + std::to_string(gpu) + "; this encoder works on GPU " + std::to_string(gpu_) +
                 ".",
             "Copy the frame there, or make an encoder with gpu_id=" + std::to_string(gpu) + ".");
    }
}

// Memory of pools and managed memory belong to no context: all of the GPU's reach it.
CUcontext Session::owner_of(const FrameView& frame, bool in_place) const {
    const bool on_default_stream = frame.order == ProducerOrder::on_stream && is_default_stream(frame.stream);
    if (!in_place && !on_default_stream && !frame.image) return context_->handle();  // a copy reaches all contexts
    CUcontext owner = nullptr;
    const CUresult result =
        context_->functions().cuPointerGetAttribute(&owner, pointer_context, reinterpret_cast<CUdeviceptr>(frame.data));
    return result == cuda_success && owner != nullptr ? owner : context_->handle();
}

// Of a stream that CUDA knows nothing of, recording an event in it will tell.
CUcontext Session::context_of(CUstream stream, CUcontext of_default_streams) {
    if (is_default_stream(stream)) return of_default_streams;
    if (stream == known_stream_) return context_->handle();
    CUcontext context = nullptr;
    const CUresult result = context_->functions().cuStreamGetCtx(stream, &context);
    if (result != cuda_success || context == nullptr) return context_->handle();
    if (!is_foreign(context)) known_stream_ = stream;
    return context;
}

// The frame was measured before this call had its turn.
void Session::require_size(const FrameView& frame) const {
    const FormatTraits& format = traits_of(settings_.format);
    const bool right = frame.image ? frame.image->width == settings_.width && frame.image->height == settings_.height
                                   : frame.row_bytes == size_t{settings_.width} * format.pixel_bytes &&
                                         frame.rows == surface_rows(format, settings_.height);
    if (!right) {
        fail(ErrorKind::invalid_frame,
             "The encoder's picture size was changed by another thread while a frame came in.",
             "Submit it again in the new size.");
    }
}

bool Session::reads_in_place(const FrameView& frame, bool awaits_release) const {
    const bool left_alone = awaits_release || (extra_output_delay_ == 0 && held_back_ == 0);
    if (copy_ == CopyMode::always || (copy_ == CopyMode::automatic && !left_alone)) return false;
    const char* obstacle = frame.image ? "it is RGB, which the engine does not read" : inputs_->obstacle(frame);
    if (obstacle != nullptr) require_copy(obstacle);
    return obstacle == nullptr;
}

void Session::require_copy(const char* obstacle) const {
    if (copy_ != CopyMode::never) return;
    fail(ErrorKind::invalid_frame,
         std::string("copy='never' was asked for, but the frame cannot be read in place: ") + obstacle + ".",
         "Allocate it on the GPU with rows a multiple of 16 bytes apart, write into encoder.surface(), or allow the "
         "copy.");
}

OutputHandle Session::free_output() {
    if (free_outputs_.empty()) free_outputs_.push_back(api_->create_output());
    return free_outputs_.back();
}

void Session::wait_for(CUstream stream, CUcontext of_default_streams) {
    const bool recorded = !is_foreign(context_of(stream, of_default_streams)) && record_ready(stream);
    if (!recorded) return wait_for_foreign(stream, context_of(stream, of_default_streams));
    frame_ready_->make_wait(input_stream_handle_);
}

// An event is recorded in streams of its own context alone, while any stream may wait for it. So one is made for a
// stream of another context, for this once: contexts come and go, and their handles are used again.
void Session::wait_for_foreign(CUstream stream, CUcontext context) {
    const std::shared_ptr<const Context> theirs = Context::borrowed(context);
    const ContextScope scope(*theirs);
    const Event ready(theirs);
    ready.record(stream);
    ready.make_wait(input_stream_handle_);
}

// False where a stream that was known is gone, and another one of another context has its handle.
bool Session::record_ready(CUstream stream) {
    try {
        frame_ready_->record(stream);
        return true;
    } catch (const Error&) {
        if (std::exchange(known_stream_, nullptr) != stream || !is_foreign(context_of(stream, context_->handle())))
            throw;
        return false;
    }
}

void Session::make_foreign_default_wait(CUstream stream, CUcontext context) {
    const std::shared_ptr<const Context> theirs = Context::borrowed(context);
    const ContextScope scope(*theirs);
    frame_read_->make_wait(stream);
}

// Into a surface of the encoder's own, by a copy or by a conversion.
void Session::bring_in(const FrameView& frame, CUcontext owner, size_t input) {
    const NvtxRange range(frame.image ? "pdum.convert_to_nvenc" : "pdum.copy_to_nvenc");
    const CUstream ours = input_stream_handle_;
    const bool on_stream = frame.order == ProducerOrder::on_stream;
    if (on_stream) wait_for(frame.stream, owner);
    try {
        if (frame.image) {
            rgb_->convert(frame, !is_foreign(owner), settings_, inputs_->rows(input), ours);
        } else {
            copy_frame(frame, settings_.format, settings_.height, inputs_->rows(input), *context_, ours);
        }
        frame_read_->record(ours);
    } catch (...) {
        Failures ignored;                                        // what came first is told
        ignored.attempt([&] { input_stream_->synchronize(); });  // a part of it may be reading the frame
        throw;
    }
    if (on_stream) {
        // A default stream is that of the context that is current; others may wait for anything.
        const bool is_ours = !is_default_stream(frame.stream) || !is_foreign(owner);
        is_ours ? frame_read_->make_wait(frame.stream) : make_foreign_default_wait(frame.stream, owner);
    } else {
        frame_read_->synchronize();
    }
}

// The driver makes IDRs by the GOP's length and on demand, never by itself.
bool Session::next_is_idr(const PictureExtras& extras) const {
    return next_pts_ == 0 || must_be_idr_ || extras.force_idr || (settings_.gop != 0 && since_idr_ >= settings_.gop);
}

void Session::encode(size_t input, int64_t seq, const PictureExtras& extras) {
    const NvtxRange range("pdum.submit");
    PictureRequest request;
    request.output = free_output();
    request.width = settings_.width;
    request.height = settings_.height;
    request.pitch = inputs_->pitch(input);
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
        request.input = inputs_->map(input);
        accepted = api_->encode(request);
    } catch (...) {
        submitted_.pop_back();
        if (request.input != nullptr) attempt([&] { inputs_->unmap(input); });
        throw;
    }
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
    for (const size_t input : finished_inputs_) attempt([&] { inputs_->unmap(input); });
    finished_inputs_.clear();
    inputs_->drop_stale(failures_);
}

void Session::end_stream() {
    api_->end_of_stream();
    lockable_ = pending_outputs_.size();
    wanting_input_ = 0;
    must_be_idr_ = true;
}

void Session::close() {
    if (made_in_ != process_generation()) return abandon();
    const std::lock_guard<Turnstile> lock(turn_);
    if (api_ == nullptr) return;
    {
        std::optional<ContextScope> scope;
        attempt([&] { scope.emplace(*context_); });  // without it, what needs no context is released all the same
        drain();
        release_everything();
    }
    context_.reset();
    failures_.raise();
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
    input_stream_handle_ = nullptr;
    const bool idle = pending_outputs_.empty();
    for (const OutputHandle output : locked_outputs_) {
        if (attempt([&] { api_->unlock(output); })) free_outputs_.push_back(output);
    }
    if (inputs_ != nullptr) inputs_->release(idle, failures_);
    for (const OutputHandle output : free_outputs_) attempt([&] { api_->destroy_output(output); });
    if (api_ != nullptr) attempt([this] { api_->destroy(); });
    inputs_.reset();
    rgb_.reset();
    api_.reset();
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
    if (inputs_ != nullptr) inputs_->abandon();
    inputs_.reset();
    static_cast<void>(rgb_.release());
    static_cast<void>(frame_read_.release());
    static_cast<void>(frame_ready_.release());
    static_cast<void>(output_stream_.release());
    static_cast<void>(input_stream_.release());
    static_cast<void>(api_.release());
}

}  // namespace pdum::nvenc
