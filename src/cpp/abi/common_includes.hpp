// What config_impl.inl and session_impl.inl need: they are included inside a namespace and can include nothing.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
#include <numeric>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include "abi/encode_api.hpp"
#include "abi/zeroed.hpp"
#include "core/error.hpp"
#include "core/process.hpp"
