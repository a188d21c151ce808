#include "common/arguments.hpp"

#include <cstdio>

#include "common/json.hpp"

namespace nvsim {

void describe_key(std::string& out, const std::string& name) {
    if (out.back() != '{') out += ',';
    append_quoted(out, name);
    out += ':';
}

void describe_number(std::string& out, const std::string& name, int64_t value) {
    if (value == 0) return;
    describe_key(out, name);
    out += std::to_string(value);
}

void describe_real(std::string& out, const std::string& name, double value) {
    if (value == 0) return;
    describe_key(out, name);
    out += Json(value).dump();
}

void describe_text(std::string& out, const std::string& name, const char* value) {
    if (value == nullptr) return;
    describe_key(out, name);
    append_quoted(out, value);
}

void describe_address(std::string& out, const std::string& name, const void* value) {
    if (value == nullptr) return;
    char text[32];
    std::snprintf(text, sizeof text, "%p", value);
    describe_key(out, name);
    append_quoted(out, text);
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

}  // namespace nvsim
