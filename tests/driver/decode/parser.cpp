#include "decode/parser.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <utility>

#include "common/text.hpp"
#include "decode/create_info.hpp"
#include "decode/entry.hpp"

namespace nvsim::decode {

namespace {

thread_local uint64_t at_hand = 0;

// Callbacks answer 0 for an error.
void require(int answer) {
    if (answer == 0) throw Refusal{Status::unknown};
}

const CUVIDPARSERPARAMS& checked(const CUVIDPARSERPARAMS& params) {
    const std::string object = "CUVIDPARSERPARAMS";
    if (params.uReserved != 0 || !all_zero(params.uReserved1) || !all_zero(params.pvReserved2))
        violate(Status::invalid_value, object, "reserved words are not zero");
    if (params.pfnSequenceCallback == nullptr || params.pfnDecodePicture == nullptr)
        violate(Status::invalid_value, object, "pfnSequenceCallback or pfnDecodePicture is null");
    if (params.ulMaxNumDecodeSurfaces < 1) violate(Status::invalid_value, object, "ulMaxNumDecodeSurfaces is 0");
    return params;
}

}  // namespace

bool same_format(const Sequence& a, const Sequence& b) {
    CUVIDEOFORMAT left = a.format, right = b.format;
    left.seqhdr_data_length = right.seqhdr_data_length = 0;  // settings of the stream that change no picture's form
    left.bitrate = right.bitrate = 0;
    return std::memcmp(&left, &right, sizeof left) == 0 && a.reorder == b.reorder;
}

uint64_t Parser::stream_at_hand() { return at_hand; }

uint64_t Parser::next_stream() {
    static std::atomic<uint64_t> last{0};
    return ++last;
}

Parser::Parser(int number, const CUVIDPARSERPARAMS& params)
    : name_(text("parser ", number)), params_(checked(params)), reader_(make_reader(params.CodecType, *this)) {
    if (reader_ == nullptr) throw Refusal{Status::not_supported};
    const CUVIDEOFORMATEX* extra = params.pExtVideoInfo;
    if (extra == nullptr || extra->format.seqhdr_data_length == 0) return;
    // Clients allocate more than the struct for a longer header.
    reader_->feed(reinterpret_cast<const uint8_t*>(extra) + offsetof(CUVIDEOFORMATEX, anonymous),
                  extra->format.seqhdr_data_length, Timestamp());
}

void Parser::check(const CUVIDSOURCEDATAPACKET& packet) const {
    constexpr unsigned long known = CUVID_PKT_ENDOFSTREAM | CUVID_PKT_TIMESTAMP | CUVID_PKT_DISCONTINUITY |
                                    CUVID_PKT_ENDOFPICTURE | CUVID_PKT_NOTIFY_EOS;
    if ((packet.flags & ~known) != 0)
        violate(Status::invalid_value, name_, text("unknown packet flags ", packet.flags));
    if (packet.payload_size != 0 && packet.payload == nullptr)
        violate(Status::invalid_value, name_, "a packet with a size has no payload");
    if (parsing_) violate(Status::invalid_value, name_, "cuvidParseVideoData is called from its own callback");
}

void Parser::parse(const CUVIDSOURCEDATAPACKET& packet) {
    check(packet);
    struct Busy {
        explicit Busy(bool& flag) : busy(flag) { busy = true; }
        ~Busy() { busy = false; }
        bool& busy;
    } const busy(parsing_);
    if ((packet.flags & CUVID_PKT_DISCONTINUITY) != 0) {
        reader_->end_picture();
        show_all();
    }
    const Timestamp timestamp = (packet.flags & CUVID_PKT_TIMESTAMP) != 0 ? Timestamp(packet.timestamp) : Timestamp();
    if (packet.payload_size != 0) reader_->feed(packet.payload, packet.payload_size, timestamp);
    if ((packet.flags & (CUVID_PKT_ENDOFPICTURE | CUVID_PKT_ENDOFSTREAM)) != 0) reader_->end_picture();
    if ((packet.flags & CUVID_PKT_ENDOFSTREAM) == 0) return;
    show_all();
    reader_->reset();
    told_ = false;
    shown_.reset();
    if ((packet.flags & CUVID_PKT_NOTIFY_EOS) != 0 && params_.pfnDisplayPicture != nullptr)
        params_.pfnDisplayPicture(params_.pUserData, nullptr);
}

void Parser::sequence(const Sequence& sequence) {
    if (told_ && same_format(sequence, sequence_)) return;
    show_all();
    sequence_ = sequence;
    told_ = true;
    CUVIDEOFORMATEX told{};
    told.format = sequence.format;
    told.format.seqhdr_data_length =
        static_cast<unsigned>(std::min(sequence.header.size(), sizeof told.anonymous.raw_seqhdr_data));
    if (sequence.most_width != 0) {
        told.anonymous.av1.max_width = sequence.most_width;
        told.anonymous.av1.max_height = sequence.most_height;
    } else {
        std::copy_n(sequence.header.begin(), told.format.seqhdr_data_length, told.anonymous.raw_seqhdr_data);
    }
    const int answer = params_.pfnSequenceCallback(params_.pUserData, &told.format);
    if (answer == 0) told_ = false;
    require(answer);
    const size_t surfaces = answer > 1 ? static_cast<size_t>(answer) : params_.ulMaxNumDecodeSurfaces;
    if (surfaces < sequence.format.min_num_decode_surfaces)
        disapprove(name_, text("the stream needs ", int{sequence.format.min_num_decode_surfaces},
                               " decode surfaces, and the parser was given ", surfaces));
    used_.assign(surfaces, 0);
    waits_.assign(surfaces, 0);
}

bool Parser::free_surface(int index) const { return waits_[static_cast<size_t>(index)] == 0 && !reader_->holds(index); }

// The one that was used longest ago, as one that goes round.
int Parser::choose_surface() {
    do {
        int chosen = -1;
        for (int i = 0; i < static_cast<int>(used_.size()); ++i)
            if (free_surface(i) && (chosen < 0 || used_[static_cast<size_t>(i)] < used_[static_cast<size_t>(chosen)]))
                chosen = i;
        if (chosen >= 0) return chosen;
    } while (make_room());
    throw Refusal{Status::unknown};
}

bool Parser::make_room() {
    if (!queue_.empty())
        show_queued(queue_.size() - 1);
    else if (!reordering_.empty())
        bump(reordering_.size() - 1);
    else
        return false;
    return true;
}

int Parser::picture(Unit& unit) {
    if (!told_) return -1;  // there was no sequence header yet, or the client refused it
    if (!unit.second_field) {
        end_first_field();
        last_ = choose_surface();
    }
    const int index = last_;
    used_[static_cast<size_t>(index)] = ++uses_;
    unit.params.CurrPicIdx = index;
    if (params_.CodecType == cudaVideoCodec_AV1) unit.params.CodecSpecific.av1.decodePicIdx = index;
    unit.params.second_field = unit.second_field;
    unit.params.nBitstreamDataLen = static_cast<unsigned>(unit.data.size());
    unit.params.pBitstreamData = unit.data.data();
    unit.params.nNumSlices = static_cast<unsigned>(unit.slices.size());
    unit.params.pSliceDataOffsets = unit.slices.data();
    tell_messages(unit, index);
    at_hand = stream_;
    const int answer = params_.pfnDecodePicture(params_.pUserData, &unit.params);
    at_hand = 0;
    require(answer);
    if (!unit.shown || params_.pfnDisplayPicture == nullptr) return index;
    const CUVIDPARSERDISPINFO info{index, unit.progressive, unit.top_first, unit.repeat, 0};
    if (unit.more_fields && !unit.second_field) {
        first_field_ = {{unit.order, info, unit.timestamp}};
        first_field_.front().info.repeat_first_field = -1;
    } else if (unit.second_field && !first_field_.empty()) {
        first_field_.front().info.repeat_first_field = unit.repeat;
        end_first_field();
    } else {
        line_up({unit.order, info, unit.timestamp});
    }
    return index;
}

void Parser::tell_messages(const Unit& unit, int index) {
    if (params_.pfnGetSEIMsg == nullptr || unit.messages.empty()) return;
    Bytes payload;
    std::vector<CUSEIMESSAGE> list;
    for (const Message& message : unit.messages) {
        list.push_back({message.type, {}, static_cast<unsigned>(message.payload.size())});
        payload.insert(payload.end(), message.payload.begin(), message.payload.end());
    }
    CUVIDSEIMESSAGEINFO info{payload.data(), list.data(), static_cast<unsigned>(list.size()),
                             static_cast<unsigned>(index)};
    require(params_.pfnGetSEIMsg(params_.pUserData, &info));
}

void Parser::line_up(const Waiting& waiting) {
    ++waits_[static_cast<size_t>(waiting.info.picture_index)];
    reordering_.push_back(waiting);
    bump(static_cast<size_t>(sequence_.reorder));
}

void Parser::end_first_field() {
    if (first_field_.empty()) return;
    const Waiting waiting = first_field_.front();
    first_field_.clear();
    line_up(waiting);
}

void Parser::show(int index, const Timestamp& timestamp) {
    if (!told_ || params_.pfnDisplayPicture == nullptr) return;
    drain();
    line_up({0, {index, 1, 1, 0, 0}, timestamp});
}

// The answer is not followed: the codec decodes the first operating point, which has all layers.
void Parser::operating_point(const std::vector<unsigned>& points) {
    // NVIDIA's own client answers -1, which is an error, if there is only one.
    if (params_.pfnGetOperatingPoint == nullptr || points.size() < 2) return;
    CUVIDOPERATINGPOINTINFO info{};
    info.codec = params_.CodecType;
    info.anonymous.av1.operating_points_cnt = static_cast<unsigned char>(points.size());
    for (size_t i = 0; i < points.size() && i < std::size(info.anonymous.av1.operating_points_idc); ++i)
        info.anonymous.av1.operating_points_idc[i] = static_cast<unsigned short>(points[i]);
    if (params_.pfnGetOperatingPoint(params_.pUserData, &info) < 0) throw Refusal{Status::unknown};
}

// An H200's driver (580.159.04) gave increasing timestamps to pictures in the order in which they were shown, whatever
// packets they had come with. A client that numbers its packets saw it: times of presentation increase anyway.
void Parser::give_smallest_timestamp(Waiting& shown) {
    for (Waiting& other : reordering_) {
        if (shown.timestamp && other.timestamp && *other.timestamp < *shown.timestamp)
            std::swap(shown.timestamp, other.timestamp);
    }
}

void Parser::bump(size_t most) {
    while (reordering_.size() > most) {
        const auto first = std::min_element(reordering_.begin(), reordering_.end(),
                                            [](const Waiting& a, const Waiting& b) { return a.order < b.order; });
        give_smallest_timestamp(*first);
        queue_.push_back(*first);
        reordering_.erase(first);
    }
    show_queued(params_.ulMaxDisplayDelay);
}

// Of a picture whose packet had none: one picture after the one before it.
long long Parser::estimated_timestamp() const {
    constexpr unsigned usual_clock = 10000000, usual_rate = 25;
    const auto& [numerator, denominator] = sequence_.format.frame_rate;
    const double rate = numerator != 0 ? double(numerator) / denominator : usual_rate;
    const unsigned clock = params_.ulClockRate != 0 ? params_.ulClockRate : usual_clock;
    return shown_ ? *shown_ + static_cast<long long>(clock / rate + 0.5) : 0;
}

void Parser::show_queued(size_t most) {
    while (queue_.size() > most) {
        const Waiting next = queue_.front();
        CUVIDPARSERDISPINFO info = next.info;
        queue_.pop_front();
        info.timestamp = next.timestamp ? *next.timestamp : estimated_timestamp();
        shown_ = info.timestamp;
        --waits_[static_cast<size_t>(info.picture_index)];
        require(params_.pfnDisplayPicture(params_.pUserData, &info));
    }
}

void Parser::drain() {
    end_first_field();
    bump(0);
}

void Parser::show_all() {
    drain();
    show_queued(0);
}

}  // namespace nvsim::decode
