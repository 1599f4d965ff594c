// Own tasks, from a CSV of tokens.
//
//     const BuildSummary summary = build_tokens("mine.csv", "data/mine", false);
#pragma once

#include <string>

#include "hrm/data/dataset_writer.h"

namespace hrm {

// CSV with a header that names the columns: `inputs` and `labels` (tokens separated by blanks, all
// rows of one length; a label of -100 is not supervised), optional `split` (train or test; train if
// absent) and `puzzle` (a name: rows of one name share an embedding).
BuildSummary build_tokens(const Path& csv, const Path& out, bool replace);
BuildSummary build_tokens_text(const std::string& text, const std::string& name, const Path& out,
                               bool replace);

}  // namespace hrm
