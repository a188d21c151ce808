#include "cuda/entry.hpp"

namespace nvsim {

void Described<const CUDA_MEMCPY2D*>::write(std::string& out, const std::string& name, const CUDA_MEMCPY2D* copy) {
    if (copy == nullptr) return;
    describe_key(out, name);
    out += '{';
    describe_number(out, "srcXInBytes", static_cast<int64_t>(copy->srcXInBytes));
    describe_number(out, "srcY", static_cast<int64_t>(copy->srcY));
    describe_number(out, "srcMemoryType", copy->srcMemoryType);
    describe_address(out, "srcHost", copy->srcHost);
    describe_address(out, "srcDevice", reinterpret_cast<const void*>(copy->srcDevice));
    describe_number(out, "srcPitch", static_cast<int64_t>(copy->srcPitch));
    describe_number(out, "dstXInBytes", static_cast<int64_t>(copy->dstXInBytes));
    describe_number(out, "dstY", static_cast<int64_t>(copy->dstY));
    describe_number(out, "dstMemoryType", copy->dstMemoryType);
    describe_address(out, "dstHost", copy->dstHost);
    describe_address(out, "dstDevice", reinterpret_cast<const void*>(copy->dstDevice));
    describe_number(out, "dstPitch", static_cast<int64_t>(copy->dstPitch));
    describe_number(out, "WidthInBytes", static_cast<int64_t>(copy->WidthInBytes));
    describe_number(out, "Height", static_cast<int64_t>(copy->Height));
    out += '}';
}

}  // namespace nvsim
