// A session's way from an access unit to the client's output buffer.
#include <numeric>

#include "common/text.hpp"
#include "encode/session.hpp"

namespace nvsim {

void Session::deliver(AccessUnit unit) {
    const bool known = unit.serial >= window_start_ && unit.serial - window_start_ < window_.size();
    if (waiting_outputs_.empty() || !known) return;
    Bitstream* out = waiting_outputs_.front();
    waiting_outputs_.pop_front();
    Record& record = record_of(unit.serial);
    record.coded = true;
    keep_reconstruction(record, unit.reconstruction);
    if (!inline_) measure(record);
    release_input(record);
    if (out != nullptr) {
        if (out->paired != nullptr) release_input(*out->paired);
        out->paired = nullptr;
        fill(*out, record, std::move(unit));
    }
    retire_records();
}

// Tells NVML how fast this session is, every few pictures.
void Session::measure(const Record& record) {
    constexpr int pictures_a_measurement = 16;
    latency_sum_ += Clock::now() - record.submitted;
    if (++measured_ < pictures_a_measurement || ticket == nullptr) return;
    const auto microseconds = [](Clock::duration time) {
        return std::chrono::duration_cast<std::chrono::microseconds>(time).count();
    };
    const auto elapsed = std::max<int64_t>(1, microseconds(Clock::now() - measured_since_));
    ticket->rate(static_cast<uint32_t>(measured_ * 1000000LL / elapsed),
                 static_cast<uint32_t>(microseconds(latency_sum_) / measured_));
    measured_since_ = Clock::now();
    latency_sum_ = {};
    measured_ = 0;
}

void Session::fill(Bitstream& out, const Record& record, AccessUnit unit) {
    const std::vector<uint8_t>* fixed = maker_->fixed_unit(unit.type);
    if (fixed == nullptr) out.unit = std::move(unit);
    const std::vector<uint8_t>& data = fixed ? *fixed : out.unit.data;
    const PictureType type = fixed ? unit.type : out.unit.type;
    const int qp = fixed ? nominal_qp(setup_.settings.stream, type) : out.unit.average_qp;
    const uint32_t blocks = static_cast<uint32_t>((record.source.width + 15) / 16 * ((record.source.height + 15) / 16));
    const bool intra = type == PictureType::i || type == PictureType::idr;
    out.view.data = const_cast<uint8_t*>(data.data());
    out.view.size = static_cast<uint32_t>(data.size());
    out.view.timestamp = record.source.timestamp;
    out.view.duration = record.source.duration;
    out.view.frame_index = static_cast<uint32_t>(out.order);
    out.view.display_index = static_cast<uint32_t>(record.display_index);
    out.view.type = type;
    out.view.average_qp = static_cast<uint32_t>(qp);
    out.view.alpha_bytes = fixed ? 0 : static_cast<uint32_t>(out.unit.alpha_bytes);
    out.view.structure = static_cast<uint32_t>(record.source.structure);
    out.view.temporal_layer = static_cast<uint32_t>(record.source.place.layer);
    out.view.intra_blocks = intra ? blocks : 0;
    out.view.inter_blocks = intra ? 0 : blocks;
    out.view.motion_x = intra ? 0 : settings()->average_motion_x;
    out.view.motion_y = intra ? 0 : settings()->average_motion_y;
    out.view.slices = fixed ? 1 : count_slices(codec(), out.unit.data);
    count(out, record);
    out.state = Bitstream::ready;
}

void Session::count(Bitstream& out, const Record& record) {
    const std::vector<uint32_t>& activity = record.activity;
    out.view.satd = std::accumulate(activity.begin(), activity.end(), 0u);
    if (setup_.statistics == StatisticsLevel::none) return;
    out.units = units_of(setup_.statistics, record.grid, activity, record.map.get(),
                         static_cast<int>(out.view.average_qp), size_t{8} * out.view.size);
    out.view.units = &out.units;
}

// Nothing will come any more for what is waiting.
void Session::fail_pending(const std::string& why) {
    failure_ = why;
    for (Bitstream* out : waiting_outputs_) {
        if (out == nullptr) continue;
        out->state = Bitstream::ready;
        out->failed = true;
        out->paired = nullptr;
    }
    waiting_outputs_.clear();
    for (Record* record : window_) {
        release_input(*record);
        keep_reconstruction(*record, {});
        record->coded = true;
    }
    retire_records();
    cell_.changed.notify_all();
}

void Session::release_input(Record& record) {
    if (record.in_flight != nullptr) --*record.in_flight;
    if (record.alpha_in_flight != nullptr) --*record.alpha_in_flight;
    record.in_flight = record.alpha_in_flight = nullptr;
    record.checked = true;
}

void Session::retire_records() {
    while (!window_.empty() && window_.front()->coded) {
        Record& record = *window_.front();
        if (record.pixels != nullptr) staging_.give(record.pixels);
        if (record.again != nullptr) staging_.give(record.again);
        if (record.alpha != nullptr) staging_.give(record.alpha);
        free_records_.push_back(&record);
        window_.pop_front();
        ++window_start_;
    }
}

}  // namespace nvsim
