// Checkpoints as torch.save writes them, right or wrong: a piece of a pickle for each value, and
// the archive around it. Pieces are put together by writing one behind the other.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "tests/support/zip.h"

namespace hrm::test::pickled {

using Items = std::vector<std::pair<std::string, std::string>>;

inline std::string text(const std::string& value) { return "X" + u32(value.size()) + value; }
inline std::string integer(int64_t value) {
  if (value >= 0 && value < 256) return "K" + std::string(1, static_cast<char>(value));
  if (value >= 0 && value < 65536) return "M" + u16(static_cast<uint64_t>(value));
  if (value == static_cast<int32_t>(value))
    return "J" + bytes_of_number(static_cast<int32_t>(value));
  return "\x8a\x08" + bytes_of_number(value);
}
inline std::string global(const std::string& module, const std::string& name) {
  return "c" + module + "\n" + name + "\n";
}
inline std::string tuple(const std::vector<std::string>& items) {
  std::string all;
  for (const std::string& item : items) all += item;
  return items.empty() ? ")" : "(" + all + "t";
}
inline std::string integers(const std::vector<int64_t>& values) {
  std::vector<std::string> items;
  for (const int64_t value : values) items.push_back(integer(value));
  return tuple(items);
}
inline std::string call(const std::string& function, const std::vector<std::string>& arguments) {
  return function + tuple(arguments) + "R";
}
inline std::string with_items(const std::string& empty, const Items& items) {
  std::string all;
  for (const auto& [key, value] : items) all += text(key) + value;
  return items.empty() ? empty : empty + "(" + all + "u";
}
inline std::string dict(const Items& items) { return with_items("}", items); }
inline std::string ordered_dict(const Items& items) {
  return with_items(call(global("collections", "OrderedDict"), {}), items);
}

inline std::string storage(const std::string& type, int64_t elements,
                           const std::string& key = "0") {
  return tuple(
             {text("storage"), global("torch", type), text(key), text("cpu"), integer(elements)}) +
         "Q";
}
// A view of a storage, as a piece of a pickle.
struct View {
  std::string storage;
  std::vector<int64_t> sizes, strides;
  int64_t offset = 0;
};
inline std::vector<std::string> arguments(const View& view) {
  return {view.storage, integer(view.offset), integers(view.sizes), integers(view.strides),
          "\x89",       ordered_dict({})};
}
inline std::string tensor(const View& view) {
  return call(global("torch._utils", "_rebuild_tensor_v2"), arguments(view));
}

}  // namespace hrm::test::pickled

namespace hrm::test {

// The entries of a checkpoint of a value with these storages.
inline std::vector<ZipEntry> checkpoint_entries(const std::string& value,
                                                const std::vector<std::string>& storages) {
  std::vector<ZipEntry> entries = {{"archive/data.pkl", "\x80\x02" + value + "."},
                                   {"archive/byteorder", "little"}};
  for (size_t i = 0; i < storages.size(); ++i)
    entries.push_back({"archive/data/" + std::to_string(i), storages[i]});
  entries.push_back({"archive/version", "3\n"});
  return entries;
}
inline std::string checkpoint(const std::string& value, const std::vector<std::string>& storages) {
  return zip(checkpoint_entries(value, storages));
}

}  // namespace hrm::test
