#include <array>

#include "abi/encode_api.hpp"
#include "core/error.hpp"

namespace pdum::nvenc {
namespace {

std::string text_of(EncodeVersion version) {
    return std::to_string(version.major) + "." + std::to_string(version.minor);
}

bool speaks(EncodeVersion driver, EncodeVersion wanted) {
    return driver.major > wanted.major || (driver.major == wanted.major && driver.minor >= wanted.minor);
}

// The first Linux driver of each interface version, by NVIDIA's own figures; that of 13.1 is not known to us.
std::string first_driver_of(EncodeVersion version) {
    if (version.major < 13) return "530.41.03 or newer";
    return version.minor == 0 ? "570.0 or newer" : "one that speaks " + text_of(version);
}

[[noreturn]] void too_old(EncodeVersion driver, EncodeVersion wanted) {
    fail(ErrorKind::driver_too_old,
         "The NVIDIA driver speaks version " + text_of(driver) + " of the encode interface at most, and " +
             text_of(wanted) + " is needed.",
         "Update the NVIDIA driver to " + first_driver_of(wanted) + ".");
}

}  // namespace

const char* name_of(Codec codec) noexcept {
    switch (codec) {
        case Codec::h264: return "h264";
        case Codec::hevc: return "hevc";
        case Codec::av1: return "av1";
    }
    return "unknown";
}

const Abi& choose_abi(const std::optional<std::string>& forced) {
    const std::array<const Abi*, 3> newest_first{&interface_13_1(), &interface_13_0(), &interface_12_1()};
    if (forced) {
        for (const Abi* abi : newest_first) {
            if (*forced != abi->name) continue;
            const EncodeVersion driver = max_encode_version();
            if (!speaks(driver, abi->version)) too_old(driver, abi->version);
            return *abi;
        }
        fail(ErrorKind::invalid_config, "PDUM_NVENC_ABI is '" + *forced + "'.",
             "It can be 12.1, 13.0 or 13.1, or unset.");
    }
    const EncodeVersion driver = max_encode_version();
    for (const Abi* abi : newest_first) {
        if (speaks(driver, abi->version)) return *abi;
    }
    too_old(driver, newest_first.back()->version);
}

}  // namespace pdum::nvenc
