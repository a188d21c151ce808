// A session whose pictures are two views: the left one waits for the right one, which is coded with the same type.
#include "common/text.hpp"
#include "encode/breach.hpp"
#include "encode/session.hpp"

namespace nvsim {

void Session::check_view(const Submission& submission) const {
    const bool two = stream().tools.two_views;
    const uint32_t wanted = two && waits_for_view_ ? 1 : 0;
    if (submission.view != wanted)
        violate(Status::invalid_param,
                two ? text("viewId ", submission.view, " comes where ", wanted, " is expected: the views take turns")
                    : text("viewId ", submission.view, " without enableMVHEVC"));
    if (wanted == 1 && (submission.flags & (force_idr | force_intra)) != 0 && !left_.force_idr && !left_.force_intra)
        forbid(Status::success, Status::invalid_param, "a picture type is forced for viewId 1 alone");
}

void Session::plan(const Submission& submission, uint64_t serial) {
    const PictureRequest picture{serial, (submission.flags & force_idr) != 0, (submission.flags & force_intra) != 0,
                                 submission.type};
    if (!stream().tools.two_views) return planner_.push(picture, plan_);
    waits_for_view_ = !waits_for_view_;
    if (waits_for_view_) {
        left_ = picture;
        return;
    }
    planner_.push(left_, plan_);
    add_second_views();
}

void Session::add_second_views() {
    std::vector<PlannedPicture> both;
    for (const PlannedPicture& left : plan_) {
        both.push_back(left);
        if (left.serial + 1 < next_serial_) both.push_back({left.serial + 1, left.type});
    }
    plan_.swap(both);
}

}  // namespace nvsim
