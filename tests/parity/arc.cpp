// The ARC pipeline against the official code: variants, hashes, sequences, crop, inverse, votes.
#include <algorithm>
#include <map>

#include "hrm/tasks/arc_vote.h"
#include "hrm/train/checkpoint.h"
#include "tests/parity/checks.h"
#include "tests/support/sha256.h"

namespace hrm::parity {
namespace {

// Grids in the fixtures: rows of digits, or of numbers.
ArcGrid grid_of(const Json& rows) {
  ArcGrid g;
  g.height = static_cast<int>(rows.size());
  for (const Json& row : rows) {
    g.width = static_cast<int>(row.is_string() ? row.get<std::string>().size() : row.size());
    if (row.is_string())
      for (const char c : row.get<std::string>()) g.cells.push_back(static_cast<uint8_t>(c - '0'));
    else
      for (const Json& cell : row) g.cells.push_back(cell.get<uint8_t>());
  }
  return g;
}

int token_of(char c) { return c >= 'a' ? c - 'a' + 10 : c - '0'; }

std::vector<int32_t> tokens_of(const std::string& text) {
  std::vector<int32_t> tokens;
  for (const char c : text) tokens.push_back(token_of(c));
  return tokens;
}

// "<char><run length>" pieces; a length of 1 is left out.
std::vector<int32_t> run_lengths(const std::string& text) {
  std::vector<int32_t> tokens;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find(' ', at), text.size());
    const std::string piece = text.substr(at, end - at);
    tokens.insert(tokens.end(), piece.size() > 1 ? std::stoul(piece.substr(1)) : 1,
                  token_of(piece[0]));
    at = end + 1;
  }
  return tokens;
}

std::string text_of(const std::vector<int32_t>& tokens) {
  std::string text;
  for (const int32_t t : tokens) text += static_cast<char>(t < 10 ? '0' + t : 'a' + t - 10);
  return text;
}

ArcTask task_of(const Json& entry) {
  return parse_arc_task(entry.at("task"), entry.at("id"), "tasks.json");
}

std::string grid_hash(const ArcGrid& g) {
  std::string bytes = {static_cast<char>(g.height), static_cast<char>(g.width)};
  bytes.append(g.cells.begin(), g.cells.end());
  return sha256_hex(bytes);
}

std::string puzzle_hash(const ArcTask& task, const ArcVariant& v) {
  std::vector<std::string> hashes;
  for (const auto* pairs : {&task.train, &task.test})
    for (const ArcPair& p : *pairs)
      hashes.push_back(grid_hash(v.apply(p.input)) + "|" + grid_hash(v.apply(p.output)));
  std::sort(hashes.begin(), hashes.end());
  std::string joined;
  for (const std::string& h : hashes) joined += (joined.empty() ? "" : "|") + h;
  return sha256_hex(joined);
}

void check_tasks(Ledger& ledger, const Json& tasks) {
  const auto same = [&](const char* what, bool equal) { ledger.ratio(what, equal ? 0 : INFINITY); };
  for (const Json& entry : tasks) {
    const ArcTask task = task_of(entry);
    same("hash of a task", entry.at("puzzle_hash_original") == puzzle_hash(task, {}));
    const Json& names = entry.at("augmentation_names");
    for (size_t i = 0; i < names.size(); ++i) {
      const auto [id, v] = parse_variant_name(names[i]);
      same("name of a variant", id == task.id && names[i] == v.name(id));
      same("hash of a variant", entry.at("puzzle_hash_augmented")[i] == puzzle_hash(task, v));
    }
    for (const Json& variant : entry.at("augmented")) {
      const ArcVariant v = parse_variant_name(variant.at("name")).second;
      for (const char* part : {"train", "test"}) {
        const auto& pairs = part == std::string("train") ? task.train : task.test;
        for (size_t i = 0; i < variant.at(part).size(); ++i)
          same("grids of a variant",
               v.apply(pairs[i]) == ArcPair{grid_of(variant.at(part)[i].at("input")),
                                            grid_of(variant.at(part)[i].at("output"))});
      }
    }
    for (const Json& s : entry.at("sequences")) {
      const ArcVariant v = parse_variant_name(s.at("puzzle")).second;
      std::vector<ArcPair> all = task.train;
      all.insert(all.end(), task.test.begin(), task.test.end());
      const ArcPair pair = v.apply(all.at(s.at("example").get<size_t>()));
      std::vector<int32_t> tokens(kArcSide * kArcSide);
      encode_grid(pair.input, kArcSide, s.at("pad_r"), s.at("pad_c"), tokens.data());
      same("input sequence", s.at("input_seq") == text_of(tokens));
      encode_grid(pair.output, kArcSide, s.at("pad_r"), s.at("pad_c"), tokens.data());
      same("output sequence", s.at("output_seq") == text_of(tokens));
      same("a translated sequence, read at its offset",
           crop(tokens.data(), kArcSide, s.at("pad_r"), s.at("pad_c")) == pair.output);
      if (!s.at("translated")) continue;
      const Json& bounds = s.at("exclusive_upper_bounds");
      same("bounds of the offset",
           bounds[0] == kArcSide + 1 - std::max(pair.input.height, pair.output.height) &&
               bounds[1] == kArcSide + 1 - std::max(pair.input.width, pair.output.width));
    }
    // Our draws keep the official rule: no two variants, nor the task, have one hash.
    std::map<std::string, int> seen;
    const int64_t wanted = entry.at("requested_augmentations");
    const auto variants = arc_variants(task, wanted, {}, 0);
    for (const ArcVariant& v : variants) ++seen[puzzle_hash(task, v)];
    same("variants drawn are different", seen.size() == variants.size());
    same("number of variants drawn", static_cast<int64_t>(variants.size()) - 1 ==
                                         entry.at("obtained_augmentations").get<int64_t>());
  }
}

