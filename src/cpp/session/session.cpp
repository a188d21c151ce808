#include "session/session.hpp"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <tuple>
#include <utility>

#include "core/nvtx.hpp"
#include "core/process.hpp"
#include "session/frame_checks.hpp"
#include "session/frame_copy.hpp"
#include "session/gpu_limits.hpp"
#include "session/open_encoder.hpp"

namespace pdum::nvenc {
namespace {

// How far decoding runs ahead of display if B-frames refer to one another as a tree.
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

constexpr const char* advice_for_copies =
    "Allocate it by cudaMalloc with rows a multiple of 16 bytes apart, write into encoder.surface(), or allow the "
    "copy.";

Error never_in_place(ErrorDetails refusal) {
    refusal.kind = ErrorKind::invalid_frame;
    refusal.summary = "copy='never' was asked for, but the driver refused to read the frame in place";
    refusal.advice = advice_for_copies;
    return Error(std::move(refusal));
}

Error with_copy_as_way_out(ErrorDetails refusal) {
    refusal.advice =
        "This was the first picture from the frame's memory. If the driver cannot read that memory, allow "
        "the copy (copy='auto'). " +
        refusal.advice;
    return Error(std::move(refusal));
}

// Whether the driver's refusal may be about the memory that it was given.
bool may_be_about_memory(const ErrorDetails& refusal) {
    return refusal.kind == ErrorKind::encoder_failed || refusal.kind == ErrorKind::unsupported_feature ||
           refusal.kind == ErrorKind::out_of_memory;
}

[[noreturn]] void closed() { fail(ErrorKind::encoder_closed, "This encoder is closed.", "Make a new one."); }

}  // namespace

// One call at a time, on a usable encoder, with its context current. A release that failed in an earlier call is raised
// here, before anything new begins.
class Session::Turn {
   public:
    explicit Turn(Session& session) : lock_(turn_of(session)), scope_(usable(session)) { session.failures_.raise(); }

   private:
    static Turnstile& turn_of(Session& session) {
        session.require_own_process();
        return session.turn_;
    }

