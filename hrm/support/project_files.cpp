#include "hrm/support/project_files.h"

#include <filesystem>

namespace hrm {
namespace fs = std::filesystem;

Path file_of_project(const Path& in_checkout, const Path& in_share) {
  std::error_code none;
  const Path program = fs::read_symlink("/proc/self/exe", none).parent_path();
  for (const Path& path :
       {program / "../.." / in_checkout, program / "../share/hrm" / in_share, in_checkout})
    if (fs::exists(path, none)) return fs::weakly_canonical(path);
  return {};
}

}  // namespace hrm