void check_votes(Ledger& ledger, const Json& votes, const Json& tasks) {
  std::map<std::string, std::vector<Votes>> open;
  std::map<std::string, ArcTask> known;
  std::vector<std::string> order;
  for (const Json& entry : tasks) {
    const ArcTask task = task_of(entry);
    order.push_back(task.id);
    open[task.id].resize(task.test.size());
    known[task.id] = task;
  }
  int64_t number = 0;
  for (const Json& r : votes.at("records")) {
    const auto [id, v] = parse_variant_name(r.at("name"));
    const std::vector<int32_t> tokens = run_lengths(r.at("pred_seq_rle"));
    open.at(id)
        .at(r.at("test").get<size_t>())
        .add(v.undo(crop(tokens.data(), kArcSide)), r.at("q_logit"), number++);
  }
  for (const Json& want : votes.at("votes")) {
    const std::string id = want.at("task");
    const auto test = want.at("test").get<size_t>();
    const Votes& got = open.at(id)[test];
    const std::vector<Candidate> ranking = got.ranking();
    const Json& list = want.at("ranking");
    bool equal = ranking.size() == want.at("n_distinct").get<size_t>() &&
                 got.total() == want.at("n_predictions").get<int64_t>();
    for (size_t i = 0; equal && i < list.size(); ++i) {
      if (list[i].contains("grid")) equal &= ranking[i].grid == grid_of(list[i]["grid"]);
      equal &= ranking[i].count == list[i].at("count").get<int64_t>();
      ledger.scalar("mean q of a candidate", ranking[i].mean_q,
                    list[i].at("mean_q_float64_sigmoid"), 1e-9);
    }
    ledger.ratio("ranking", equal ? 0 : INFINITY);
    const TestOutcome outcome = outcome_of(got, known.at(id).test[test].output);
    const Json& rank = want.at("rank_of_correct");
    ledger.ratio("rank of the answer",
                 outcome.rank == (rank.is_null() ? 0 : rank.get<int64_t>()) ? 0 : INFINITY);
  }
  std::vector<TaskOutcome> outcomes;
  for (const std::string& id : order) {
    outcomes.push_back({id, {}});
    for (size_t i = 0; i < open[id].size(); ++i)
      outcomes.back().tests.push_back(outcome_of(open[id][i], known[id].test[i].output));
  }
  const ArcScores scores = score_tasks(outcomes);
  const Json& summary = votes.at("summary");
  for (size_t k = 0; k < kPassAt.size(); ++k) {
    const std::string at = std::to_string(kPassAt[k]);
    if (!summary.at("notebook_pass_at_k").contains(at)) continue;
    ledger.scalar("pass@k, all tests (notebook)", scores.all_tests[k],
                  summary["notebook_pass_at_k"][at], 1e-12);
    ledger.scalar("pass@k, fraction of tests (TRM)", scores.fraction[k],
                  summary.at("trm_pass_at_k").at(at), 1e-12);
  }
  const Json ours = submission(outcomes);
  for (const auto& [id, attempts] : summary.at("trm_submission").items())
    for (size_t i = 0; i < attempts.size(); ++i)
      for (const char* attempt : {"attempt_1", "attempt_2"})
        ledger.ratio("submission",
                     grid_of(ours.at(id).at(i).at(attempt)) == grid_of(attempts[i].at(attempt))
                         ? 0
                         : INFINITY);
}

}  // namespace

void check_arc_pipeline(Ledger& ledger, const Path& folder, const Json&) {
  const auto same = [&](const char* what, bool equal) { ledger.ratio(what, equal ? 0 : INFINITY); };
  const Json tasks = read_json(folder / "tasks.json");
  check_tasks(ledger, tasks);
  const Json crops = read_json(folder / "crop.json");
  for (const Json& c : crops) {
    const ArcGrid got = crop(tokens_of(c.at("seq")).data(), kArcSide);
    same("crop", got.height == c.at("shape")[0] && got.width == c.at("shape")[1] &&
                     (got.empty() || got == grid_of(c.at("grid"))));
  }
  const Json turned = read_json(folder / "dihedral.json");
  for (const Json& c : turned.at("cases")) {
    const ArcGrid in = grid_of(c.at("input")), out = grid_of(c.at("output"));
    same("dihedral transform", dihedral_transform(in, c.at("tid")) == out);
    if (c.at("inverse_of_output").is_null()) continue;
    ArcVariant v;
    v.dihedral = c.at("tid");
    same("its inverse", v.undo(out) == grid_of(c["inverse_of_output"]));
  }
  const Json inverses = read_json(folder / "inverse_aug.json");
  for (const Json& c : inverses)
    same("inverse of a variant",
         parse_variant_name(c.at("name")).second.undo(grid_of(c.at("grid"))) ==
             grid_of(c.at("result")));
  check_votes(ledger, read_json(folder / "votes.json"), tasks);
}

}  // namespace hrm::parity
