// Any bytes at all: an hrm::Error, or tensors that can be read to their last element. The bytes
// are tried as they are and as header and data of a file with the right length in front, since a
// fuzzer seldom guesses that.
#include <algorithm>
#include <cstring>

#include "tensor/io.h"
#include "tests/fuzz/fuzz.h"

using namespace hrm;

namespace {

void parse(const std::string& text) {
  // Memory of exactly this size, so that the sanitizer sees every step beyond it.
  const std::span<const std::byte> bytes = std::as_bytes(std::span(text));
  const std::vector<std::byte> copy(bytes.begin(), bytes.end());
  fuzz::try_to([&] {
    const Safetensors file = parse_safetensors(copy, "fuzz");
    for (const auto& [name, tensor] : file.tensors) tensor.to_vector();
  });
}

}  // namespace

void fuzz_one(const std::string& input) {
  parse(input);
  // The header ends at the first byte 0.
  const uint64_t header = std::min(input.find('\0'), input.size());
  parse(std::string(reinterpret_cast<const char*>(&header), 8) + input);
}
