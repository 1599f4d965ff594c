// Any bytes at all: an hrm::Error or a tensor that can be read to its last element. The copy owns
// its bytes, so the path that maps without copying is taken as well.
#include <cstring>

#include "tensor/io.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::shared_ptr<std::byte[]> copy(new std::byte[size]);
  if (size) std::memcpy(copy.get(), data, size);
  for (const std::shared_ptr<void>& owner : {std::shared_ptr<void>(), std::shared_ptr<void>(copy)})
    try {
      hrm::parse_npy({copy.get(), size}, owner, "fuzz").to_vector();
    } catch (const hrm::Error&) {
    }
  return 0;
}
