#include "encode/fields.hpp"

#include <cstdio>

namespace nvsim {

namespace {

void append_escaped(std::string& out, const std::string& text) {
    for (unsigned char c : text) {
        if (c == '"' || c == '\\') {
            out += '\\';
            out += static_cast<char>(c);
        } else if (c < 0x20 || c >= 0x7f) {
            char escape[8];
            std::snprintf(escape, sizeof escape, "\\u%04x", c);
            out += escape;
        } else {
            out += static_cast<char>(c);
        }
    }
}

}  // namespace

void Fields::key(const char* name) {
    if (text_.back() != '{' && text_.back() != '[') text_ += ',';
    if (name == nullptr) return;
    text_ += '"';
    text_ += name;
    text_ += "\":";
}

void Fields::text(const char* name, const std::string& value) {
    key(name);
    text_ += '"';
    append_escaped(text_, value);
    text_ += '"';
}

void Fields::symbol(const char* name, const char* symbol, uint32_t value) {
    if (value == 0 && name != nullptr) return;
    if (symbol != nullptr)
        text(name, symbol);
    else
        number(name, value);
}

void Fields::guid(const char* name, const char* symbol, const void* guid) {
    const auto* bytes = static_cast<const uint8_t*>(guid);
    bool zero = true;
    for (int i = 0; i < 16; ++i) zero &= bytes[i] == 0;
    if (zero) return;
    if (symbol != nullptr) return text(name, symbol);
    this->bytes(name, bytes, 16);
}

void Fields::address(const char* name, const void* value) {
    if (value == nullptr && name != nullptr) return;
    char hex[32];
    std::snprintf(hex, sizeof hex, "0x%llx", static_cast<unsigned long long>(reinterpret_cast<uintptr_t>(value)));
    text(name, hex);
}

void Fields::bytes(const char* name, const uint8_t* data, uint32_t size) {
    if (data == nullptr || size == 0) return;
    static const char digits[] = "0123456789abcdef";
    std::string hex;
    for (uint32_t i = 0; i < size; ++i) {
        hex += digits[data[i] >> 4];
        hex += digits[data[i] & 15];
    }
    text(name, hex);
}

void Fields::open(const char* name, char bracket) {
    rollback_.push_back(text_.size());
    key(name);
    text_ += bracket;
}

void Fields::close(char bracket) {
    const bool empty = text_.back() == '{' || text_.back() == '[';
    const auto start = rollback_.back();
    rollback_.pop_back();
    const bool element = start > 0 && (text_[start] == '{' || (text_[start] == ',' && text_[start + 1] == '{'));
    if (empty && !element)
        text_.resize(start);
    else
        text_ += bracket;
}

}  // namespace nvsim
