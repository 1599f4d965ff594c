#include "tests/torture/ledger.h"

#include <algorithm>
#include <cstdio>
#include <stdexcept>

namespace hrm::torture {
namespace fs = std::filesystem;
namespace {

constexpr int64_t kShownFailures = 20;  // of each promise
constexpr int64_t kKeptFailures = 5;

// A name for a folder made of the name of a promise.
std::string folder_name(const std::string& what) {
  std::string name = what;
  for (char& c : name) {
    const bool plain = std::isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '-';
    if (!plain) c = '_';
  }
  return name;
}

// A program's message in a line of ours: on one line, and nothing that a terminal might obey.
std::string one_line(std::string text) {
  for (char& c : text)
    if (c < 0x20 || c > 0x7e) c = '?';
  constexpr size_t kMost = 400;
  if (text.size() > kMost) text = text.substr(0, kMost) + " ...";
  return text;
}

}  // namespace

Ledger::Row& Ledger::row(const std::string& what) {
  for (Row& row : rows_)
    if (row.what == what) return row;
  rows_.emplace_back();
  rows_.back().what = what;
  return rows_.back();
}

void Ledger::record(const std::string& what, const std::string& why, const Path& evidence) {
  Row& row = this->row(what);
  ++row.tried;
  if (why.empty()) return;
  ++row.failed;
  if (row.failed <= kShownFailures) say("FAILED " + what + ": " + one_line(why));
  if (row.failed <= kKeptFailures) keep(row, why, evidence);
}

void Ledger::keep(const Row& row, const std::string& why, const Path& evidence) const {
  const Path folder = failures_ / (folder_name(row.what) + "-" + std::to_string(row.failed));
  fs::create_directories(folder);
  write_file(folder / "why.txt", why + "\n");
  std::error_code ignored;  // what failed may have left a folder that cannot be copied whole
  if (!evidence.empty())
    fs::copy(evidence, folder / evidence.filename(),
             fs::copy_options::recursive | fs::copy_options::copy_symlinks, ignored);
}

void Ledger::skip(const std::string& what, const std::string& why) {
  row(what).skipped = why;
  say("SKIPPED " + what + ": " + why);
}

void Ledger::count(const std::string& what, int64_t n) {
  for (auto& [name, sum] : figures_) {
    if (name != what) continue;
    sum += n;
    return;
  }
  figures_.emplace_back(what, n);
}

void Ledger::print_table() const {
  size_t width = 4;
  for (const Row& row : rows_) width = std::max(width, row.what.size());
  std::printf("\n%-*s %7s %7s\n", static_cast<int>(width), "what", "tried", "failed");
  for (const Row& row : rows_) {
    if (row.tried == 0)
      std::printf("%-*s skipped\n", static_cast<int>(width), row.what.c_str());
    else
      std::printf("%-*s %7lld %7lld\n", static_cast<int>(width), row.what.c_str(),
                  static_cast<long long>(row.tried), static_cast<long long>(row.failed));
  }
  std::printf("\n");
  for (const auto& [what, sum] : figures_)
    std::printf("%s: %lld\n", what.c_str(), static_cast<long long>(sum));
}

bool Ledger::print_summary() const {
  int64_t passed = 0;
  int64_t failed = 0;
  int64_t skipped = 0;
  for (const Row& row : rows_) {
    if (row.tried == 0)
      ++skipped;
    else if (row.failed > 0)
      ++failed;
    else
      ++passed;
  }
  if (failed > 0) std::printf("files of failures: %s\n", failures_.c_str());
  std::printf("%lld passed, %lld failed, %lld skipped\n", static_cast<long long>(passed),
              static_cast<long long>(failed), static_cast<long long>(skipped));
  return failed == 0 && passed > 0;
}

void say(const std::string& line) {
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);
}

}  // namespace hrm::torture
