// Operations on files whose failure is an Error of one line.
//
//     file_operation("[run] cannot remove", path, [&] { std::filesystem::remove_all(path); });
#pragma once

#include <filesystem>

#include "kernels/types.h"

namespace hrm {

// Runs `operation`. An exception of std::filesystem becomes an Error: "`what` PATH: the reason".
template <class Operation>
void file_operation(const char* what, const std::filesystem::path& path,
                    const Operation& operation) {
  try {
    operation();
  } catch (const std::filesystem::filesystem_error& error) {
    detail::fail(what, " ", path.string(), ": ", error.code().message());
  }
}

}  // namespace hrm
