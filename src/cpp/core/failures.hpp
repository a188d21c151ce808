// Keeps the first failure of several steps that all have to be tried, so that it can be raised later.
#pragma once

#include <optional>
#include <utility>

#include "core/error.hpp"

namespace pdum::nvenc {

class Failures {
   public:
    // Runs a step and keeps what it throws. Whether the step succeeded.
    template <typename Step>
    bool run(Step step) noexcept {
        try {
            step();
            return true;
        } catch (const Error& error) {
            device_is_lost_ |= error.details().kind == ErrorKind::device_lost;
            if (!first_) first_ = error;
        } catch (...) {
            // Out of host memory, so there is none for a message either.
        }
        return false;
    }

    // Whether any step found the device lost. It stays so.
    bool device_is_lost() const noexcept { return device_is_lost_; }

    // Throws the first failure, once.
    void raise() {
        if (!first_) return;
        const Error failure = *std::exchange(first_, std::nullopt);
        throw failure;
    }

   private:
    std::optional<Error> first_;
    bool device_is_lost_ = false;
};

}  // namespace pdum::nvenc
