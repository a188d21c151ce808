// The backend that codes for real, through the coder of codec_*.cpp.
#include <algorithm>

#include "encode/maker.hpp"
#include "encode/status.hpp"

namespace nvsim {

namespace {

class RealMaker : public Maker {
   public:
    explicit RealMaker(const SessionSettings& settings) : settings_(settings) { make(); }

    bool reads_pixels() const override { return true; }
    bool display_order() const override { return true; }
    std::vector<uint8_t> headers() override { return coder_->headers(); }

    void encode(const SourcePicture& source, std::vector<AccessUnit>& out) override {
        // A coder that was flushed, or cannot take a change while it runs, is replaced where a new sequence begins.
        if (stale_ && (ended_ || source.type == PictureType::idr)) {
            if (!ended_) coder_->flush(out);
            make();
        }
        Picture picture;
        picture.serial = source.serial;
        picture.type = source.type;
        picture.output_headers = source.output_headers;
        picture.place = source.place;
        picture.structure = source.structure;
        if (source.film_grain != nullptr) picture.film_grain = *source.film_grain;
        if (source.sei != nullptr) picture.sei = *source.sei;
        if (source.invalidated != nullptr) picture.invalidated = *source.invalidated;
        if (source.map != nullptr) picture.offsets = offsets_of(*source.map);
        picture.pixels = to_planar(source.format, source.pixels, settings_.stream.format, settings_.stream.colour);
        if (settings_.stream.tools.alpha) picture.alpha = alpha_of(source);
        coder_->encode(std::move(picture), out);
    }

    void flush(std::vector<AccessUnit>& out) override {
        if (ended_) return;
        coder_->flush(out);
        stale_ = ended_ = true;
    }

    void reconfigure(const SessionSettings& settings) override {
        const PictureFormat &old = settings_.stream.format, &wanted = settings.stream.format;
        const bool resized = old.width != wanted.width || old.height != wanted.height;
        settings_ = settings;
        if (resized || !coder_->reconfigure(settings.stream)) stale_ = true;
    }

   private:
    std::vector<float> offsets_of(const BlockMap& map) const {
        const PictureFormat& format = settings_.stream.format;
        std::vector<float> offsets;
        for (int y = 0; y < (format.height + 15) / 16; ++y)
            for (int x = 0; x < (format.width + 15) / 16; ++x) offsets.push_back(map.offset(x, y));
        return offsets;
    }

    // Of the picture beside, as its luma, or of RGB surfaces, whose words have it in their highest byte. Without a
    // value, chroma is grey.
    static std::vector<uint8_t> alpha_of(const SourcePicture& source) {
        const size_t pixels = static_cast<size_t>(source.width) * static_cast<size_t>(source.height);
        std::vector<uint8_t> planar(pixels * 3 / 2, 128);
        if (source.alpha != nullptr) std::copy(source.alpha, source.alpha + pixels, planar.begin());
        for (size_t i = 0; i < pixels && source.alpha == nullptr; ++i) planar[i] = source.pixels[4 * i + 3];
        return planar;
    }

    void make() {
        std::string error;
        coder_ = make_codec(settings_.stream, error);
        if (coder_ == nullptr) refuse(Status::unsupported_param, "the codec backend: " + error);
        stale_ = ended_ = false;
    }

    SessionSettings settings_;
    std::unique_ptr<PictureCoder> coder_;
    bool stale_ = false;  // to be replaced before the next sequence
    bool ended_ = false;  // flushed
};

}  // namespace

std::unique_ptr<Maker> make_real(const SessionSettings& settings) { return std::make_unique<RealMaker>(settings); }

}  // namespace nvsim
