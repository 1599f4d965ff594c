// Files that come with the program.
//
//     const Path folder = file_of_project("examples/experiments", "experiments");
#pragma once

#include "tensor/io.h"

namespace hrm {

// A file or folder of the checkout that the program was built in (build/FLAVOUR/hrm), or of
// PREFIX/share/hrm where it is installed (PREFIX/bin/hrm), or of the checkout that is the current
// folder; the first that is there, empty if none is.
Path file_of_project(const Path& in_checkout, const Path& in_share);

}  // namespace hrm
