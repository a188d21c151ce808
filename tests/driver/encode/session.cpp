#include "encode/session.hpp"

#include <algorithm>
#include <cstdio>

#include "common/instrument.hpp"
#include "common/text.hpp"
#include "encode/breach.hpp"
#include "encode/replay.hpp"
#include "recordings/statuses.hpp"

namespace nvsim {

namespace {

// The engine may write into a buffer as soon as its client has unlocked it.
void spoil(std::vector<uint8_t>& data) {
    constexpr uint8_t garbage = 0xDD;
    if (instrument::strict()) std::fill(data.begin(), data.end(), garbage);
}

}  // namespace

Session::Session(Cell& cell, Device& device, uint32_t number, void* context, std::string api, size_t null_bytes)
    : cell_(cell), device_(device), number_(number), context_(context), api_(std::move(api)), null_bytes_(null_bytes) {}

Session::~Session() {
    if (engine_ != nullptr) --engine_->sessions;
}

void Session::require_initialized() const {
    if (maker_ == nullptr) violate(recorded::early_picture, "the encoder has not been initialised");
}

void Session::check_supported(const EncoderSetup& setup) const {
    const PictureFormat& format = setup.settings.stream.format;
    const Codec codec = setup.settings.stream.codec;
    const auto check = [&](const char* what, int value, const char* limit) {
        const int least = device_.cap(codec, std::string(limit) + "_MIN");
        const int most = device_.cap(codec, std::string(limit) + "_MAX");
        if (value < least)
            refuse(Status::invalid_param, text(what, " ", value, " is less than the minimum of ", least));
        if (most > 0 && value > most)
            refuse(Status::invalid_param, text(what, " ", value, " is more than the maximum of ", most));
    };
    check("width", format.width, "WIDTH");
    check("height", format.height, "HEIGHT");
    if (setup.gop.interval > 1 && setup.gop.interval - 1 > device_.cap(codec, "NUM_MAX_BFRAMES"))
        forbid(recorded::initialize_many_b_frames, Status::invalid_param,
               text("frameIntervalP ", setup.gop.interval, " asks for more B pictures than the ",
                    device_.cap(codec, "NUM_MAX_BFRAMES"), " that this GPU codes"));
    const int slots = setup.settings.stream.long_term_slots, most_slots = device_.cap(codec, "NUM_MAX_LTR_FRAMES");
    if (slots > most_slots)
        forbid(Status::success, Status::invalid_param,
               text("ltrNumFrames ", slots, " is more than the ", most_slots, " that this GPU keeps"));
    const int layers = setup.settings.stream.layers.count, most_layers = device_.cap(codec, "NUM_MAX_TEMPORAL_LAYERS");
    if (layers > std::max(most_layers, 1))
        forbid(Status::success, Status::invalid_param,
               text("numTemporalLayers ", layers, " is more than the ", most_layers, " that this GPU codes"));
    for (const char* capability : setup.needs)
        if (device_.cap(codec, capability) == 0)
            refuse(Status::invalid_param,
                   text("NV_ENC_CAPS_", capability, " is 0 for this codec on the ", device_.gpu.name));
}

void Session::initialize(const EncoderSetup& setup) {
    if (maker_ != nullptr)
        return forbid(recorded::initialize_again, Status::invalid_call,
                      "the encoder is initialised already; use reconfigure");
    const Codec codec = setup.settings.stream.codec;
    if (!device_.supports(codec)) refuse(recorded::initialize_missing_codec, "this GPU does not encode this codec");
    if (setup.async) refuse(recorded::initialize_async, "enableEncodeAsync: completion events do not exist on Linux");
    check_supported(setup);
    setup_ = setup;
    setup_.settings.gpu = device_.gpu.name;
    setup_.settings.gpu_index = device_.index;
    engine_ = device_.least_loaded(setup_.settings.engine_index);
    try {
        maker_ = make_maker();
    } catch (...) {
        --engine_->sessions;
        engine_ = nullptr;
        throw;
    }
    reads_pixels_ = maker_->reads_pixels();
    delay_ = maker_->delay();
    inline_ = !reads_pixels_ && engine_->can_run_inline();
    differs_ = settings()->differs;
    setup_.gop.forced_idr_restarts = !differs("forced_idr_keeps_period");
    planner_ = GopPlanner(setup_.gop);
    const PictureFormat& format = setup_.settings.stream.format;
    const StreamSettings& stream = setup_.settings.stream;
    if (ticket != nullptr)
        ticket->update({0, device_.index, device_.gpu.geforce, static_cast<int>(codec),
                        static_cast<uint32_t>(format.width), static_cast<uint32_t>(format.height),
                        stream.fps_denominator ? stream.fps_numerator / stream.fps_denominator : 0, 0});
}

std::unique_ptr<Maker> Session::make_maker() const {
    const Backend backend = settings()->backend;
    if (setup_.motion_only || backend == Backend::null) return make_null(setup_.settings, null_bytes_);
    const bool is_real =
        backend == Backend::codec || (backend == Backend::automatic && codec_obstacle(codec()).empty());
    const auto make = is_real ? make_real : make_echo;
    return setup_.trials.states > 0 ? make_replaying(setup_.settings, make) : make(setup_.settings);
}

// What NVENC's programming guide ties to a capability; the recorded card validates nothing here.
void Session::check_live(const EncoderSetup& setup) const {
    const auto lacks = [&](const char* name) { return device_.cap(codec(), name) == 0; };
    const uint32_t old_mode = setup_.rate_control_mode, mode = setup.rate_control_mode;
    if (old_mode == mode) return;
    const bool to_constqp = mode == 0;
    if (to_constqp ? !lacks("SUPPORT_DYN_FORCE_CONSTQP") : !lacks("SUPPORT_DYN_RCMODE_CHANGE")) return;
    forbid(Status::success, Status::invalid_param,
           text("the ", device_.gpu.name, " cannot change rateControlMode from ", old_mode, " to ", mode,
                " in a running session"));
}

void Session::reconfigure(const EncoderSetup& setup, bool reset, bool force_idr) {
    require_initialized();
    const StreamSettings& old = setup_.settings.stream;
    const StreamSettings& wanted = setup.settings.stream;
    if (wanted.codec != old.codec) refuse(Status::invalid_param, "the codec cannot be changed");
    check_supported(setup);
    if (wanted.format.width > setup_.max_width || wanted.format.height > setup_.max_height)
        forbid(recorded::reconfigure_larger, Status::invalid_param,
               text("the size may grow to maxEncodeWidth x maxEncodeHeight only, ", setup_.max_width, "x",
                    setup_.max_height));
    if (setup.gop.interval != setup_.gop.interval || setup.gop.lookahead != setup_.gop.lookahead ||
        setup.gop.decide != setup_.gop.decide)
        refuse(Status::invalid_param, "frameIntervalP, lookahead and enablePTD cannot be changed");
    check_live(setup);
    const bool resized = wanted.format.width != old.format.width || wanted.format.height != old.format.height;
    if (resized && !(reset && force_idr))
        forbid(recorded::reconfigure_smaller, Status::invalid_param,
               "a change of size needs resetEncoder and forceIDR");
    if (resized || reset || force_idr) require_restored("the encoder is reset");
    if (resized && !window_.empty()) violate(Status::invalid_call, "a change of size with pictures in flight");
    EncoderSetup next = setup;
    next.max_width = std::max(setup_.max_width, wanted.format.width);
    next.max_height = std::max(setup_.max_height, wanted.format.height);
    next.settings.engine_index = setup_.settings.engine_index;
    next.settings.gpu = setup_.settings.gpu;
    next.settings.gpu_index = setup_.settings.gpu_index;
    setup_ = next;
    planner_.replace_lengths(setup_.gop);
    if (reset || force_idr) planner_.restart_at_next_picture();
    apply_settings();
}

std::vector<uint8_t> Session::headers() {
    require_initialized();
    const std::lock_guard<std::mutex> guard(maker_mutex_);
    return maker_->headers();
}

void Session::set_streams(cu::Stream input, cu::Stream output) {
    require_initialized();
    input_stream_ = input;
    output_stream_ = output;
    streams_set_ = true;
}

LockedBitstream Session::lock(std::unique_lock<std::mutex>& mutex, void* handle, bool wait) {
    Bitstream& out = bitstream(handle);
    if (locked_ > 0 && out.state != Bitstream::locked && !release_faulted && !device_.lost)
        forbid(Status::success, Status::invalid_call,
               text("output ", hex(handle), " is locked while another one is locked"));
    // If the client's calls decide what it sees, they do not depend on the engine's speed.
    if (setup_.sub_frames && !wait && settings()->slices_per_lock > 0 && out.state == Bitstream::pending) {
        ++lockers_;
        cell_.changed.wait(mutex, [&] { return out.state != Bitstream::pending || closing_ || device_.lost; });
        --lockers_;
        if (closing_) cell_.changed.notify_all();
    }
    if (LockedBitstream part; shows_a_part(out, wait, part)) return part;
    if (out.state == Bitstream::pending) {
        if (!wait) refuse(Status::lock_busy, "the picture is not done yet");
        const bool alone = one_encoder_thread_ && std::this_thread::get_id() == encoder_thread_;
        if (out.order >= promised_ && alone && instrument::strict())
            violate(Status::invalid_call, text("lock of output ", hex(handle),
                                               " would wait forever: its access unit comes only after "
                                               "further pictures or the end of the stream, which this thread sends"));
        ++lockers_;
        cell_.changed.wait(mutex, [&] { return out.state != Bitstream::pending || closing_ || device_.lost; });
        --lockers_;
        if (closing_) {
            cell_.changed.notify_all();
            refuse(Status::invalid_encoder_device, "the session was destroyed while this call waited");
        }
        if (out.state == Bitstream::pending) refuse(Status::device_not_exist, "the device is lost");
    }
    if (out.state == Bitstream::locked)
        violate(Status::invalid_call, text("output ", hex(handle), " is locked already"));
    if (out.state == Bitstream::idle)
        violate(Status::invalid_param, text("lock of output ", hex(handle), ", with which no picture was submitted"));
    if (out.failed) {
        out.state = Bitstream::idle;
        out.failed = false;
        refuse(Status::generic, "the picture could not be coded: " + failure_);
    }
    out.state = Bitstream::locked;
    ++locked_;
    return out.view;
}

void Session::unlock(void* handle) {
    Bitstream& out = bitstream(handle);
    if (std::exchange(out.sub_frame.is_locked, false)) {
        --locked_;
        return spoil(out.sub_frame.lent);
    }
    if (out.state != Bitstream::locked)
        return forbid(recorded::unlock_idle_bitstream, Status::invalid_call,
                      text("unlock of output ", hex(handle), ", which is not locked"));
    --locked_;
    out.state = Bitstream::idle;
    out.sub_frame = {};
    spoil(out.unit.data);
}

void Session::destroy(std::unique_lock<std::mutex>& mutex) {
    closing_ = true;
    cell_.changed.notify_all();
    cell_.changed.wait(mutex, [&] { return lockers_ == 0; });
    const bool unended = outputs_ > 0 && !ended_;
    const char* const without_end = "with pictures in it and no end of stream sent after them";
    if (engine_ != nullptr && !inline_) {
        const std::shared_ptr<Session> keep = shared_from_this();
        mutex.unlock();
        const bool stalled = engine_->cancel(this);
        mutex.lock();
        if (unended && !stalled) report_at_destroy(without_end);
    } else if (unended) {
        report_at_destroy(without_end);
    }
    report_leftovers();
    const bool used_cuda = staging_.size() > 0 || check_stream_ != nullptr;
    if (!used_cuda) return;
    const cu::Current current(context_);
    if (!current.ok) return report_at_destroy("after its CUDA context was destroyed");
    staging_.release();
    check_pool_.release();
    if (check_stream_ != nullptr) cu::calls()->stream_destroy(check_stream_);
}

void Session::report_at_destroy(const std::string& what) {
    if (!release_faulted && !device_.lost) instrument::violation(name(), "the session was destroyed " + what);
}

void Session::report_leftovers() {
    int locked = 0;
    bitstreams_.for_each([&](Bitstream& out) { locked += out.is_locked(); });
    inputs_.for_each([&](InputBuffer& input) { locked += input.locked; });
    if (locked) report_at_destroy(text("with ", locked, " buffer(s) locked"));
    if (mapped_.live()) report_at_destroy(text("with ", mapped_.live(), " resource(s) mapped"));
    if (registered_.live()) report_at_destroy(text("with ", registered_.live(), " resource(s) registered"));
    if (bitstreams_.live()) report_at_destroy(text("with ", bitstreams_.live(), " bitstream buffer(s) alive"));
    if (inputs_.live()) report_at_destroy(text("with ", inputs_.live(), " input buffer(s) alive"));
}

void Session::count(SessionCounts& counts) {
    ++counts.sessions;
    counts.bitstream_buffers += bitstreams_.live();
    counts.input_buffers += inputs_.live();
    counts.registered += registered_.live();
    counts.mapped += mapped_.live();
    bitstreams_.for_each([&](Bitstream& out) { counts.locked += out.is_locked(); });
    inputs_.for_each([&](InputBuffer& input) { counts.locked += input.locked; });
}

}  // namespace nvsim
