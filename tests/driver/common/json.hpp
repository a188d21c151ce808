// JSON for configurations, control requests, reports and traces. Our own, so that the simulated driver builds anywhere
// with nothing but a compiler.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace nvsim {

class Json {
   public:
    using Array = std::vector<Json>;
    using Object = std::vector<std::pair<std::string, Json>>;  // in the order written; keys are unique

    Json() = default;
    Json(std::nullptr_t) {}
    Json(bool value) : value_(value) {}
    Json(int value) : value_(static_cast<int64_t>(value)) {}
    Json(int64_t value) : value_(value) {}
    Json(uint64_t value) : value_(static_cast<int64_t>(value)) {}
    Json(double value) : value_(value) {}
    Json(const char* value) : value_(std::string(value)) {}
    Json(std::string value) : value_(std::move(value)) {}
    Json(Array value) : value_(std::move(value)) {}
    Json(Object value) : value_(std::move(value)) {}

    // Throws std::runtime_error with the offset of what is wrong.
    static Json parse(const std::string& text);
    std::string dump() const;

    bool is_null() const { return std::holds_alternative<std::monostate>(value_); }
    bool is_string() const { return std::holds_alternative<std::string>(value_); }
    bool is_array() const { return std::holds_alternative<Array>(value_); }
    bool is_object() const { return std::holds_alternative<Object>(value_); }

    // Each throws std::runtime_error, naming `what`, if the value is of another kind.
    bool as_bool(const std::string& what) const;
    int64_t as_integer(const std::string& what) const;
    double as_number(const std::string& what) const;
    const std::string& as_string(const std::string& what) const;
    const Array& as_array(const std::string& what) const;
    const Object& as_object(const std::string& what) const;

    // A member of an object, or null if there is none (or this is no object).
    const Json* find(const std::string& key) const;

   private:
    void write(std::string& out) const;

    std::variant<std::monostate, bool, int64_t, double, std::string, Array, Object> value_;
};

// Appends the text between quotes, escaped as JSON wants it.
void append_quoted(std::string& out, const std::string& text);

}  // namespace nvsim
