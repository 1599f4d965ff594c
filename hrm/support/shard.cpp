#include "hrm/support/shard.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "hrm/support/folder_lock.h"

namespace hrm {
namespace fs = std::filesystem;
namespace {

constexpr int64_t kMostShards = 1'000'000;

std::optional<int64_t> whole_number(const char* begin, const char* end) {
  int64_t value = 0;
  const auto [rest, error] = std::from_chars(begin, end, value);
  if (error != std::errc() || rest != end) return std::nullopt;
  return value;
}

constexpr std::string_view kStart = "results.", kOf = "-of-", kEnd = ".jsonl";

std::string file_name(const Shard& shard) {
  return std::to_string(shard.index) + std::string(kOf) + std::to_string(shard.count);
}

// Whether a file of this name holds results of a shard.
bool is_of_shard(std::string name) {
  if (!name.starts_with(kStart) || !name.ends_with(kEnd)) return false;
  name = name.substr(kStart.size(), name.size() - kStart.size() - kEnd.size());
  const size_t of = name.find(kOf);
  return of != std::string::npos && Shard::parse(name.replace(of, kOf.size(), "/"));
}

}  // namespace

std::optional<Shard> Shard::parse(const std::string& text) {
  const size_t slash = text.find('/');
  if (slash == std::string::npos) return std::nullopt;
  const char* begin = text.data();
  const auto index = whole_number(begin, begin + slash),
             count = whole_number(begin + slash + 1, begin + text.size());
  if (!index || !count || *index < 1 || *index > *count || *count > kMostShards)
    return std::nullopt;
  return Shard{*index, *count};
}

std::string Shard::text() const { return std::to_string(index) + "/" + std::to_string(count); }

Path Shard::results(const Path& folder) const {
  return folder / (is_whole() ? "results.jsonl" : "results." + file_name(*this) + ".jsonl");
}

Path Shard::lock(const Path& folder) const {
  return is_whole() ? folder : lock_folder(folder, Path("shards") / file_name(*this));
}

std::vector<Path> results_of_all(const Path& folder) {
  std::vector<Path> files;
  std::error_code none;
  for (fs::directory_iterator entry(folder, none), end; entry != end; entry.increment(none)) {
    const Path& file = entry->path();
    const bool named_so = file == Shard().results(folder) || is_of_shard(file.filename());
    // A link that leads nowhere, for example, holds nothing; whoever appends to it is told so.
    if (named_so && fs::is_regular_file(file, none)) files.push_back(file);
  }
  // The name of the whole is the shortest.
  std::ranges::sort(files, {}, [](const Path& file) {
    const std::string name = file.filename();
    return std::pair(name.size(), name);
  });
  return files;
}

std::string results_text(const Path& file) {
  std::ifstream stream(file, std::ios::binary);
  std::ostringstream text;
  HRM_CHECK(stream && (stream.peek() == EOF || text << stream.rdbuf()), "[read] cannot read ",
            file.string(), ": ", std::strerror(errno));
  return text.str();
}

std::string results_name(const Path& folder) {
  const Path whole = Shard().results(folder);
  const std::vector<Path> all = results_of_all(folder);
  return all.empty() || all == std::vector<Path>{whole} ? whole.string()
                                                        : (folder / "results.*").string();
}

}  // namespace hrm
