// The backend that reports what it got: each access unit is a slice (or a frame OBU) whose contents are a JSON
// text.
//
//     {"crc": 1234567, "ts": 0, "dur": 0, "idx": 0, "serial": 0, "type": "IDR", "qp": 28, "flags": 2, "format": "NV12",
//      "width": 640, "height": 480, "sei": 0, "settings": "0123abcd"}
//
// crc is zlib's CRC-32 over the visible pixels as they came in, plane after plane, row after row. settings is the
// CRC-32 of the client's configuration; an IDR picture also carries the configuration itself as "config", and the "gpu"
// and "engine" that coded it. Parameter sets, delimiters and SEI messages lie before the slice as in a real stream. The
// parser is tests/simulator/echo.py.
#include "encode/fields.hpp"
#include "encode/maker.hpp"
#include "encode/parameter_sets.hpp"

namespace nvsim {

namespace {

const char* const type_names[] = {"P", "B", "I", "IDR"};

class EchoMaker : public Maker {
   public:
    explicit EchoMaker(const SessionSettings& settings) { reconfigure(settings); }

    bool reads_pixels() const override { return true; }
    std::vector<uint8_t> headers() override { return parameter_sets(settings_.stream); }
    void flush(std::vector<AccessUnit>&) override {}
    void reconfigure(const SessionSettings& settings) override { settings_ = settings; }

    void encode(const SourcePicture& picture, std::vector<AccessUnit>& out) override {
        const StreamSettings& stream = settings_.stream;
        AccessUnit unit;
        unit.serial = picture.serial;
        unit.type = picture.type;
        unit.average_qp = nominal_qp(stream, picture.type);
        if (stream.aud || stream.codec == Codec::av1) append_delimiter(unit.data, stream.codec, picture.type);
        if (wants_headers(picture)) {
            const Bytes sets = headers();
            unit.data.insert(unit.data.end(), sets.begin(), sets.end());
        }
        if (picture.sei != nullptr)
            for (const SeiMessage& message : *picture.sei) append_sei(unit.data, stream.codec, message);
        const std::string text = describe(picture, unit.average_qp);
        append_picture(unit.data, stream.codec, picture.type, Bytes(text.begin(), text.end()));
        first_ = false;
        if (picture.wants_reconstruction)
            unit.reconstruction = to_planar(picture.format, picture.pixels, stream.format, stream.colour);
        out.push_back(std::move(unit));
    }

   private:
    bool wants_headers(const SourcePicture& picture) const {
        if (picture.output_headers) return true;
        if (settings_.stream.omit_headers || picture.type != PictureType::idr) return false;
        return first_ || settings_.stream.repeat_headers;
    }

    std::string describe(const SourcePicture& picture, int qp) const {
        Fields out(true);
        out.number("crc", crc32(picture.pixels, packed_size(picture.format, picture.width, picture.height)));
        out.number("ts", picture.timestamp);
        out.number("dur", picture.duration);
        out.number("idx", picture.frame_index);
        out.number("serial", picture.serial);
        out.text("type", type_names[static_cast<int>(picture.type)]);
        out.number("qp", qp);
        out.number("flags", picture.flags);
        out.text("format", name_of(picture.format));
        out.number("width", picture.width);
        out.number("height", picture.height);
        out.number("sei", picture.sei == nullptr ? 0 : picture.sei->size());
        if (picture.map != nullptr)
            out.bytes("map", reinterpret_cast<const uint8_t*>(picture.map->values.data()),
                      static_cast<uint32_t>(picture.map->values.size()));
        out.text("settings", settings_.digest);
        if (picture.type == PictureType::idr) {
            out.text("gpu", settings_.gpu);
            out.number("gpu_index", settings_.gpu_index);
            out.number("engine", settings_.engine_index);
            out.raw("config", settings_.details);
        }
        return out.finish();
    }

    SessionSettings settings_;
    bool first_ = true;
};

}  // namespace

std::unique_ptr<Maker> make_echo(const SessionSettings& settings) { return std::make_unique<EchoMaker>(settings); }

int nominal_qp(const StreamSettings& stream, PictureType type) {
    if (stream.lossless) return 0;
    if (stream.rate_control != RateControl::constqp) return type == PictureType::b ? 30 : 28;
    return type == PictureType::p ? stream.qp_p : type == PictureType::b ? stream.qp_b : stream.qp_i;
}

}  // namespace nvsim
