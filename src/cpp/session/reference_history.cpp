#include "session/reference_history.hpp"

namespace pdum::nvenc {

void ReferenceHistory::add(int64_t pts, int64_t, bool is_idr, std::optional<uint32_t> slot) {
    if (is_idr) slots_.fill(std::nullopt);
    if (slot) slots_.at(*slot) = pts;
}

std::optional<uint32_t> ReferenceHistory::first_empty(uint32_t slots) const {
    for (uint32_t slot = 0; slot < most_slots; ++slot) {
        if ((slots >> slot & 1) != 0 && !slots_.at(slot)) return slot;
    }
    return std::nullopt;
}

}  // namespace pdum::nvenc
