#include "cuda/entry.hpp"

#include <cstdio>

#include "common/json.hpp"

namespace nvsim::cuda {
namespace {

void key(std::string& out, const std::string& name) {
    if (out.back() != '{') out += ',';
    append_quoted(out, name);
    out += ':';
}

}  // namespace

void describe_number(std::string& out, const std::string& name, int64_t value) {
    if (value == 0) return;
    key(out, name);
    out += std::to_string(value);
}

void describe_real(std::string& out, const std::string& name, double value) {
    if (value == 0) return;
    key(out, name);
    out += Json(value).dump();
}

void describe_text(std::string& out, const std::string& name, const char* value) {
    if (value == nullptr) return;
    key(out, name);
    append_quoted(out, value);
}

void describe_address(std::string& out, const std::string& name, const void* value) {
    if (value == nullptr) return;
    char text[32];
    std::snprintf(text, sizeof text, "%p", value);
    key(out, name);
    append_quoted(out, text);
}

void describe_copy(std::string& out, const std::string& name, const CUDA_MEMCPY2D* copy) {
    if (copy == nullptr) return;
    key(out, name);
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

std::string next_name(const char*& names) {
    std::string name;
    while (*names != '\0' && *names != ',' && *names != ')') {
        if (*names != ' ') name += *names;
        ++names;
    }
    if (*names == ',') ++names;
    return name;
}

}  // namespace nvsim::cuda
