#include "encode/codec_views.hpp"

#include <algorithm>
#include <iterator>

#include "encode/codec_alpha.hpp"
#include "encode/codec_backends.hpp"

namespace nvsim {
namespace {

class ViewsCoder final : public PictureCoder {
   public:
    explicit ViewsCoder(const StreamSettings& settings)
        : left_(make_x265_coder(share_of(settings))), right_(make_x265_coder(share_of(settings))) {}

    std::vector<uint8_t> headers() override { return left_->headers(); }

    void encode(Picture picture, std::vector<AccessUnit>& out) override {
        const bool is_left = picture.serial % 2 == 0;
        (is_left ? left_ : right_)->encode(std::move(picture), is_left ? lefts_ : rights_);
        put_in_turn(out);
    }

    void flush(std::vector<AccessUnit>& out) override {
        left_->flush(lefts_);
        right_->flush(rights_);
        put_in_turn(out);
        std::move(lefts_.begin(), lefts_.end(), std::back_inserter(out));  // a stream may end after a left view
        lefts_.clear();
    }

    bool reconfigure(const StreamSettings& settings) override {
        const bool taken = left_->reconfigure(share_of(settings));
        return right_->reconfigure(share_of(settings)) && taken;
    }

   private:
    static StreamSettings share_of(StreamSettings settings) {
        for (uint32_t* rate : {&settings.average_bitrate, &settings.max_bitrate, &settings.vbv_size}) *rate /= 2;
        return settings;
    }

    void put_in_turn(std::vector<AccessUnit>& out) {
        const size_t ready = std::min(lefts_.size(), rights_.size());
        for (size_t i = 0; i < ready; ++i) {
            rights_[i].data = slices_in_second_layer(rights_[i].data);
            out.push_back(std::move(lefts_[i]));
            out.push_back(std::move(rights_[i]));
        }
        const auto taken = static_cast<std::ptrdiff_t>(ready);
        lefts_.erase(lefts_.begin(), lefts_.begin() + taken);
        rights_.erase(rights_.begin(), rights_.begin() + taken);
    }

    std::unique_ptr<PictureCoder> left_, right_;
    std::vector<AccessUnit> lefts_, rights_;
};

}  // namespace

std::unique_ptr<PictureCoder> make_views_coder(const StreamSettings& settings) {
    return std::make_unique<ViewsCoder>(settings);
}

}  // namespace nvsim
