// SHA-256 (FIPS 180-4), for the hashes by which the official code tells puzzles apart.
#pragma once

#include <string>

namespace hrm {
std::string sha256_hex(const std::string& bytes);
}
