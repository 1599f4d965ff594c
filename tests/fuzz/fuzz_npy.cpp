// Any bytes at all: an hrm::Error, or a tensor that can be read to its last element. The bytes are
// tried as they are and behind a valid preamble; without an owner (copied) and with one (mapped).
#include <algorithm>
#include <cstring>
#include <string>

#include "tensor/io.h"

namespace {

void parse(const std::string& text) {
  const std::shared_ptr<std::byte[]> copy(new std::byte[text.size()]);
  std::copy_n(reinterpret_cast<const std::byte*>(text.data()), text.size(), copy.get());
  for (const std::shared_ptr<void>& owner : {std::shared_ptr<void>(), std::shared_ptr<void>(copy)})
    try {
      hrm::parse_npy({copy.get(), text.size()}, owner, "fuzz").to_vector();
    } catch (const hrm::Error&) {
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  parse(text);
  // Version 2 has a four-byte length; the header ends at the first newline.
  const uint32_t header = static_cast<uint32_t>(std::min(text.find('\n'), size));
  std::string preamble("\x93NUMPY\x02\x00\x00\x00\x00\x00", 12);
  std::memcpy(preamble.data() + 8, &header, 4);
  parse(preamble + text);
  return 0;
}
