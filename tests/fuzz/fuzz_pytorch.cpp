// Any bytes at all: an hrm::Error, or tensors that can be read to their last element. The bytes are
// tried as they are, and as the pickle of an archive with two storages, since a fuzzer seldom
// guesses checksums and sizes.
#include "hrm/train/official_weights.h"
#include "tensor/pytorch_file.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/checkpoint.h"

using namespace hrm;

namespace {

void parse(const std::string& text) {
  // Memory of exactly this size, so that the sanitizer sees every step beyond it.
  const std::span<const std::byte> bytes = std::as_bytes(std::span(text));
  const std::vector<std::byte> copy(bytes.begin(), bytes.end());
  fuzz::try_to([&] {
    const NamedTensors tensors = parse_pytorch(copy, "fuzz");
    size_t read = 0;
    for (const auto& [name, tensor] : tensors) {
      // No tensor is much larger than the file; the same one may have many names.
      fuzz::must(tensor.nbytes() <= 4 * copy.size());
      read += tensor.nbytes();
      if (read < size_t{1} << 20) tensor.to_vector();
    }
    model_of_checkpoint(tensors, "fuzz");
  });
}

// The same bytes in a file, which is mapped.
void parse_file(const std::string& text) {
  static const fuzz::Folder folder({}, {});
  const Path file = folder.path() / "file.pt";
  std::ofstream(file, std::ios::binary) << text;
  fuzz::try_to([&] {
    const bool known = is_pytorch_file(file);
    for (const auto& [name, tensor] : read_pytorch(file)) {
      if (tensor.nbytes() < size_t{1} << 16) tensor.to_vector();
      fuzz::must(known);
    }
  });
  fuzz::try_to([&] { read_official_weights(file); });
}

}  // namespace

void fuzz_one(const std::string& input) {
  parse(input);
  std::string data(96, '\0');
  for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<char>(i);
  std::vector<test::ZipEntry> entries = test::checkpoint_entries("", {data, "12345678"});
  entries[0].data = input;
  const std::string file = test::zip(entries);
  parse(file);
  parse_file(file);
}
