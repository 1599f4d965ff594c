// A folder of a checkpoint whose files hold any bytes. A fuzzer does not guess a checksum, so the
// tensors and the state are also written by the library itself, and read again.
#include "autograd/grad_mode.h"
#include "hrm/support/json.h"
#include "hrm/train/checkpoint.h"
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

// The rows of every table, by the names of a checkpoint, which need not be as many.
void match_rows(const NamedTensors& tensors, const std::vector<uint64_t>& names) {
  for (const auto& [name, tensor] : tensors) {
    const bool floats = tensor.dtype() == DType::f32 || tensor.dtype() == DType::bf16;
    if (tensor.ndim() != 2 || !floats) continue;
    int64_t found = 0;
    const std::vector<uint64_t> wanted = {0, 1, 2, 3};
    const Tensor rows = match_puzzle_rows(tensor, names, wanted, &found);
    fuzz::must(rows.size(0) == 4 && rows.size(1) == tensor.size(1));
    fuzz::must(found >= 0 && found < 4);
  }
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
    const Path again = folder.path() / "again";
    for (int i = 0; i < 2; ++i) {  // into a new folder, and in the place of that
      write_checkpoint(again, checkpoint);
      for (const bool weights_only : {false, true}) touch(read_checkpoint(again, weights_only));
    }
    checkpoint = read_checkpoint(again);
    const std::vector<uint64_t> names = checkpoint.puzzle_names;
    checkpoint.puzzle_names = {1, 2};
    write_checkpoint(again, checkpoint);
    write_checkpoint_state(again, checkpoint.state);
    fuzz::must(read_checkpoint(again).puzzle_names == checkpoint.puzzle_names);
    match_rows(checkpoint.model, names);
  });
  fuzz::try_to([&] { from_official(tensors_of(file("c/model.safetensors"))); });
}
