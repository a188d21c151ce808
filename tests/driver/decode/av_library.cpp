#include "decode/av_library.hpp"

#ifdef NVSIM_WITH_LIBAVCODEC

#include <exception>
#include <string>

#include "common/codec_library.hpp"

namespace nvsim::decode {
namespace {

// The sonames of the headers' versions: only their structs' layouts are known here.
bool load(AvLibrary& library) {
    try {
        const CodecLibrary util("libavutil.so." + std::to_string(LIBAVUTIL_VERSION_MAJOR));
        const CodecLibrary codec("libavcodec.so." + std::to_string(LIBAVCODEC_VERSION_MAJOR));
#define NVSIM_LOAD(name) codec.load(library.name, #name);
        NVSIM_AVCODEC(NVSIM_LOAD)
#undef NVSIM_LOAD
#define NVSIM_LOAD(name) util.load(library.name, #name);
        NVSIM_AVUTIL(NVSIM_LOAD)
#undef NVSIM_LOAD
        return true;
    } catch (const std::exception&) {
        return false;
    }
}

}  // namespace

const AvLibrary* av() {
    static AvLibrary library;
    static const bool loaded = load(library);
    return loaded ? &library : nullptr;
}

}  // namespace nvsim::decode

#endif
