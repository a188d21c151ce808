// The map and the hints that a picture brings. The map's rules are those of nvEncodeAPI.h (qpMapMode, qpDeltaMap,
// qpDeltaMapSize); those of hints are in hints.cpp.
#include <algorithm>
#include <cstring>

#include "common/instrument.hpp"
#include "common/text.hpp"
#include "encode/breach.hpp"
#include "encode/session.hpp"

namespace nvsim {

namespace {

constexpr uint32_t disabled = 0, emphasis = 1;  // NV_ENC_QP_MAP_MODE

int blocks(int pixels, int block) { return (pixels + block - 1) / block; }

void check_values(const BlockMap& map, Codec codec) {
    const int most = map.emphasis ? 5 : codec == Codec::av1 ? 127 : 51;
    const int least = map.emphasis ? 0 : codec == Codec::av1 ? -128 : -51;
    for (const int8_t value : map.values)
        if (value < least || value > most)
            forbid(Status::success, Status::invalid_param,
                   text("qpDeltaMap holds ", int{value}, "; values go from ", least, " to ", most));
}

}  // namespace

// A picture without a map is coded by the last one, as reported for real cards (selkies-project/selkies, 58209f0).
void Session::take_map(const Submission& submission, Record& record) {
    if (setup_.map_mode == disabled) {
        if (submission.map != nullptr || submission.map_size != 0)
            forbid(Status::success, Status::invalid_param, "a qpDeltaMap was given, but qpMapMode is disabled");
        return;
    }
    record.map = submission.map == nullptr ? last_map_ : copy_of_map(submission);
    record.map_memory = submission.map;
}

// Every byte that the client promised is read.
std::shared_ptr<const BlockMap> Session::copy_of_map(const Submission& submission) const {
    const PictureFormat& format = setup_.settings.stream.format;
    const auto map = std::make_shared<BlockMap>();
    map->block = setup_.map_block;
    map->columns = blocks(format.width, map->block);
    map->rows = blocks(format.height, map->block);
    map->emphasis = setup_.map_mode == emphasis;
    map->values.assign(submission.map, submission.map + submission.map_size);
    const size_t wanted = static_cast<size_t>(map->columns) * static_cast<size_t>(map->rows);
    if (map->values.size() != wanted)
        forbid(Status::success, Status::invalid_param,
               text("qpDeltaMapSize is ", submission.map_size, "; ", map->columns, "x", map->rows, " blocks of ",
                    map->block, "x", map->block, " pixels take ", wanted));
    map->values.resize(wanted);
    check_values(*map, codec());
    return map;
}

// On the engine's thread, once the picture is coded. When a real engine reads a map is documented nowhere: the worst is
// assumed, that it does so until the very end.
void Session::check_map(const Record& record) const {
    if (record.map_memory == nullptr || !instrument::strict()) return;
    const std::vector<int8_t>& values = record.map->values;
    if (std::memcmp(record.map_memory, values.data(), values.size()) == 0) return;
    instrument::violation(name(), text("the qpDeltaMap of picture ", record.source.serial,
                                       " was changed while the picture was in flight"));
}

// Strict drivers look at all of them. No codec here can follow them.
void Session::take_hints(const Submission& submission, Record& record) const {
    const PictureFormat& format = setup_.settings.stream.format;
    const HintSubmission& given = submission.hints;
    if (given.has_hints && (submission.width != static_cast<uint32_t>(format.width) ||
                            submission.height != static_cast<uint32_t>(format.height)))
        forbid(Status::success, Status::invalid_param, "hints for a picture of another size");
    check_hints(given, setup_.hints, codec(),
                hint_blocks(codec(), static_cast<uint32_t>(format.width), static_cast<uint32_t>(format.height)));
    record.hints_memory = given.memory;
    const auto* bytes = static_cast<const uint8_t*>(given.memory);
    record.hints.assign(bytes, bytes + given.bytes);
}

void Session::check_hints_memory(const Record& record) const {
    if (record.hints_memory == nullptr || !instrument::strict()) return;
    if (std::memcmp(record.hints_memory, record.hints.data(), record.hints.size()) == 0) return;
    instrument::violation(name(), text("the motion hints of picture ", record.source.serial,
                                       " were changed while the picture was in flight"));
}

}  // namespace nvsim
