// Slices that a client sees before their picture is done.
#include <algorithm>

#include "common/instrument.hpp"
#include "common/text.hpp"
#include "encode/codec_nal.hpp"
#include "encode/session.hpp"

namespace nvsim {

namespace {

std::vector<size_t> starts_of_slices(Codec codec, const uint8_t* unit, size_t size) {
    std::vector<size_t> starts;
    for (size_t i = 0; i + 4 < size; ++i) {
        if (unit[i] != 0 || unit[i + 1] != 0 || unit[i + 2] != 1) continue;
        const bool is_long = i > 0 && unit[i - 1] == 0;
        const uint8_t* nal = unit + i + 3;
        if (is_slice(codec, Bytes(nal, std::min(nal + 4, unit + size)))) starts.push_back(is_long ? i - 1 : i);
    }
    return starts;
}

// Each slice ends where the next one begins. What lies before the first one goes with it.
std::vector<size_t> ends_of_slices(Codec codec, const std::vector<uint8_t>& unit) {
    const std::vector<size_t> starts = starts_of_slices(codec, unit.data(), unit.size());
    std::vector<size_t> ends(starts.begin() + (starts.empty() ? 0 : 1), starts.end());
    ends.push_back(unit.size());
    return ends;
}

size_t ready_by_time(const SubFrame& picture) {
    const std::chrono::duration<double> passed = Clock::now() - picture.begin, whole = picture.end - picture.begin;
    const double share = whole.count() > 0 ? std::clamp(passed.count() / whole.count(), 0.0, 1.0) : 1.0;
    return static_cast<size_t>(share * static_cast<double>(picture.ends.size()));
}

}  // namespace

void Session::begin_to_show(const std::vector<AccessUnit>& units, Clock::time_point begin, Clock::time_point end) {
    if (!setup_.sub_frames || units.empty() || waiting_outputs_.empty() || waiting_outputs_.front() == nullptr) return;
    SubFrame& seen = waiting_outputs_.front()->sub_frame;  // which the client may have locked already, empty
    seen.data = units.front().data;
    seen.ends = ends_of_slices(codec(), seen.data);
    seen.begin = begin;
    seen.end = end;
}

// nvEncodeAPI.h on enableSubFrameWrite and doNotWait: a client that does not wait gets what is there, and asks again.
bool Session::shows_a_part(Bitstream& out, bool wait, LockedBitstream& part) {
    const uint32_t step = settings()->slices_per_lock;
    const bool is_done = out.state == Bitstream::ready;
    if (!setup_.sub_frames || wait || out.is_vectors || (!is_done && out.state != Bitstream::pending)) return false;
    if (is_done && step == 0) return false;
    SubFrame& seen = out.sub_frame;
    if (is_done && seen.ends.empty()) {
        seen.data = out.unit.data;
        seen.ends = ends_of_slices(codec(), seen.data);
    }
    if (seen.is_locked) violate(Status::invalid_call, text("output ", hex(out.handle), " is locked already"));
    const size_t ready = seen.ends.empty() ? 0
                         : is_done         ? std::min<size_t>(seen.shown, seen.ends.size())
                                           : ready_by_time(seen);
    if (is_done && ready == seen.ends.size()) return false;
    seen.shown += step;
    seen.is_locked = true;
    ++locked_;
    const size_t size = ready == 0 ? 0 : seen.ends[ready - 1];
    seen.lent.assign(seen.data.begin(), seen.data.begin() + static_cast<std::ptrdiff_t>(size));
    part.data = seen.lent.data();
    part.size = static_cast<uint32_t>(size);
    part.slices = static_cast<uint32_t>(ready);
    part.status = 1;
    return true;
}

// nvEncodeAPI.h: the array has an entry for each macroblock of the picture. All of them are written, so that a client
// with a smaller one is found out. Where an offset points to is assumed: to the start code of its slice.
std::vector<uint32_t> Session::slice_offsets(const LockedBitstream& locked) const {
    if (!setup_.reports_slices || codec() == Codec::av1) return {};
    const PictureFormat& format = setup_.settings.stream.format;
    std::vector<uint32_t> offsets(grid_of(format.width, format.height, 16).count());
    const auto starts = starts_of_slices(codec(), static_cast<const uint8_t*>(locked.data), locked.size);
    for (size_t i = 0; i < std::min(starts.size(), offsets.size()); ++i) offsets[i] = static_cast<uint32_t>(starts[i]);
    return offsets;
}

}  // namespace nvsim