    static const Context& usable(const Session& session) {
        if (session.api_ == nullptr) closed();
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
      made_in_(process_generation()) {
    const ContextScope scope(*context_);
    try {
        set_up();
    } catch (...) {
        release_everything(true);
        throw;
    }
}

Session::~Session() { close_quietly(); }

void Session::close_quietly() noexcept {
    try {
        close();
    } catch (...) {
        // Nobody is left to hear of it, and everything has been released.
    }
}

void Session::set_up() {
    api_ = open_encoder(abi_, *context_);
    // settings_ follows each live change; the largest size stays what the driver is given here.
    settings_.max_width = std::max(settings_.width, settings_.max_width);
    settings_.max_height = std::max(settings_.height, settings_.max_height);
    settings_ = api_->with_presets_numbers(settings_);
    require_within_limits(*api_, *context_, settings_);
    api_->initialize(settings_);
    position_.next_dts = -display_delay(settings_.b_frames);
    order_ = std::make_unique<StreamOrder>(context_);
    output_stream_ = std::make_unique<Stream>(context_);
    std::atomic_store(&open_input_, order_->input());
    api_->order_by_streams(order_->input()->address(), output_stream_->address());
    inputs_ = std::make_unique<Inputs>(context_, *api_, settings_);
    outputs_ = std::make_unique<OutputQueue>(*api_, settings_.reorder_depth(), settings_.b_frames);
    maps_ = std::make_unique<PictureMaps>(context_);
    if (settings_.rgb_input) rgb_ = std::make_unique<RgbInput>(context_);
    // With a lookahead, the B-frames that wait for an anchor are held back beside it.
    const uint32_t held = outputs_->held_back() + (settings_.rate.lookahead > 0 ? settings_.b_frames : 0);
    const size_t expected = std::max(extra_output_delay_, held) + size_t{1};
    for (size_t i = 0; i < expected; ++i) {
        inputs_->new_surface();
        outputs_->add();
    }
}

// Call it before taking the lock: a thread of the parent may have held the lock at the fork, and the child would wait
// for ever.
void Session::require_own_process() const {
    if (made_in_ != process_generation()) {
        fail(ErrorKind::encoder_closed, "This encoder was made before a fork and cannot be used in the child.",
             "Make encoders in the process that uses them; start workers with multiprocessing's \"spawn\".");
    }
}

std::shared_ptr<const Stream> Session::input_stream() const {
    require_own_process();
    std::shared_ptr<const Stream> stream = std::atomic_load(&open_input_);
    if (stream == nullptr) closed();
    return stream;
}

void Session::submit(const FrameView& frame, int64_t seq, const PictureExtras& extras, bool awaits_release, Sink& sink,
                     Submission& submission) {
    const Turn turn(*this);
    require_size(frame, settings_);
    submission.pts = position_.next_pts;
    submission.in_place = reads_in_place(frame, awaits_release);
    std::optional<size_t> input;
    CUcontext owner = context_->handle();
    if (submission.in_place) input = inputs_->find(frame);  // it was checked when it was registered
    if (!input && frame.memory == FrameMemory::device) {
        require_device(frame, *context_);
        if (submission.in_place) submission.in_place = is_readable_memory(frame);
        owner = owner_of(frame, submission.in_place, *context_);
        if (submission.in_place && is_foreign(owner)) {
            require_copy("it belongs to another CUDA context");
            submission.in_place = false;
        }
    }
    if (submission.in_place) input = take_in_place(frame, owner, input, submission);
    if (!input) {
        input = inputs_->own_surface();
        bring_in(frame, owner, *input);
    }
    if (submission.registered) {
        encode_new_memory(frame, owner, *input, seq, extras, submission);
    } else {
        encode(*input, seq, extras);
    }
    submission.accepted = true;
    collect(may_stay_in_flight(), sink);
}

std::optional<size_t> Session::take_in_place(const FrameView& frame, CUcontext owner, std::optional<size_t> registered,
                                             Submission& submission) {
    submission.in_place = false;
    if (!registered) {
        if (!driver_accepts(frame, [&] { registered = inputs_->add(frame); })) return std::nullopt;
        submission.registered = true;
        submission.unregistered = inputs_->take_unregistered();
    }
    if (frame.order == ProducerOrder::on_stream) order_->wait_for(frame.stream, owner);
    if (!driver_accepts(frame, [&] { inputs_->map_ahead(*registered); })) {
        submission.registered = false;
        return std::nullopt;
    }
    submission.in_place = true;
    return registered;
}

template <typename Step>
bool Session::driver_accepts(const FrameView& frame, Step step) {
    try {
        step();
        return true;
    } catch (const Error& refusal) {
        const ErrorDetails& details = refusal.details();
        if (!may_be_about_memory(details) || (details.kind == ErrorKind::out_of_memory && copy_ == CopyMode::never))
            throw;
        inputs_->refuse(frame, failures_);
        if (copy_ == CopyMode::never) throw never_in_place(details);
        return false;
    }
}

// A refusal is remembered only if the copy is taken: a failure that both have is not about the memory.
void Session::encode_new_memory(const FrameView& frame, CUcontext owner, size_t input, int64_t seq,
                                const PictureExtras& extras, Submission& submission) {
    try {
        return encode(input, seq, extras);
    } catch (const Error& refusal) {
        if (!may_be_about_memory(refusal.details())) throw;
        if (copy_ == CopyMode::never) throw with_copy_as_way_out(refusal.details());
    }
    const size_t surface = inputs_->own_surface();
    bring_in(frame, owner, surface);
    encode(surface, seq, extras);
    inputs_->refuse(frame, failures_);
    submission.in_place = submission.registered = false;
}

SurfaceLease Session::lend_surface(CUstream stream) {
    const Turn turn(*this);
    return inputs_->lend(stream);
}

void Session::submit_surface(SurfaceLease& lease, CUstream written, int64_t seq, const PictureExtras& extras,
                             Sink& sink) {
    const Turn turn(*this);
    if (!inputs_->fits(lease.input())) {
        fail(ErrorKind::invalid_frame, "The surface is of the size that the encoder had before.", "Take a new one.");
    }
    order_->wait_for(written, context_->handle());
    lease.set_followed_by(order_->input());
    encode(lease.input(), seq, extras);
    lease.set_submitted();
    collect(may_stay_in_flight(), sink);
}

void Session::forget(CUdeviceptr address) noexcept {
    if (made_in_ != process_generation()) return;
    const std::lock_guard<Turnstile> lock(turn_);
    if (inputs_ == nullptr) return;
    failures_.run([&] {
        const ContextScope scope(*context_);
        inputs_->forget(address, failures_);
    });
}

void Session::flush(Sink& sink) {
    const Turn turn(*this);
    if (outputs_->holds_back()) end_stream();
    collect(0, sink);
}

bool Session::lost(int64_t seq) {
    const Turn turn(*this);
    if (position_.must_be_idr) return false;
    const ReferenceHistory::Loss loss = references_.loss_of(seq, settings_.reference_frames);
    if (loss.is_harmless) return true;
    if (loss.leaves_intact && can_invalidate() && invalidate(loss.spoilt)) {
        references_.spoil(loss.spoilt);
        return true;
    }
    position_.must_be_idr = true;
    return false;
}

void Session::reconfigure(const std::vector<Change>& changes) {
    const Turn turn(*this);
    Settings settings = settings_;
    for (const Change& change : changes) change(settings);
    const bool resized = settings.width != settings_.width || settings.height != settings_.height;
    require_live_change(*api_, *context_, settings_, settings);
    if (resized && outputs_->holds_back()) end_stream();
    api_->reconfigure(settings, resized);
    settings_ = settings;
    if (!resized) return;
    position_.must_be_idr = true;
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
    if (made_in_ != process_generation()) return true;
    const std::lock_guard<Turnstile> lock(turn_);
    return std::any_of(submitted_.begin(), submitted_.end(), [pts](const Submitted& s) { return s.pts == pts; });
}

bool Session::reads_in_place(const FrameView& frame, bool awaits_release) const {
    const bool left_alone = awaits_release || may_stay_in_flight() == 0;
    if (copy_ == CopyMode::always || (copy_ == CopyMode::automatic && !left_alone)) return false;
    const char* obstacle = frame.image ? "it is RGB, which the engine does not read" : inputs_->obstacle(frame);
    if (obstacle != nullptr) require_copy(obstacle);
    return obstacle == nullptr;
}

bool Session::is_readable_memory(const FrameView& frame) const {
    if (inputs_->is_readable(frame)) return true;
    if (copy_ == CopyMode::never) require_copy(inputs_->obstacle_of_memory(frame));
    return false;
}

void Session::require_copy(const char* obstacle) const {
    if (copy_ != CopyMode::never) return;
    fail(ErrorKind::invalid_frame,
         std::string("copy='never' was asked for, but the frame cannot be read in place: ") + obstacle + ".",
         advice_for_copies);
}

// Copies or converts a frame into one of the encoder's own surfaces.
void Session::bring_in(const FrameView& frame, CUcontext owner, size_t input) {
    const NvtxRange range(frame.image ? "pdum.convert_to_nvenc" : "pdum.copy_to_nvenc");
    const CUstream ours = order_->input()->handle();
    const bool on_stream = frame.order == ProducerOrder::on_stream;
    if (on_stream) order_->wait_for(frame.stream, owner);
    try {
        if (frame.image) {
            rgb_->convert(frame, !is_foreign(owner), settings_, inputs_->rows(input), ours);
        } else {
            copy_frame(frame, settings_.format, settings_.height, inputs_->rows(input), *context_, ours);
        }
        order_->mark_read();
    } catch (...) {
        Failures ignored;                                         // the first failure is raised
        ignored.run([this] { order_->input()->synchronize(); });  // a part of the work may be reading the frame
        throw;
    }
    on_stream ? order_->make_wait_until_read(frame.stream, owner) : order_->wait_until_read();
}

// The driver makes an IDR after each GOP and on demand, and no others.
bool Session::next_is_idr(const PictureExtras& extras) const {
    return position_.next_pts == 0 || position_.must_be_idr || extras.force_idr ||
           (settings_.gop != 0 && position_.since_idr >= settings_.gop);
}

size_t Session::may_stay_in_flight() const { return std::max(extra_output_delay_, outputs_->held_back()); }

void Session::encode(size_t input, int64_t seq, const PictureExtras& extras) {
    const NvtxRange range("pdum.submit");
    PictureRequest request;
    request.output = outputs_->empty();
    request.width = settings_.width;
    request.height = settings_.height;
    request.pitch = inputs_->pitch(input);
    request.timestamp = static_cast<uint64_t>(position_.next_pts);
    request.force_idr = extras.force_idr || position_.must_be_idr;
    request.force_intra = extras.force_intra;
    const bool idr = next_is_idr(extras);
    request.is_idr = idr;
    request.extras = extras.has_codec_fields() ? &extras : nullptr;
    if (!idr) require_long_term(extras);
    submitted_.push_back({position_.next_pts, seq, input});
    Accepted accepted{};
    try {
        request.input = inputs_->map(input);
        submitted_.back().map = maps_->map_for(extras.map, settings_);
        request.map = submitted_.back().map.get();
        accepted = api_->encode(request);
    } catch (...) {
        submitted_.pop_back();
        if (request.input != nullptr) inputs_->unmap(input, failures_);
        throw;
    }
    outputs_->push(accepted);
    references_.add(position_.next_pts, seq, idr, extras.mark_long_term);
    ++position_.next_pts;
    position_.must_be_idr = false;
    position_.since_idr = idr ? 1 : position_.since_idr + 1;
}

void Session::collect(size_t may_stay_in_flight, Sink& sink) {
    const NvtxRange range("pdum.collect_output");
    bool is_first = true;
    while (outputs_->has_promised() && submitted_.size() > may_stay_in_flight && hand_over_next(is_first, sink)) {
        is_first = false;
    }
}

// No chip is known to keep two access units locked, so one goes back before the next comes. If the driver refuses the
// first one of a call, nothing is lost yet; later ones wait for the next call, which raises the failure.
bool Session::hand_over_next(bool is_first, Sink& sink) {
    LockedAccessUnit locked;
    if (is_first) {
        locked = outputs_->lock_next(failures_);
    } else if (!failures_.run([&] { locked = outputs_->lock_next(failures_); })) {
        return false;
    }
    const auto pts = static_cast<int64_t>(locked.timestamp);
    const auto it =
        std::find_if(submitted_.begin(), submitted_.end(), [&](const Submitted& s) { return s.pts == pts; });
    if (it == submitted_.end()) {
        fail(ErrorKind::encoder_failed, "The driver gave an access unit for a frame that is not in flight.",
             "Please report it with the driver's version.");
    }
    const Submitted frame = *it;
    submitted_.erase(it);
    try {
        sink.take({frame.seq, pts, position_.next_dts++, locked.type, locked.average_qp, locked.data, locked.size});
    } catch (...) {
        give_back(frame.input);
        throw;
    }
    give_back(frame.input);
    return true;
}

// A failure here costs no access unit: the next call raises it.
void Session::give_back(size_t input) noexcept {
    outputs_->unlock_all(failures_);
    inputs_->unmap(input, failures_);
    inputs_->drop_stale(failures_);
}

void Session::end_stream() {
    api_->end_of_stream();
    outputs_->end_stream();
    position_.must_be_idr = true;
}

void Session::close() {
    if (made_in_ != process_generation()) return abandon();
    const std::lock_guard<Turnstile> lock(turn_);
    if (api_ == nullptr) return;
    {
        std::optional<ContextScope> scope;
        failures_.run([&] { scope.emplace(*context_); });  // some things are released even without it
        release_everything(drain());
    }
    context_.reset();
    failures_.raise();
}

// Nothing may be taken away from a running engine, and the stream has to be ended before its session. If the driver
// does not take the end, or does not give out what it promised, it is asked once more. After the end of the stream, the
// engine is done when the output stream is.
bool Session::drain() noexcept {
    const auto end_it = [this] { return failures_.run([this] { end_stream(); }); };
    if (outputs_->is_unended()) end_it();
    if (outputs_->drain(failures_) && !outputs_->is_unended()) return true;
    const bool ended = !failures_.device_is_lost() && end_it();
    return outputs_->drain(failures_) || (ended && failures_.run([this] { output_stream_->synchronize(); }));
}

// What the driver does not take back piece by piece, and what the engine may still use, the driver takes back with the
// session.
void Session::release_everything(bool engine_is_done) noexcept {
    std::atomic_store(&open_input_, std::shared_ptr<const Stream>());
    if (outputs_ != nullptr) outputs_->unlock_all(failures_);
    if (inputs_ != nullptr) inputs_->release(engine_is_done, failures_);
    if (outputs_ != nullptr) outputs_->release(engine_is_done, failures_);
    if (api_ != nullptr) failures_.run([this] { api_->destroy(); });
    abandon();
}

// Forgets everything without a call of the encode interface. That is all that a forked child may do: the driver's
// objects are its parent's there, and calling it can hang on a lock that a thread of the parent held.
void Session::abandon() noexcept {
    submitted_.clear();
    inputs_.reset();
    outputs_.reset();
    rgb_.reset();
    maps_.reset();
    api_.reset();
    order_.reset();
    output_stream_.reset();
}

}  // namespace pdum::nvenc
