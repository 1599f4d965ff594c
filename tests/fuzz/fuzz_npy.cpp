// Any bytes at all: an hrm::Error, or a tensor that can be read to its last element. The bytes are
// tried as they are and behind a valid preamble; without an owner (copied) and with one (mapped).
#include <algorithm>
#include <cstring>

#include "tensor/io.h"
#include "tests/fuzz/fuzz.h"

using namespace hrm;

namespace {

void parse(const std::string& text) {
  // Memory of exactly this size, so that the sanitizer sees every step beyond it.
  const std::shared_ptr<std::byte[]> copy(new std::byte[text.size()]);
  std::copy_n(reinterpret_cast<const std::byte*>(text.data()), text.size(), copy.get());
  for (const std::shared_ptr<void>& owner : {std::shared_ptr<void>(), std::shared_ptr<void>(copy)})
    fuzz::try_to([&] { parse_npy({copy.get(), text.size()}, owner, "fuzz").to_vector(); });
}

}  // namespace

void fuzz_one(const std::string& input) {
  parse(input);
  // Version 2 has a four-byte length; the header ends at the first newline.
  const auto header = static_cast<uint32_t>(std::min(input.find('\n'), input.size()));
  std::string preamble("\x93NUMPY\x02\x00\x00\x00\x00\x00", 12);
  std::memcpy(preamble.data() + 8, &header, 4);
  parse(preamble + input);
}
