// A call's arguments as JSON for the trace, by the names that they have in the source.
#pragma once

#include <cstdint>
#include <string>
#include <tuple>
#include <type_traits>

#include "common/trace.hpp"

namespace nvsim {

// Each appends `"name":value` to an unfinished JSON object; zeros and nulls leave no mark.
void describe_number(std::string& out, const std::string& name, int64_t value);
void describe_real(std::string& out, const std::string& name, double value);
void describe_text(std::string& out, const std::string& name, const char* value);
void describe_address(std::string& out, const std::string& name, const void* value);
void describe_key(std::string& out, const std::string& name);

// Specialised by a library for structs that it wants to show.
template <typename T>
struct Described {
    static void write(std::string& out, const std::string& name, T value) {
        if constexpr (std::is_same_v<T, const char*>)
            describe_text(out, name, value);
        else if constexpr (std::is_pointer_v<T>)
            describe_address(out, name, reinterpret_cast<const void*>(value));
        else if constexpr (std::is_floating_point_v<T>)
            describe_real(out, name, value);
        else
            describe_number(out, name, static_cast<int64_t>(value));
    }
};

// The first name of "a, b)", which is then taken away.
std::string next_name(const char*& names);

// `names` is the parenthesised list of the arguments as written.
template <typename... T>
CallDetails named_arguments(const char* names, const std::tuple<T...>& values) {
    ++names;
    std::string out = "{";
    std::apply([&](const auto&... value) { (Described<T>::write(out, next_name(names), value), ...); }, values);
    return {"", 0, out + "}"};
}

}  // namespace nvsim
