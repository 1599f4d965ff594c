// Damages files the way disks, editors and attackers do.
#pragma once

#include "tests/torture/files.h"
#include "tests/torture/random.h"

namespace hrm::torture {

enum class Format { bytes, json, json_lines };

// `text` with a random change: bits, bytes and lengths, and for JSON in half of the cases the
// types, sizes and names of random values.
std::string damaged(const std::string& text, Format format, Random& random);

// JSON that is nested so deeply that a reader which calls itself runs out of stack.
std::string deep_json();

}  // namespace hrm::torture
