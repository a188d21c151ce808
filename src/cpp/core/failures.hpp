// Keeps the first failure of several steps that all have to be tried, and tells it when it can do no harm.
#pragma once

#include <optional>
#include <utility>

#include "core/error.hpp"

namespace pdum::nvenc {

class Failures {
   public:
    // Whether the step succeeded.
    template <typename Step>
    bool attempt(Step step) noexcept {
        try {
            step();
            return true;
        } catch (const Error& error) {
            if (!first_) first_ = error;
        } catch (...) {
            // Out of host memory: nothing could be told either.
        }
        return false;
    }

    // Throws the first failure, once.
    void raise() {
        if (!first_) return;
        const Error failure = *std::exchange(first_, std::nullopt);
        throw failure;
    }

   private:
    std::optional<Error> first_;
};

}  // namespace pdum::nvenc
