#include "tests/torture/files.h"

#include <fstream>
#include <sstream>
#include <stdexcept>

namespace hrm::torture {
namespace fs = std::filesystem;

std::string read_file(const Path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream bytes;
  if (in.peek() != std::ifstream::traits_type::eof()) bytes << in.rdbuf();
  if (!in && !in.eof()) throw std::runtime_error("cannot read " + path.string());
  return bytes.str();
}

void write_file(const Path& path, const std::string& bytes) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out << bytes;
  out.close();
  if (!out) throw std::runtime_error("cannot write " + path.string());
}

void copy_folder(const Path& from, const Path& to) {
  fs::remove_all(to);
  fs::copy(from, to, fs::copy_options::recursive | fs::copy_options::copy_symlinks);
}

std::map<std::string, std::string> contents(const Path& folder) {
  std::map<std::string, std::string> found;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    const std::string name =
        fs::relative(entry.path().parent_path(), folder) / entry.path().filename();
    if (entry.is_symlink())
      found[name] = "link to " + fs::read_symlink(entry.path()).string();
    else if (entry.is_directory())
      found[name] = "folder";
    else if (entry.is_regular_file())
      found[name] = read_file(entry.path());
    else
      found[name] = "special file";
  }
  return found;
}

std::string first_change(const std::map<std::string, std::string>& before,
                         const std::map<std::string, std::string>& after) {
  for (const auto& [name, bytes] : before) {
    const auto now = after.find(name);
    if (now == after.end()) return name + " is gone";
    if (now->second != bytes) return name + " has changed";
  }
  for (const auto& entry : after)
    if (!before.contains(entry.first)) return entry.first + " is new";
  return "";
}

}  // namespace hrm::torture
