// Uses that real cards accept although the documentation forbids them.
#pragma once

#include <string>
#include <utility>

#include "common/instrument.hpp"
#include "encode/status.hpp"

namespace nvsim {

// The recorded card's answer counts if strictness is off. Otherwise the use is a violation, answered with the status
// that the documentation has for it.
inline void forbid(Status recorded, Status documented, std::string message) {
    if (instrument::strict()) violate(documented, std::move(message));
    if (recorded != Status::success) refuse(recorded, std::move(message));
}

}  // namespace nvsim
