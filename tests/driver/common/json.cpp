#include "common/json.hpp"

#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>

namespace nvsim {
namespace {

constexpr int kMaxDepth = 64;

class Parser {
   public:
    explicit Parser(const std::string& text) : text_(text) {}

    Json document() {
        Json value = any(0);
        skip_space();
        if (at_ != text_.size()) fail("text after the end");
        return value;
    }

   private:
    [[noreturn]] void fail(const std::string& what) const {
        throw std::runtime_error("JSON, offset " + std::to_string(at_) + ": " + what);
    }

    char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }

    void skip_space() {
        while (at_ < text_.size() &&
               (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r'))
            ++at_;
    }

    bool take(char wanted) {
        skip_space();
        if (peek() != wanted || at_ >= text_.size()) return false;
        ++at_;
        return true;
    }

    void expect(char wanted) {
        if (!take(wanted)) fail(std::string("'") + wanted + "' expected");
    }

    Json any(int depth) {
        if (depth > kMaxDepth) fail("nested too deeply");
        skip_space();
        switch (peek()) {
            case '{': return object(depth);
            case '[': return array(depth);
            case '"': return Json(string());
            case 't': return word("true", Json(true));
            case 'f': return word("false", Json(false));
            case 'n': return word("null", Json());
            default: return number();
        }
    }

    Json word(const std::string& name, Json value) {
        if (text_.compare(at_, name.size(), name) != 0) fail("unknown word");
        at_ += name.size();
        return value;
    }

    Json object(int depth) {
        expect('{');
        Json::Object members;
        if (take('}')) return Json(std::move(members));
        do {
            skip_space();
            std::string key = string();
            for (const auto& member : members)
                if (member.first == key) fail("key \"" + key + "\" given twice");
            expect(':');
            members.emplace_back(std::move(key), any(depth + 1));
        } while (take(','));
        expect('}');
        return Json(std::move(members));
    }

    Json array(int depth) {
        expect('[');
        Json::Array elements;
        if (take(']')) return Json(std::move(elements));
        do elements.push_back(any(depth + 1));
        while (take(','));
        expect(']');
        return Json(std::move(elements));
    }

    std::string string() {
        if (peek() != '"') fail("'\"' expected");
        ++at_;
        std::string out;
        while (true) {
            if (at_ >= text_.size()) fail("string without an end");
            const char c = text_[at_++];
            if (c == '"') return out;
            if (static_cast<unsigned char>(c) < 0x20) fail("control character in a string");
            if (c == '\\')
                escape(out);
            else
                out += c;
        }
    }

    void escape(std::string& out) {
        const char c = peek();
        ++at_;
        switch (c) {
            case '"':
            case '\\':
            case '/': out += c; break;
            case 'b': out += '\b'; break;
            case 'f': out += '\f'; break;
            case 'n': out += '\n'; break;
            case 'r': out += '\r'; break;
            case 't': out += '\t'; break;
            case 'u': append_utf8(out, code_point()); break;
            default: fail("unknown escape");
        }
    }

    uint32_t hex4() {
        uint32_t value = 0;
        if (at_ + 4 > text_.size()) fail("four hexadecimal digits expected");
        const char* first = text_.data() + at_;
        const auto [end, error] = std::from_chars(first, first + 4, value, 16);
        if (error != std::errc() || end != first + 4) fail("four hexadecimal digits expected");
        at_ += 4;
        return value;
    }

    uint32_t code_point() {
        const uint32_t high = hex4();
        if (high < 0xD800 || high > 0xDFFF) return high;
        if (high > 0xDBFF || text_.compare(at_, 2, "\\u") != 0) fail("half of a surrogate pair");
        at_ += 2;
        const uint32_t low = hex4();
        if (low < 0xDC00 || low > 0xDFFF) fail("half of a surrogate pair");
        return 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
    }

    static void append_utf8(std::string& out, uint32_t code) {
        if (code < 0x80) {
            out += static_cast<char>(code);
            return;
        }
        const int extra = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
        const uint32_t lead = extra == 1 ? 0xC0 : extra == 2 ? 0xE0 : 0xF0;
        out += static_cast<char>(lead | (code >> (6 * extra)));
        for (int i = extra - 1; i >= 0; --i) out += static_cast<char>(0x80 | ((code >> (6 * i)) & 0x3F));
    }

    void digits() {
        if (peek() < '0' || peek() > '9') fail("a value expected");
        while (peek() >= '0' && peek() <= '9') ++at_;
    }

    Json number() {
        const size_t start = at_;
        bool whole = true;
        if (peek() == '-') ++at_;
        digits();
        if (peek() == '.') {
            whole = false;
            ++at_;
            digits();
        }
        if (peek() == 'e' || peek() == 'E') {
            whole = false;
            ++at_;
            if (peek() == '+' || peek() == '-') ++at_;
            digits();
        }
        const std::string token = text_.substr(start, at_ - start);
        int64_t integer = 0;
        if (whole && std::from_chars(token.data(), token.data() + token.size(), integer).ec == std::errc())
            return Json(integer);
        return Json(std::strtod(token.c_str(), nullptr));
    }

    const std::string& text_;
    size_t at_ = 0;
};

template <typename T, typename Variant>
const T& get(const Variant& value, const std::string& what, const char* kind) {
    if (const T* found = std::get_if<T>(&value)) return *found;
    throw std::runtime_error("\"" + what + "\" has to be " + kind);
}

}  // namespace

Json Json::parse(const std::string& text) { return Parser(text).document(); }

bool Json::as_bool(const std::string& what) const { return get<bool>(value_, what, "true or false"); }

int64_t Json::as_integer(const std::string& what) const { return get<int64_t>(value_, what, "a whole number"); }

double Json::as_number(const std::string& what) const {
    if (const int64_t* integer = std::get_if<int64_t>(&value_)) return static_cast<double>(*integer);
    return get<double>(value_, what, "a number");
}

const std::string& Json::as_string(const std::string& what) const { return get<std::string>(value_, what, "a string"); }
const Json::Array& Json::as_array(const std::string& what) const { return get<Array>(value_, what, "a list"); }
const Json::Object& Json::as_object(const std::string& what) const { return get<Object>(value_, what, "an object"); }

const Json* Json::find(const std::string& key) const {
    const Object* members = std::get_if<Object>(&value_);
    if (members == nullptr) return nullptr;
    for (const auto& [name, value] : *members)
        if (name == key) return &value;
    return nullptr;
}

void append_quoted(std::string& out, const std::string& text) {
    out += '"';
    for (const char c : text) {
        if (c == '"' || c == '\\') {
            out += '\\';
            out += c;
        } else if (static_cast<unsigned char>(c) < 0x20) {
            char code[8];
            std::snprintf(code, sizeof code, "\\u%04x", static_cast<unsigned>(c));
            out += code;
        } else {
            out += c;
        }
    }
    out += '"';
}

void Json::write(std::string& out) const {
    if (is_null()) {
        out += "null";
    } else if (const bool* flag = std::get_if<bool>(&value_)) {
        out += *flag ? "true" : "false";
    } else if (const int64_t* integer = std::get_if<int64_t>(&value_)) {
        out += std::to_string(*integer);
    } else if (const double* number = std::get_if<double>(&value_)) {
        char text[40];
        std::snprintf(text, sizeof text, "%.17g", *number);
        out += std::isfinite(*number) ? text : "null";
    } else if (is_string()) {
        append_quoted(out, std::get<std::string>(value_));
    } else if (const Array* elements = std::get_if<Array>(&value_)) {
        const char* separator = "[";
        for (const Json& element : *elements) {
            out += separator;
            element.write(out);
            separator = ",";
        }
        out += elements->empty() ? "[]" : "]";
    } else {
        const Object& members = std::get<Object>(value_);
        const char* separator = "{";
        for (const auto& [name, member] : members) {
            out += separator;
            append_quoted(out, name);
            out += ':';
            member.write(out);
            separator = ",";
        }
        out += members.empty() ? "{}" : "}";
    }
}

std::string Json::dump() const {
    std::string out;
    write(out);
    return out;
}

}  // namespace nvsim
