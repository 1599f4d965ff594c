// The playground, a page in which HRM is watched, changed and trained (examples/playground), with a
// model of the user's in it.
//
//     const Path file = find_playground();
//     const std::string page = with_model(read_file(file), file.string(), {"my run", bytes, {}});
//     write_output("mine.html", page);
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "tensor/io.h"

namespace hrm {

// The page that `make playground` wrote, or that is installed. An Error if there is none.
Path find_playground();

struct PlaygroundModel {
  std::string label;                 // what the page calls it
  std::vector<std::byte> weights;    // a model in one file (loaded_run.h)
  std::vector<std::string> puzzles;  // to begin with; none: those of the page
};
// The page with the model before its own. Errors name `source`, the file of the page.
std::string with_model(const std::string& page, const std::string& source,
                       const PlaygroundModel& model);

// RFC 4648, section 4.
std::string base64(std::span<const std::byte> bytes);

}  // namespace hrm
