// Any bytes at all: an hrm::Error or tensors that can be read to their last element.
#include "tensor/io.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const auto file = hrm::parse_safetensors(std::as_bytes(std::span(data, size)), "fuzz");
    for (const auto& [name, tensor] : file.tensors) tensor.to_vector();
  } catch (const hrm::Error&) {
  }
  return 0;
}
