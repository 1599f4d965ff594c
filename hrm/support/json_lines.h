// Files of JSON lines, such as results.jsonl and metrics.jsonl, that only grow.
//
//     append_json_line("runs/mine/metrics.jsonl", R"({"step": 1, "loss": 0.5})");
#pragma once

#include "tensor/io.h"

namespace hrm {

// Appends `json` (the text of one value, without line breaks) as a line of its own and makes the
// file if need be. All of it or nothing is written: on a full disk, for example, the file is left
// as it was, and an Error names it and the reason. What a process that was killed left of its last
// line is removed first. A symbolic link is refused, because whoever sends a folder could point one
// at any file. For one process at a time (FolderLock).
void append_json_line(const Path& file, const std::string& json);

}  // namespace hrm
