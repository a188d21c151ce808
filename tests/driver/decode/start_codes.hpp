// Takes a stream apart at its start codes (00 00 01).
#pragma once

#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <optional>
#include <utility>

#include "decode/bit_reader.hpp"
#include "decode/reader.hpp"

namespace nvsim::decode {

class StartCodes {
   public:
    // Gets each unit without its start code, with the timestamp of the packet in which it begins.
    using Take = std::function<void(const uint8_t* data, size_t size, const Timestamp& timestamp)>;

    // In NAL units zeros at the end belong to the next start code; elsewhere they may be a header's last bits.
    explicit StartCodes(Take take, bool strip = false) : take_(std::move(take)), strip_(strip) {}

    void feed(const uint8_t* data, size_t size, const Timestamp& timestamp) {
        packets_.push_back({taken_ + buffer_.size(), timestamp});
        buffer_.insert(buffer_.end(), data, data + size);
        cut();
    }

    // What is left is a whole unit.
    void finish() {
        if (begun_) emit(buffer_.size());
        taken_ += buffer_.size();
        buffer_.clear();
        searched_ = 0;
        begun_ = false;
    }

    void clear() {
        begun_ = false;
        finish();
        packets_.clear();
    }

   private:
    struct Packet {
        uint64_t begin;
        Timestamp timestamp;
    };

    void cut() {
        for (size_t at; (at = next_start()) != buffer_.size();) {
            if (begun_) emit(at);
            taken_ += at;
            buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<ptrdiff_t>(at));
            begun_ = true;
            searched_ = 3;
        }
    }

    size_t next_start() {
        for (size_t i = searched_; i + 3 <= buffer_.size(); ++i)
            if (buffer_[i] == 0 && buffer_[i + 1] == 0 && buffer_[i + 2] == 1) return i;
        searched_ = std::max(searched_, buffer_.size() < 2 ? size_t{0} : buffer_.size() - 2);
        return buffer_.size();
    }

    void emit(size_t end) {
        while (strip_ && end > 3 && buffer_[end - 1] == 0) --end;
        while (packets_.size() > 1 && packets_[1].begin <= taken_) packets_.pop_front();
        const Timestamp timestamp = packets_.empty() ? Timestamp() : packets_.front().timestamp;
        if (end > 3) take_(buffer_.data() + 3, end - 3, timestamp);
    }

    const Take take_;
    const bool strip_;
    Bytes buffer_;        // from the last start code on
    uint64_t taken_ = 0;  // bytes of the stream before the buffer
    size_t searched_ = 0;
    bool begun_ = false;  // the buffer begins with a start code
    std::deque<Packet> packets_;
};

inline void append_unit(Bytes& out, const uint8_t* data, size_t size) {
    static constexpr uint8_t start[] = {0, 0, 1};
    out.insert(out.end(), std::begin(start), std::end(start));
    out.insert(out.end(), data, data + size);
}

inline void append_unit(Bytes& out, const Bytes& unit) { append_unit(out, unit.data(), unit.size()); }

}  // namespace nvsim::decode
