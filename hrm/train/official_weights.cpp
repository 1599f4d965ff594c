#include "hrm/train/official_weights.h"

#include <set>

#include "hrm/model/model.h"
#include "hrm/support/input.h"
#include "hrm/support/text.h"
#include "hrm/train/checkpoint.h"
#include "tensor/pytorch_file.h"

namespace hrm {
namespace {

std::string without_compiled(std::string name) {
  const std::string compiled = "_orig_mod.";
  for (size_t at; (at = name.find(compiled)) != std::string::npos;) name.erase(at, compiled.size());
  return name;
}

// Where the name of a weight begins in a path, at the start or behind a full stop; npos if nowhere.
size_t start_of_weight(const std::string& path) {
  const std::string prefix = kOfficialPrefix;
  size_t at = path.find(prefix);
  while (at != std::string::npos && at > 0 && path[at - 1] != '.') at = path.find(prefix, at + 1);
  return at;
}

// "'model', 'ema'"; the path of a model at the top is empty.
std::string names_of(const std::set<std::string>& paths) {
  std::vector<std::string> names;
  names.reserve(paths.size());
  for (const std::string& path : paths)
    names.push_back(path.empty() ? "at the top" : "'" + path.substr(0, path.size() - 1) + "'");
  return join(names, ", ");
}

}  // namespace

NamedTensors model_of_checkpoint(const NamedTensors& tensors, const std::string& file) {
  NamedTensors plain;
  std::set<std::string> paths;
  for (const auto& [name, tensor] : tensors) {
    const std::string& path = plain.emplace_back(without_compiled(name), tensor).first;
    const size_t at = start_of_weight(path);
    if (at != std::string::npos) paths.insert(path.substr(0, at));
  }
  HRM_CHECK(paths.size() <= 1, "[import] ", file, " holds ", paths.size(),
            " models: ", names_of(paths),
            ". HINT: in Python, save one of them alone: torch.save(torch.load('OLD.pt', "
            "weights_only=True)['NAME'], "
            "'NEW.pt')");
  if (paths.empty() || paths.begin()->empty()) return plain;
  const std::string path = *paths.begin();
  NamedTensors model;
  for (const auto& [name, tensor] : plain)
    if (name.starts_with(path)) model.emplace_back(name.substr(path.size()), tensor);
  return model;
}

namespace {

NamedTensors weights_of_input(const Path& file) {
  const std::string text = read_input(file), name = input_name(file);
  const std::span<const std::byte> bytes = std::as_bytes(std::span(text));
  if (is_pytorch_file(bytes)) return model_of_checkpoint(parse_pytorch(bytes, name), name);
  return parse_safetensors(bytes, name).tensors;
}

}  // namespace

NamedTensors read_official_weights(const Path& file) {
  if (file == "-") return from_official(weights_of_input(file));
  try {
    if (is_pytorch_file(file))
      return from_official(model_of_checkpoint(read_pytorch(file), file.string()));
    return from_official(read_safetensors(file).tensors);
  } catch (const Error& error) {
    throw with_place(error, file.string());
  }
}

}  // namespace hrm
