// Any bytes at all: an hrm::Error, or tensors that can be read to their last element. The bytes
// are tried as they are and as header and data of a file with the right length in front, since a
// fuzzer seldom guesses that.
#include <algorithm>
#include <cstring>

#include "tensor/io.h"

namespace {

void parse(std::span<const std::byte> bytes) {
  try {
    const auto file = hrm::parse_safetensors(bytes, "fuzz");
    for (const auto& [name, tensor] : file.tensors) tensor.to_vector();
  } catch (const hrm::Error&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  parse(std::as_bytes(std::span(data, size)));
  // The header ends at the first byte 0.
  const uint64_t header = std::find(data, data + size, 0) - data;
  std::vector<std::byte> file(8 + size);
  std::memcpy(file.data(), &header, 8);
  if (size) std::memcpy(file.data() + 8, data, size);
  parse(file);
  return 0;
}
