// A folder of a checkpoint whose files hold any bytes. A fuzzer does not guess a checksum, so the
// tensors and the state are also written by the library itself, and read again.
#include "autograd/grad_mode.h"
#include "hrm/checkpoint.h"
#include "hrm/support/json.h"
#include "tests/fuzz/fuzz.h"

using namespace hrm;

namespace {

const std::vector<std::string> kNames = {"c/state.json", "c/model.safetensors",
                                         "c/training.safetensors"};

NamedTensors tensors_of(const std::string& bytes) {
  return parse_safetensors(std::as_bytes(std::span(bytes)), "fuzz").tensors;
}

void touch(const Checkpoint& checkpoint) {
  for (const auto* tensors : {&checkpoint.model, &checkpoint.training})
    for (const auto& [name, tensor] : *tensors) tensor.to_vector();
  fuzz::must(checkpoint.state.is_object());
}

}  // namespace

void fuzz_one(const std::string& input) {
  const auto files = fuzz::files_of(input);
  const auto file = [&](const char* name) {
    const auto found = files.find(name);
    return found == files.end() ? std::string() : found->second;
  };
  const fuzz::Folder folder(files, kNames);
  for (const bool weights_only : {false, true})
    fuzz::try_to([&] { touch(read_checkpoint(folder.path() / "c", weights_only)); });
  fuzz::try_to([&] {
    Checkpoint checkpoint;
    checkpoint.model = tensors_of(file("c/model.safetensors"));
    checkpoint.training = tensors_of(file("c/training.safetensors"));
    checkpoint.state = parse_json(file("c/state.json"), "fuzz");
    Members(checkpoint.state, "fuzz");
    write_checkpoint(folder.path() / "again", checkpoint);
    for (const bool weights_only : {false, true})
      touch(read_checkpoint(folder.path() / "again", weights_only));
  });
}
