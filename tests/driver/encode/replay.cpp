#include "encode/replay.hpp"

#include <utility>
#include <vector>

namespace nvsim {

namespace {

// A picture with everything that it points to.
class KeptPicture {
   public:
    explicit KeptPicture(const SourcePicture& picture) : picture_(picture) {
        const size_t bytes = packed_size(picture.format, picture.width, picture.height);
        pixels_.assign(picture.pixels, picture.pixels + bytes);
        if (picture.alpha != nullptr) alpha_.assign(picture.alpha, picture.alpha + bytes);
        if (picture.film_grain != nullptr) film_grain_ = *picture.film_grain;
        if (picture.sei != nullptr) sei_ = *picture.sei;
        if (picture.map != nullptr) map_ = *picture.map;
        if (picture.invalidated != nullptr) invalidated_ = *picture.invalidated;
    }

    SourcePicture source() const {
        SourcePicture picture = picture_;
        picture.pixels = pixels_.data();
        if (picture.alpha != nullptr) picture.alpha = alpha_.data();
        picture.film_grain = &film_grain_;
        picture.sei = &sei_;
        if (picture.map != nullptr) picture.map = &map_;
        picture.invalidated = &invalidated_;
        return picture;
    }

   private:
    SourcePicture picture_;
    std::vector<uint8_t> pixels_, alpha_;
    std::optional<FilmGrain> film_grain_;
    std::vector<SeiMessage> sei_;
    BlockMap map_;
    std::vector<uint64_t> invalidated_;
};

// One or the other.
struct Step {
    std::shared_ptr<const SessionSettings> settings;
    std::shared_ptr<const KeptPicture> picture;

    bool is_trial() const { return picture != nullptr && picture->source().is_trial; }
};

class ReplayingMaker : public Maker {
   public:
    ReplayingMaker(const SessionSettings& settings, MakeMaker make)
        : make_(std::move(make)), first_(settings), now_(settings), maker_(make_(settings)) {}

    bool reads_pixels() const override { return maker_->reads_pixels(); }
    bool display_order() const override { return maker_->display_order(); }
    int delay() const override { return maker_->delay(); }
    std::vector<uint8_t> headers() override { return maker_->headers(); }

    void encode(const SourcePicture& picture, std::vector<AccessUnit>& out) override {
        if (picture.is_trial && is_tried_) start_again(without_trials(open_));
        is_tried_ |= picture.is_trial;
        (picture.is_trial ? open_ : kept_).push_back({nullptr, std::make_shared<KeptPicture>(picture)});
        maker_->encode(picture, out);
    }

    // The coder is made anew for what follows, so nothing before it has to be repeated.
    void flush(std::vector<AccessUnit>& out) override {
        maker_->flush(out);
        kept_.clear();
        first_ = now_;
    }

    void reconfigure(const SessionSettings& settings) override {
        now_ = settings;
        (is_tried_ ? open_ : kept_).push_back({std::make_shared<SessionSettings>(settings), nullptr});
        maker_->reconfigure(settings);
    }

    void restore(uint64_t serial) override {
        std::vector<Step> chosen;
        uint64_t last = serial;
        for (const Step& step : std::exchange(open_, {})) {
            if (step.is_trial()) last = step.picture->source().serial;
            if (!step.is_trial() || last == serial) chosen.push_back(step);
        }
        is_tried_ = false;
        if (last != serial) start_again(chosen);
        kept_.insert(kept_.end(), chosen.begin(), chosen.end());
    }

   private:
    static std::vector<Step> without_trials(const std::vector<Step>& steps) {
        std::vector<Step> others;
        for (const Step& step : steps)
            if (!step.is_trial()) others.push_back(step);
        return others;
    }

    void start_again(const std::vector<Step>& further) {
        maker_ = make_(first_);
        for (const Step& step : kept_) repeat(step);
        for (const Step& step : further) repeat(step);
    }

    void repeat(const Step& step) {
        std::vector<AccessUnit> known;
        if (step.settings != nullptr) return maker_->reconfigure(*step.settings);
        maker_->encode(step.picture->source(), known);
    }

    MakeMaker make_;
    SessionSettings first_, now_;
    std::unique_ptr<Maker> maker_;
    std::vector<Step> kept_;  // what the next picture follows
    std::vector<Step> open_;  // the trials of a picture, and changes between them
    bool is_tried_ = false;   // the coder has coded one of them
};

}  // namespace

std::unique_ptr<Maker> make_replaying(const SessionSettings& settings, MakeMaker make) {
    return std::make_unique<ReplayingMaker>(settings, std::move(make));
}

}  // namespace nvsim
