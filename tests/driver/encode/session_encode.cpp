// A session's way from a submitted picture to the engine.
#include "common/instrument.hpp"
#include "common/text.hpp"
#include "encode/breach.hpp"
#include "encode/jobs.hpp"
#include "encode/recovery_point.hpp"
#include "encode/session.hpp"
#include "recordings/statuses.hpp"

namespace nvsim {

Status Session::encode(const Submission& submission) {
    require_initialized();
    if (submission.completion_event != nullptr)
        violate(Status::invalid_event, "a completion event was given; the session is not asynchronous");
    if (submission.flags & end_of_stream) {
        if (!release_faulted) require_restored("the stream ends");
        submit_end();
        return Status::success;
    }
    if (setup_.motion_only) violate(Status::invalid_call, "a picture is encoded in a session with enableMEOnlyMode");
    if (ended_ && differs("end_is_final")) refuse(Status::invalid_call, "the stream has ended");
    if (submission.structure > 3) refuse(recorded::picture_unknown_struct, "Invalid value for NV_ENC_PIC_STRUCT.");
    if (submission.structure > 1 && !stream().tools.interlaced)
        forbid(Status::success, Status::invalid_param, "a picture of two fields, but frameFieldMode is not FIELD");
    check_type(submission);
    check_view(submission);
    check_trial(submission);
    check_shown(submission);
    const bool is_further = goes_back(submission);
    reference_rules_.check(submission.references, stream());
    Bitstream& out = find_output(submission);
    Record& record = new_record();
    try {
        find_input(submission, record);
        find_alpha(submission, record);
        take_map(submission, record);
        take_hints(submission, record);
        take_reconstruction(submission, record);
        if (reads_pixels_) read_pixels(record);
        if (reads_pixels_ && record.alpha_in_flight != nullptr) read_alpha(record);
    } catch (...) {
        free_records_.push_back(&record);
        throw;
    }
    further_trials_ += is_further;
    accept(submission, record, out);
    if (!is_further) take_shown();
    begin_trials(submission);
    plan_.clear();
    if (is_further)
        plan_.push_back({record.source.serial, tried_->type});
    else
        plan(submission, record.source.serial);
    start(plan_);
    if (submission.is_trial()) remember_trial(submission, out, plan_.front());
    const bool more = plan_.empty() || planned_ <= static_cast<uint64_t>(delay_);
    return more ? Status::need_more_input : Status::success;
}

// A client that gives the types itself has to begin with an IDR picture, to say which pictures are references, and to
// leave the flags alone, which are the driver's way.
void Session::check_type(const Submission& submission) const {
    if (setup_.gop.decide) return;
    const auto require = [](bool holds, const char* message) {
        if (!holds) forbid(Status::success, Status::invalid_param, message);
    };
    require((submission.flags & (force_idr | force_intra)) == 0, "a picture type is forced by a flag with enablePTD 0");
    require(planner_.is_started() || submission.type == PictureType::idr, "the first picture is no IDR picture");
    require(submission.references.is_reference || submission.type != PictureType::idr,
            "an IDR picture without refPicFlag");
}

void Session::invalidate(uint64_t timestamp) {
    require_initialized();
    require_restored("a reference is invalidated");
    if (device_.cap(codec(), "SUPPORT_REF_PIC_INVALIDATION") == 0)
        forbid(Status::success, Status::unsupported_param,
               text("NV_ENC_CAPS_SUPPORT_REF_PIC_INVALIDATION is 0 on the ", device_.gpu.name));
    if (const auto serial = reference_rules_.invalidated(timestamp)) next_invalidated_.push_back(*serial);
}

// From here on nothing can fail: the picture belongs to the session.
void Session::accept(const Submission& submission, Record& record, Bitstream& out) {
    SourcePicture& source = record.source;
    source.serial = next_serial_++;
    source.timestamp = submission.timestamp;
    source.duration = submission.duration;
    source.frame_index = submission.frame_index;
    source.structure = static_cast<int>(submission.structure);
    source.flags = submission.flags;
    source.is_trial = submission.is_trial();
    record.display_index = submission.is_trial() ? submission.frame_index : source.serial - further_trials_;
    source.output_headers = (submission.flags & output_headers) != 0;
    record.references = submission.references;
    record.film_grain = submission.film_grain;
    source.film_grain = &record.film_grain;
    record.sei.swap(next_sei_);
    source.sei = &record.sei;
    record.invalidated = std::exchange(next_invalidated_, {});
    source.invalidated = &record.invalidated;
    last_map_ = record.map;
    source.map = record.map.get();
    if (!inline_) record.submitted = Clock::now();
    if (record.in_flight != nullptr) ++*record.in_flight;
    if (record.alpha_in_flight != nullptr) ++*record.alpha_in_flight;
    if (record.reconstruction != nullptr) ++record.reconstruction->in_flight;
    record.grid = grid_of(source.width, source.height, setup_.map_block);
    window_.push_back(&record);
    out.state = Bitstream::pending;
    out.paired = &record;
    out.order = outputs_++;
    waiting_outputs_.push_back(&out);
    const auto here = std::this_thread::get_id();
    if (encoder_thread_ != here) {
        one_encoder_thread_ = encoder_thread_ == std::thread::id();
        encoder_thread_ = here;
    }
    ended_ = false;
}

Bitstream& Session::find_output(const Submission& submission) {
    if (submission.output == nullptr) refuse(recorded::picture_null_output, "outputBitstream is null");
    Bitstream& out = bitstream(submission.output);
    if (out.state != Bitstream::idle)
        violate(Status::invalid_param,
                text("output ", hex(submission.output), " is used again while ",
                     out.state == Bitstream::locked ? "it is locked" : "its access unit has not been locked"));
    return out;
}

void Session::find_input(const Submission& submission, Record& record) {
    SurfaceSource& surface = record.surface;
    const PictureFormat& coded = setup_.settings.stream.format;
    uint32_t width = 0, height = 0;
    if (submission.input == nullptr) refuse(recorded::picture_null_input, "inputBuffer is null");
    if (InputBuffer* buffer = inputs_.find(submission.input, number_)) {
        if (buffer->locked)
            violate(Status::invalid_call, text("input ", hex(submission.input), " is encoded while it is locked"));
        surface = {SurfaceSource::host, buffer->memory.get(), 0, nullptr, buffer->format,
                   buffer->pitch,       buffer->height};
        width = buffer->width;
        height = buffer->height;
        record.in_flight = &buffer->in_flight;
    } else if (Mapped* mapped = mapped_.find(submission.input, number_)) {
        const Registration& wanted = mapped->registered->wanted;
        if (wanted.usage != Registration::input)
            violate(Status::invalid_param, text("resource ", hex(submission.input), " is encoded, and is an output"));
        const bool array = wanted.type == Registration::cuda_array;
        const size_t row = row_bytes(mapped->registered->format, wanted.width);
        surface = {array ? SurfaceSource::array : SurfaceSource::device,
                   nullptr,
                   reinterpret_cast<cu::DevicePtr>(wanted.resource),
                   wanted.resource,
                   mapped->registered->format,
                   array ? row : wanted.pitch,
                   wanted.height};
        width = wanted.width;
        height = wanted.height;
        record.in_flight = &mapped->in_flight;
    } else if (registered_.find(submission.input, number_) != nullptr) {
        violate(Status::resource_not_mapped,
                text("resource ", hex(submission.input), " is encoded without being mapped"));
    } else {
        violate(Status::invalid_param, text(hex(submission.input), " is no input of ", name()));
    }
    if (submission.format != 0 && submission.format != static_cast<uint32_t>(surface.format))
        forbid(recorded::picture_other_format, Status::invalid_param,
               text("bufferFmt says another format than that of input ", hex(submission.input)));
    if (submission.pitch != 0 && submission.pitch != surface.pitch && surface.kind != SurfaceSource::array)
        violate(Status::invalid_param, text("inputPitch ", submission.pitch, " is not the input's ", surface.pitch));
    if (name_of(surface.format) == nullptr)
        refuse(Status::invalid_param, text("input ", hex(submission.input), " has no buffer format"));
    if (width < static_cast<uint32_t>(coded.width) || height < static_cast<uint32_t>(coded.height))
        violate(Status::invalid_param,
                text("an input of ", width, "x", height, " for pictures of ", coded.width, "x", coded.height));
    record.input = submission.input;
    record.source.width = coded.width;
    record.source.height = coded.height;
    record.source.format = surface.format;
}

// In stream order, and without waiting for it: the engine's thread waits.
void Session::read_pixels(Record& record) {
    const size_t bytes = packed_size(record.source.format, record.source.width, record.source.height);
    const cu::Current current(context_);
    if (!current.ok) violate(Status::device_not_exist, "the session's CUDA context is gone");
    record.pixels = staging_.take(bytes);
    if (record.pixels == nullptr) refuse(Status::out_of_memory, "no page-locked memory for reading the picture");
    const bool ok = read_into(*record.pixels, record);
    if (!ok) {
        staging_.give(record.pixels);
        record.pixels = nullptr;
        refuse(Status::map_failed, "the picture cannot be read from the device");
    }
    if (streams_set_ && record.pixels->pending && output_stream_ != input_stream_)
        cu::calls()->stream_wait_event(output_stream_, record.pixels->read, 0);
}

bool Session::read_into(Staging& staging, const Record& record) {
    const cu::Stream stream = streams_set_ ? input_stream_ : nullptr;
    if (!read_surface(record.surface, record.source.width, record.source.height, stream, staging.data)) return false;
    staging.pending = record.surface.kind != SurfaceSource::host;
    return !staging.pending || cu::calls()->event_record(staging.read, stream) == 0;
}

// A held picture is started by a later call. With streams of the client's the input has to be the same at that point
// of the stream; where there are none, at the end.
void Session::read_again(Record& record) {
    const bool held = record.source.serial + 1 != next_serial_;
    if (!instrument::strict() || !streams_set_ || record.checked) return;
    if (!held) {
        record.checked = true;
        return;
    }
    const cu::Current current(context_);
    if (current.ok)
        record.again = staging_.take(packed_size(record.source.format, record.source.width, record.source.height));
    if (record.again == nullptr || read_into(*record.again, record)) return;
    staging_.give(record.again);
    record.again = nullptr;
}

void Session::start(std::vector<PlannedPicture>& pictures) {
    if (pictures.empty()) return;
    planned_ += pictures.size();
    const uint64_t delay = static_cast<uint64_t>(delay_);
    promised_ = std::max(promised_, flushed_outputs_ + (planned_ > delay ? planned_ - delay : 0));
    for (const PlannedPicture& picture : pictures) {
        Record& record = record_of(picture.serial);
        record.source.type = picture.type;
        place_in_sequence(record);
        reference_rules_.add(record.references, picture.type == PictureType::idr, record.source.timestamp,
                             record.source.serial);
    }
    // A temporal unit of AV1 shows one picture: whatever order they are coded in, the units come in display order.
    if (maker_->display_order() || codec() == Codec::av1) std::sort(pictures.begin(), pictures.end());
    for (const PlannedPicture& picture : pictures) {
        if (inline_)
            deliver({picture.serial, {}, picture.type, 0, {}, 0});
        else
            submit(picture);
    }
    if (inline_ && lockers_ > 0) cell_.changed.notify_all();
}

// Which layer it is in, and whether a recovery point is there: a wave of intra blocks begins every so many pictures,
// and when it ends a picture is whole. That the first one begins a period after the IDR is assumed.
void Session::place_in_sequence(Record& record) {
    const StreamSettings& stream = setup_.settings.stream;
    since_idr_ = record.source.type == PictureType::idr ? 0 : since_idr_ + 1;
    record.source.place = place_in(stream.layers, since_idr_);
    if (!stream.recovery_points || stream.refresh_period == 0 || since_idr_ == 0) return;
    if (since_idr_ % stream.refresh_period == 0) {
        record.sei.insert(record.sei.begin(), recovery_point(codec(), stream.refresh_count));
    }
}

void Session::submit(const PlannedPicture& picture) {
    Record& record = record_of(picture.serial);
    if (reads_pixels_) read_again(record);
    engine_->submit(std::make_unique<PictureJob>(shared_from_this(), record));
}

void Session::submit_end() {
    forget_shown();
    plan_.clear();
    if (std::exchange(waits_for_view_, false)) planner_.push(left_, plan_);
    planner_.drain(plan_);
    if (stream().tools.two_views) add_second_views();
    start(plan_);
    planner_.restart_at_next_picture();
    promised_ = flushed_outputs_ = outputs_;
    planned_ = 0;
    ended_ = true;
    if (!inline_) engine_->submit(std::make_unique<FlushJob>(shared_from_this(), outputs_));
}

void Session::apply_settings() {
    if (!inline_) return engine_->submit(std::make_unique<SettingsJob>(shared_from_this(), setup_.settings));
    const std::lock_guard<std::mutex> guard(maker_mutex_);
    maker_->reconfigure(setup_.settings);
}

Record& Session::new_record() {
    if (free_records_.empty()) {
        records_.push_back(std::make_unique<Record>());
        return *records_.back();
    }
    Record& record = *free_records_.back();
    free_records_.pop_back();
    record.pixels = record.again = record.alpha = nullptr;
    record.in_flight = record.alpha_in_flight = nullptr;
    record.source.alpha = nullptr;
    record.reconstruction = nullptr;
    record.source.wants_reconstruction = false;
    record.activity.clear();
    record.map_memory = nullptr;
    record.map = nullptr;
    record.checked = record.coded = record.checking = false;
    record.sei.clear();
    return record;
}

Record& Session::record_of(uint64_t serial) { return *window_[serial - window_start_]; }

}  // namespace nvsim
