#include "encode/gop.hpp"

namespace nvsim {

void GopPlanner::push(const PictureRequest& picture, std::vector<PlannedPicture>& out) {
    if (!structure_.decide) {
        const bool first = !started_;
        started_ = true;
        const bool idr = first || picture.force_idr;
        out.push_back({picture.serial, idr ? PictureType::idr : picture.client_type});
        return;
    }
    if (structure_.lookahead == 0) return place(picture, out);
    waiting_.push_back(picture);
    if (waiting_.size() <= static_cast<size_t>(structure_.lookahead)) return;
    place(waiting_.front(), out);
    waiting_.pop_front();
}

void GopPlanner::drain(std::vector<PlannedPicture>& out) {
    for (; !waiting_.empty(); waiting_.pop_front()) place(waiting_.front(), out);
    end_group(out);
}

PictureType GopPlanner::decide(const PictureRequest& picture) {
    const bool idr_due = !started_ || (structure_.idr_period != 0 && since_idr_ >= structure_.idr_period);
    const bool intra_due = structure_.length != 0 && since_intra_ >= structure_.length;
    started_ = true;
    if (picture.force_idr || idr_due) {
        const bool restarts = idr_due || structure_.forced_idr_restarts;
        since_idr_ = restarts ? 1 : since_idr_ + 1;
        since_intra_ = restarts ? 1 : since_intra_ + 1;
        return PictureType::idr;
    }
    ++since_idr_;
    if (picture.force_intra || intra_due || structure_.interval == 0) {
        since_intra_ = 1;
        return PictureType::i;
    }
    ++since_intra_;
    const bool anchor = held_.size() + 1 >= static_cast<size_t>(structure_.interval);
    return anchor ? PictureType::p : PictureType::b;
}

void GopPlanner::place(const PictureRequest& picture, std::vector<PlannedPicture>& out) {
    const PictureType type = decide(picture);
    if (type == PictureType::b) {
        held_.push_back(picture.serial);
        return;
    }
    if (type == PictureType::idr) end_group(out);
    out.push_back({picture.serial, type});
    release_held(out);
}

void GopPlanner::release_held(std::vector<PlannedPicture>& out) {
    const size_t middle = held_.size() / 2;
    const bool reorder = structure_.middle_first && held_.size() > 2;
    if (reorder) out.push_back({held_[middle], PictureType::b});
    for (size_t i = 0; i < held_.size(); ++i)
        if (!reorder || i != middle) out.push_back({held_[i], PictureType::b});
    held_.clear();
}

// No picture may refer beyond an IDR picture or the end: the last one held becomes the anchor of the others.
void GopPlanner::end_group(std::vector<PlannedPicture>& out) {
    if (held_.empty()) return;
    out.push_back({held_.back(), PictureType::p});
    held_.pop_back();
    release_held(out);
}

namespace {

int layer_of(const TemporalLayers& layers, uint64_t since_idr) {
    int layer = 0;
    for (uint64_t step = layers.period(); since_idr % step != 0; step /= 2) ++layer;
    return layer;
}

}  // namespace

LayerPlace place_in(const TemporalLayers& layers, uint64_t since_idr) {
    LayerPlace place;
    place.layer = layer_of(layers, since_idr);
    place.distance = layers.period() >> place.layer;
    if (since_idr >= place.distance) place.referred_layer = layer_of(layers, since_idr - place.distance);
    return place;
}

}  // namespace nvsim
