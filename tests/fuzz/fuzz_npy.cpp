// Any bytes at all: an hrm::Error, or a tensor that can be read to its last element. The bytes are
// tried as they are and behind a valid preamble; without an owner (copied) and with one (mapped).
#include <algorithm>
#include <cstring>

#include "tensor/io.h"
#include "tests/fuzz/fuzz.h"

using namespace hrm;

namespace {

bool same(const std::vector<double>& a, const std::vector<double>& b) {
  const auto equal = [](double x, double y) { return x == y || (x != x && y != y); };
  return std::ranges::equal(a, b, equal);
}

// What was read is written and read again, whole and row by row.
void write_again(const Tensor& tensor) {
  if (tensor.nbytes() > 1 << 20) return;
  static const fuzz::Folder folder({}, {});
  const Path file = folder.path() / "again.npy";
  write_npy(file, tensor);
  const Tensor again = read_npy(file);
  fuzz::must(again.shape() == tensor.shape() && again.dtype() == tensor.dtype());
  fuzz::must(same(again.to_vector(), tensor.to_vector()));
  if (tensor.ndim() != 2 || tensor.size(0) > 1000) return;
  NpyWriter writer(file, tensor.dtype(), tensor.size(1));
  const auto* rows = static_cast<const std::byte*>(tensor.data());
  const int64_t row_bytes = tensor.size(1) * static_cast<int64_t>(size_of(tensor.dtype()));
  for (int64_t i = 0; i < tensor.size(0); ++i) writer.append(rows + i * row_bytes);
  writer.finish();
  fuzz::must(same(read_npy(file).to_vector(), tensor.to_vector()));
}

void parse(const std::string& text) {
  // Memory of exactly this size, so that the sanitizer sees every step beyond it.
  const std::shared_ptr<std::byte[]> copy(new std::byte[text.size()]);
  std::copy_n(reinterpret_cast<const std::byte*>(text.data()), text.size(), copy.get());
  for (const std::shared_ptr<void>& owner : {std::shared_ptr<void>(), std::shared_ptr<void>(copy)})
    fuzz::try_to([&] {
      const Tensor tensor = parse_npy({copy.get(), text.size()}, owner, "fuzz");
      tensor.to_vector();
      write_again(tensor);
    });
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
