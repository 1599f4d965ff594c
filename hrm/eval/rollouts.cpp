#include "hrm/eval/rollouts.h"

#include <algorithm>
#include <map>
#include <numeric>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "hrm/support/progress.h"
#include "hrm/support/text.h"
#include "tensor/random.h"

namespace hrm {
namespace {

// What is known of a puzzle from the rollouts so far.
struct Choice {
  double q = 0, residual = 0;
  bool q_exact = false, residual_exact = false, any = false;
  bool verified = false, verify_exact = false;
  struct Count {
    int64_t votes = 0;
    double q = 0;
    bool exact = false;
  };
  std::map<std::vector<int>, Count> answers;

  bool vote_exact() const {
    const auto better = [](const auto& a, const auto& b) {
      const Count &x = a.second, &y = b.second;
      // As many votes: q / votes decides.
      return std::pair(x.votes, x.q) < std::pair(y.votes, y.q);
    };
    return std::max_element(answers.begin(), answers.end(), better)->second.exact;
  }
};

}  // namespace

void check_rollouts(const RolloutOptions& options, RolloutSelection select, const Task& task) {
  const std::string kind = task.kind().empty() ? "another" : task.kind();
  HRM_CHECK(!options.relabel || task.first_symbol() > 0,
            "[eval] --relabel gives other names to the digits of Sudoku; this data set is ", kind);
  HRM_CHECK(select != RolloutSelection::verify || task.has_rules(),
            "[eval] --select verify needs the rules of the puzzles; this data set is ", kind);
}

RolloutResult roll_out(const Model& model, const PuzzleDataset& data,
                       const RolloutOptions& options) {
  check_rollouts(options, RolloutSelection::q, data.task());
  const Task& task = data.task();
  RolloutResult result;
  for (int64_t decade = 1; decade <= options.rollouts; decade *= 10)
    for (const int64_t n : {decade, 2 * decade, 5 * decade})
      if (n < options.rollouts) result.counts.push_back(n);
  result.counts.push_back(options.rollouts);
  std::vector<Choice> choices;
  Random names = Random(options.eval.seed).fork("relabel");
  for (int64_t r = 0; r < options.rollouts; ++r) {
    EvalOptions eval = options.eval;
    eval.seed = Random(options.eval.seed).fork(static_cast<uint64_t>(r)).bits();
    eval.residuals = true;
    if (options.relabel && r > 0) {
      eval.rename.resize(data.info().vocab_size);
      std::iota(eval.rename.begin(), eval.rename.end(), 0);
      const auto first = eval.rename.begin() + task.first_symbol();
      std::vector<int32_t> symbols(first, eval.rename.end());
      names.shuffle(symbols);
      std::ranges::copy(symbols, first);
    }
    eval.on_progress = [&](int64_t done, int64_t total) {
      if (options.eval.on_progress)
        options.eval.on_progress(r * total + done, options.rollouts * total);
    };
    eval.on_answer = [&](const Answer& a) {
      if (static_cast<int64_t>(choices.size()) <= a.example) choices.resize(a.example + 1);
      Choice& c = choices[a.example];
      if (r == 0 || a.q_halt > c.q) {
        c.q = a.q_halt;
        c.q_exact = a.exact;
      }
      if (r == 0 || a.residual < c.residual) {
        c.residual = a.residual;
        c.residual_exact = a.exact;
      }
      c.any |= a.exact;
      Choice::Count& count = c.answers[a.tokens];
      ++count.votes;
      count.q += a.q_halt;
      count.exact = a.exact;
      if (!task.has_rules() || c.verified) return;
      c.verified = task.check(data.read(a.example).inputs, a.tokens).empty();
      if (c.verified || r == 0) c.verify_exact = a.exact;
    };
    const EvalResult one = evaluate(model, data, eval);
    result.puzzles = one.count;
    result.seconds += one.seconds;
    if (!std::binary_search(result.counts.begin(), result.counts.end(), r + 1)) continue;
    const auto note = [&](RolloutSelection s, const auto& exact) {
      std::string solved;
      for (const Choice& c : choices) solved += exact(c) ? '1' : '0';
      const auto right = std::count(solved.begin(), solved.end(), '1');
      result.accuracy[static_cast<size_t>(s)].push_back(static_cast<double>(right) /
                                                        static_cast<double>(solved.size()));
      result.solved[static_cast<size_t>(s)].push_back(solved);
    };
    note(RolloutSelection::q, [](const Choice& c) { return c.q_exact; });
    note(RolloutSelection::residual, [](const Choice& c) { return c.residual_exact; });
    note(RolloutSelection::vote, [](const Choice& c) { return c.vote_exact(); });
    if (task.has_rules())
      note(RolloutSelection::verify, [](const Choice& c) { return c.verify_exact; });
    const auto any =
        std::count_if(choices.begin(), choices.end(), [](const Choice& c) { return c.any; });
    result.any.push_back(static_cast<double>(any) / static_cast<double>(choices.size()));
  }
  return result;
}

// {"rollouts": {"10": {"q": 0.9, ..., "any": 0.95}, ...}, "solved": {"10": {"q": "0110...", ...}}}
Json to_json(const RolloutResult& r) {
  Json json = {{"count", r.puzzles}, {"seconds", r.seconds}};
  for (size_t i = 0; i < r.counts.size(); ++i) {
    const std::string n = std::to_string(r.counts[i]);
    for (size_t s = 0; s < r.accuracy.size(); ++s) {
      if (r.accuracy[s].empty()) continue;
      const std::string& name = to_string(static_cast<RolloutSelection>(s));
      json["rollouts"][n][name] = r.accuracy[s][i];
      json["solved"][n][name] = r.solved[s][i];
    }
    json["rollouts"][n]["any"] = r.any[i];
  }
  return json;
}

std::string describe(const RolloutResult& r, RolloutSelection select) {
  const std::vector<double>& chosen = r.accuracy[static_cast<size_t>(select)];
  std::string text = format_count(r.puzzles) + " puzzles, solved exactly by the answer that each " +
                     "rule selects\n\nrollouts";
  for (const std::string& name : EnumNames<RolloutSelection>::names)
    text += fmt::format("  {:>8}", name);
  text += "  any of them\n";
  for (size_t i = 0; i < r.counts.size(); ++i) {
    text += fmt::format("{:>8}", r.counts[i]);
    for (const auto& accuracy : r.accuracy)
      text += accuracy.empty() ? fmt::format("  {:>8}", "-")
                               : fmt::format("  {:>6.1f} %", 100 * accuracy[i]);
    text += fmt::format("  {:>9.1f} %\n", 100 * r.any[i]);
  }
  return text + fmt::format("\n{:.1f} % by {} of {} rollouts, {}", 100 * chosen.back(),
                            to_string(select), r.counts.back(), format_duration(r.seconds));
}

}  // namespace hrm
