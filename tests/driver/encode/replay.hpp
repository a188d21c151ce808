// A coder that can go back: software codecs cannot, so it is made anew and given everything again.
#pragma once

#include <functional>
#include <memory>

#include "encode/maker.hpp"

namespace nvsim {

using MakeMaker = std::function<std::unique_ptr<Maker>(const SessionSettings&)>;

// Of what `make` makes. Pictures with `is_trial` are coded each as if the others had not been; restore() tells which
// one the pictures after them follow.
std::unique_ptr<Maker> make_replaying(const SessionSettings& settings, MakeMaker make);

}  // namespace nvsim
