// Makes one access unit of the two that the driver gives for a picture with two views.
#pragma once

#include <optional>
#include <utility>
#include <vector>

#include "session/delivery.hpp"

namespace pdum::nvenc {

// Sits before the caller's sink. The left view comes first; its bytes are kept until the right one is there.
class ViewJoiner {
   public:
    void take(const AccessUnit& unit, Sink& sink) {
        const auto* data = static_cast<const unsigned char*>(unit.data);
        bytes_.insert(bytes_.end(), data, data + unit.size);
        if (!left_) {
            left_ = unit;
            return;
        }
        AccessUnit both = *left_;
        both.pts /= 2;  // two pictures of the driver are one of the caller
        both.dts /= 2;
        const std::vector<unsigned char> bytes = std::exchange(bytes_, {});
        left_.reset();
        both.data = bytes.data();
        both.size = bytes.size();
        sink.take(both);
    }

    void clear() noexcept {
        left_.reset();
        bytes_.clear();
    }

   private:
    std::optional<AccessUnit> left_;
    std::vector<unsigned char> bytes_;
};

}  // namespace pdum::nvenc
