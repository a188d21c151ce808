#include "encode/jobs.hpp"

#include <cstring>
#include <exception>

#include "common/instrument.hpp"
#include "common/text.hpp"

namespace nvsim {

namespace {

// What the engine's thread finds out is reported for the call that submitted the picture.
CallSite submitted("nvEncEncodePicture");

}  // namespace

SessionJob::SessionJob(std::shared_ptr<Session> session, bool is_picture)
    : Job(session.get(), is_picture), session_(std::move(session)) {
    const PictureFormat& format = session_->setup_.settings.stream.format;
    pixels = 1.0 * format.width * format.height;
}

template <typename Code>
void SessionJob::with_coder(Code code) {
    const std::lock_guard<std::mutex> guard(session_->maker_mutex_);
    try {
        code(*session_->maker_);
    } catch (const Refusal& refusal) {
        failure_ = refusal.message;
    } catch (const std::exception& error) {
        failure_ = error.what();
    }
}

void SessionJob::finish() {
    session_->check_inputs_of(units_);
    const std::lock_guard<std::mutex> guard(session_->cell_.mutex);
    for (AccessUnit& unit : units_) session_->deliver(std::move(unit));
    if (!failure_.empty()) session_->fail_pending(failure_);
    session_->cell_.changed.notify_all();
}

void SessionJob::lost() {
    {
        const std::lock_guard<std::mutex> guard(session_->cell_.mutex);
        session_->fail_pending("the device is lost");
    }
    Machine::instance().wake_all();
}

PictureJob::PictureJob(std::shared_ptr<Session> session, Record& record)
    : SessionJob(std::move(session), true), record_(record) {}

void PictureJob::work() {
    instrument::current_call = &submitted;
    const cu::Quiet quiet;
    session_->wait_for_pixels(record_, *this);
    session_->check_alpha(record_);
    if (record_.source.pixels != nullptr) record_.activity = activity_of(record_.source, record_.grid);
    with_coder([&](Maker& maker) { maker.encode(record_.source, units_); });
    session_->check_map(record_);
    session_->check_hints_memory(record_);
}

void PictureJob::scheduled(Clock::time_point begin, Clock::time_point end) {
    const std::lock_guard<std::mutex> guard(session_->cell_.mutex);
    session_->begin_to_show(units_, begin, end);
}

void FlushJob::work() {
    instrument::current_call = &submitted;
    with_coder([&](Maker& maker) { maker.flush(units_); });
}

void FlushJob::finish() {
    SessionJob::finish();
    session_->fail_what_is_left(outputs_);
}

void SettingsJob::work() {
    with_coder([&](Maker& maker) { maker.reconfigure(settings_); });
}

void RestoreJob::work() {
    with_coder([&](Maker& maker) { maker.restore(serial_); });
}

void Session::wait_for_pixels(Record& record, Job& job) {
    if (record.pixels == nullptr) return;
    if (record.pixels->pending || record.again != nullptr) {
        const cu::Current current(context_);
        const Clock::time_point before = Clock::now();
        if (record.pixels->pending && current.ok) cu::calls()->event_wait(record.pixels->read);
        if (record.again != nullptr && record.again->pending && current.ok) cu::calls()->event_wait(record.again->read);
        const Clock::time_point after = Clock::now();
        if (after - before > std::chrono::microseconds(200)) job.ready = std::max(job.ready, after);
    }
    record.source.pixels = record.pixels->data;
    if (record.alpha == nullptr) return;
    const cu::Current current(context_);
    if (record.alpha->pending && current.ok) cu::calls()->event_wait(record.alpha->read);
    record.source.alpha = record.alpha->data;
}

// Before an access unit is handed over: the input of its picture, and the input submitted together with the output that
// it goes to, which the client takes back then.
void Session::check_inputs_of(const std::vector<AccessUnit>& units) {
    if (!reads_pixels_ || !instrument::strict()) return;
    std::vector<Record*> records;
    {
        const std::lock_guard<std::mutex> guard(cell_.mutex);
        size_t output = 0;
        for (const AccessUnit& unit : units) {
            records.push_back(&record_of(unit.serial));
            if (output < waiting_outputs_.size() && waiting_outputs_[output] != nullptr)
                records.push_back(waiting_outputs_[output]->paired);
            ++output;
        }
    }
    for (Record* record : records)
        if (record != nullptr) check_unchanged(*record);
}

void Session::check_unchanged(Record& record) {
    {
        const std::lock_guard<std::mutex> guard(cell_.mutex);
        if (record.checked || ended_ || record.in_flight == nullptr) return;
        record.checked = record.checking = true;
    }
    const bool same = still_the_same(record);
    const std::lock_guard<std::mutex> guard(cell_.mutex);
    record.checking = false;
    cell_.changed.notify_all();
    if (!same)
        instrument::violation(name(), text("input ", hex(record.input), " was changed while picture ",
                                           record.source.serial, " was in flight"));
}

bool Session::still_the_same(Record& record) {
    const int width = record.source.width, height = record.source.height;
    const size_t bytes = packed_size(record.source.format, width, height);
    if (record.surface.kind == SurfaceSource::host)
        return same_as_read(record.surface, width, height, record.pixels->data);
    const cu::Current current(context_);
    if (!current.ok) return true;
    if (record.pixels->pending) cu::calls()->event_wait(record.pixels->read);
    if (record.again != nullptr) {
        cu::calls()->event_wait(record.again->read);
        return std::memcmp(record.pixels->data, record.again->data, bytes) == 0;
    }
    if (streams_set_) return true;
    constexpr unsigned non_blocking = 1;
    if (check_stream_ == nullptr && cu::calls()->stream_create(&check_stream_, non_blocking) != 0) return true;
    Staging* scratch = check_pool_.take(bytes);
    if (scratch == nullptr) return true;
    const bool read = read_surface(record.surface, width, height, check_stream_, scratch->data) &&
                      cu::calls()->stream_wait(check_stream_) == 0;
    const bool same = !read || std::memcmp(record.pixels->data, scratch->data, bytes) == 0;
    check_pool_.give(scratch);
    return same;
}

// After the end every picture has its access unit; a coder that swallowed one must not leave a client waiting.
void Session::fail_what_is_left(uint64_t outputs) {
    const std::lock_guard<std::mutex> guard(cell_.mutex);
    const bool left = std::any_of(waiting_outputs_.begin(), waiting_outputs_.end(),
                                  [&](const Bitstream* out) { return out != nullptr && out->order < outputs; });
    if (left) fail_pending("the codec gave no access unit");
}

}  // namespace nvsim
