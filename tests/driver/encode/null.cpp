// The backend that codes nothing, to measure the cost of a client.
#include <algorithm>

#include "encode/maker.hpp"
#include "encode/parameter_sets.hpp"

namespace nvsim {

namespace {

class NullMaker : public Maker {
   public:
    NullMaker(const SessionSettings& settings, size_t bytes) : bytes_(bytes) { reconfigure(settings); }

    bool reads_pixels() const override { return false; }
    std::vector<uint8_t> headers() override { return headers_; }
    void encode(const SourcePicture& picture, std::vector<AccessUnit>& out) override {
        out.push_back({picture.serial, {}, picture.type, 0, {}, 0});
    }
    void flush(std::vector<AccessUnit>&) override {}
    const std::vector<uint8_t>* fixed_unit(PictureType type) const override {
        return type == PictureType::idr ? &key_ : &other_;
    }

    // The blocks stay as they are: a client may be reading one.
    void reconfigure(const SessionSettings& settings) override {
        if (!key_.empty()) return;
        const StreamSettings& stream = settings.stream;
        headers_ = parameter_sets(stream);
        key_ = stream.omit_headers ? std::vector<uint8_t>() : headers_;
        append_slice(key_, stream.codec, PictureType::idr);
        append_slice(other_, stream.codec, PictureType::p);
    }

   private:
    void append_slice(std::vector<uint8_t>& unit, Codec codec, PictureType type) const {
        constexpr size_t most_overhead = 8;  // start code and header
        const size_t used = unit.size() + most_overhead;
        append_picture(unit, codec, type, Bytes(bytes_ > used ? bytes_ - used : 1, 0x80));
        if (codec != Codec::av1) unit.resize(std::max(unit.size(), bytes_), 0x80);
    }

    const size_t bytes_;
    std::vector<uint8_t> headers_, key_, other_;
};

}  // namespace

std::unique_ptr<Maker> make_null(const SessionSettings& settings, size_t bytes) {
    return std::make_unique<NullMaker>(settings, bytes);
}

}  // namespace nvsim
