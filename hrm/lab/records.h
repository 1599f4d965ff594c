// What the judgements of an experiment's models found, and results.jsonl, which holds it.
//
//     Record base;
//     base.labels = trial.labels;
//     const std::vector<Record> records = judged(base, found);   // of the JSON of `hrm eval`
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "hrm/lab/experiment.h"
#include "hrm/support/json.h"
#include "hrm/support/json_lines.h"

namespace hrm::lab {

// The names of the values that a record may hold. Shares: exact (of ARC at pass@2), first and any
// (ARC: pass@1, in any vote), tokens, valid (mazes), lost (right, then wrong). Counts and times:
// segments, seconds (of the judgement), samples, train_seconds.
inline const std::vector<std::string> kRecordValues = {
    "exact", "first",    "any",     "tokens",  "valid",
    "lost",  "segments", "seconds", "samples", "train_seconds"};

// What one judgement of one model found.
struct Record {
  Labels labels;  // axes, seed, evaluation, ...
  // By their names in kRecordValues.
  std::map<std::string, double> values;
  std::string solved;  // '0' or '1' for every puzzle; may be empty
  // The label or the value of that name, as text; "" if there is none.
  std::string label(const std::string& name) const;
};
Json to_json(const Record& record);
Record record_from_json(const Json& json);
// The lines of a results.jsonl whose records can be read; any other is told to `on_damage`.
std::vector<Json> parse_results(std::string_view text, const std::string& source,
                                const DamageVisitor& on_damage);

// The shares and the time that an evaluation found, such as a line of metrics.jsonl holds.
void add_shares(Record& record, const Members& evaluation);
// The records of one judgement's JSON: of `hrm eval`, of `eval --rollouts`, of `arc predict`. Each
// begins as `base`, which has the labels of the trial.
std::vector<Record> judged(const Record& base, const Members& found);

}  // namespace hrm::lab
