#include "hrm/eval/evaluate.h"

#include <algorithm>
#include <cmath>

#include "autograd/grad_mode.h"
#include "autograd/ops/ops.h"
#include "hrm/eval/segment_view.h"
#include "hrm/support/clock.h"

namespace hrm {
namespace {

constexpr int kCalibrationBins = 10;

// One puzzle on its way through the segments.
struct Row {
  int64_t example = -1;   // -1: an empty slot
  int64_t halt_step = 0;  // first segment at which the rule said halt, 0: not yet
  std::vector<bool> exact;
  std::vector<double> accuracy;
  std::vector<int> last;  // the answer of the segment before, for HaltBy::repeat
  PuzzleTrace trace;      // where it may become one of the failures that are kept
};

// Finite weights can still be so large that nothing sensible comes out.
void check_number(double q_halt) {
  HRM_CHECK(!std::isnan(q_halt),
            "[eval] the Q head of the model gives no number: its training has diverged. HINT: an "
            "earlier checkpoint");
}

class Evaluation {
 public:
  Evaluation(const Model& model, const PuzzleDataset& data, const EvalOptions& options)
      : model_(model), data_(data), options_(options) {
    segments_ = options.segments > 0 ? options.segments : model.config().halt_max_steps;
    total_ = data.num_examples();
    if (options.max_puzzles > 0) total_ = std::min(total_, options.max_puzzles);
    check_halting(model.config(), options);
    HRM_CHECK(total_ > 0, "[eval] the data set has no examples in this split");
    result_.exact_by_segment.assign(segments_, 0);
    result_.accuracy_by_segment.assign(segments_, 0);
    result_.halt_histogram.assign(segments_ + 1, 0);
    result_.calibration.resize(kCalibrationBins);
    own_ = share_of(total_, options.ranks.rank(), options.ranks.size());
    result_.traces.resize(std::min(options.traces, total_));
    result_.solved.assign(total_, '0');
    if (data.task().several_answers()) result_.valid_accuracy = 0;
    back_.resize(options.rename.size());
    for (size_t i = 0; i < back_.size(); ++i) back_[options.rename[i]] = static_cast<int32_t>(i);
  }

  EvalResult run() {
    const NoGradGuard no_grad;
    const double started = seconds_now();
    const int64_t slots = std::min(options_.batch_size, own_.size());
    Carry carry = initial_carry(model_, slots);
    rows_.assign(slots, {});
    int64_t next = own_.begin, done = 0;
    while (done < own_.size()) {
      next = fill(carry, next);
      if (options_.noise > 0) disturb(carry.state);
      const bool residuals = options_.residuals || options_.halt_by == HaltBy::residual;
      const Tensor before = residuals ? carry.state.z_H.clone() : Tensor();
      const SegmentView view(model_.config(), eval_segment(model_, carry, segments_),
                             options_.halt_by == HaltBy::confidence);
      residual_.clear();
      if (residuals) residual_ = relative_change(before, carry.state.z_H);
      const Tensor flags = carry.halted.to(Device::cpu);
      uint8_t* halted = flags.data<uint8_t>();
      for (int64_t b = 0; b < carry.batch(); ++b) {
        if (rows_[b].example < 0) continue;  // an empty slot, halted already
        if (!options_.allow_nan) check_number(view.head[b]);
        halted[b] = observe(b, view);
        if (!halted[b]) continue;
        const bool right = answer(rows_[b].example, b, view);
        if (!right && !rows_[b].trace.predictions.empty())
          failures_.keep(std::move(rows_[b].trace));
        finish(rows_[b], view.sure[b]);
        rows_[b].example = -1;
        ++done;
      }
      carry.halted.copy_from(flags);
      if (next == own_.end && done < own_.size()) compact(carry);
      if (options_.on_progress) options_.on_progress(done, own_.size());
    }
    return summary(started);
  }

 private:
  // Gives every empty slot the next puzzle, while there are any, and prepares the carry for a
  // segment. Returns the next example.
  int64_t fill(Carry& carry, int64_t next) {
    const int64_t first = next;
    int64_t empty_slots = 0;
    for (Row& row : rows_) {
      if (row.example >= 0) continue;
      ++empty_slots;
      if (next < own_.end) row = Row{next++, 0, {}, {}, {}, {}};
    }
    // A row for every halted slot, since each takes one: the next examples, then padding.
    const int64_t start = next > first ? first : data_.num_examples();
    const Batch batch = eval_batch(data_, start, std::max<int64_t>(1, empty_slots));
    for (const Tensor* t : {&batch.inputs, &batch.labels})
      for (int64_t i = 0; i < t->numel() && !options_.rename.empty(); ++i)
        if (int32_t& token = t->data<int32_t>()[i]; token >= 0) token = options_.rename[token];
    begin_segment(model_, carry, batch, Refill::only_halted);
    return next;
  }

  // Noise on the states of the rows that start, or of all.
  void disturb(State& state) {
    std::vector<double> scale;
    for (const Row& row : rows_)
      scale.push_back(row.exact.empty() || options_.noise_every_segment ? options_.noise : 0);
    for (Tensor* z : {&state.z_H, &state.z_L}) {
      if (!z->defined()) continue;
      const Tensor rows = from_values(scale, {z->size(0), 1, 1}, z->dtype()).to(z->device());
      z->copy_from(*z + rows * random_.normal(z->shape(), 1, z->dtype(), z->device()));
    }
  }

  // Notes what this segment did for slot b; true if the puzzle is finished.
  bool observe(int64_t b, const SegmentView& view) {
    Row& row = rows_[b];
    const double labelled = view.labelled[b];
    row.exact.push_back(labelled > 0 && view.correct[b] == labelled);
    row.accuracy.push_back(labelled > 0 ? view.correct[b] / labelled : 0);
    const auto step = static_cast<int64_t>(row.exact.size());
    if (row.halt_step == 0 && (wants_to_halt(row, b, view) || step == segments_))
      row.halt_step = step;
    if (options_.halt_by == HaltBy::repeat) row.last = view.predicted(b);
    if (row.example < std::ssize(result_.traces))
      trace(result_.traces[row.example], b, view);
    else if (failures_.would_keep(row.example))
      trace(row.trace, b, view);
    return step == segments_ || (options_.halting && row.halt_step > 0);
  }

  bool wants_to_halt(const Row& row, int64_t b, const SegmentView& view) const {
    switch (options_.halt_by) {
      case HaltBy::residual:
        return residual_[b] < options_.threshold;
      case HaltBy::confidence:
        return view.confidence[b] > options_.threshold;
      case HaltBy::repeat:
        return view.predicted(b) == row.last;
      case HaltBy::oracle:
        return row.exact.back();
      default:
        return view.halt_margin(b) > options_.threshold;
    }
  }

  // Judges what is not settled by comparing tokens, and hands the answer on. Whether it is right.
  bool answer(int64_t example, int64_t b, const SegmentView& view) {
    const bool exact = rows_[b].exact.back(), by_rules = data_.task().several_answers();
    if (!by_rules && !options_.on_answer) return exact;
    std::vector<int> tokens = view.predicted(b);
    if (!back_.empty())
      for (int& token : tokens) token = back_[token];
    bool valid = false;
    if (by_rules) {
      valid = data_.task().check(data_.read(example).inputs, tokens).empty();
      *result_.valid_accuracy += valid;
    }
    if (options_.on_answer) {
      Answer answer;
      answer.example = example;
      answer.tokens = tokens;
      answer.q_halt = view.sure[b];
      const bool q_values = model_.config().halting == Halting::q_learning;
      answer.q_continue = q_values ? view.q_continue[b] : -view.sure[b];
      answer.residual = residual_.empty() ? 0 : residual_[b];
      answer.segments = std::ssize(rows_[b].exact);
      answer.exact = exact;
      answer.solved = exact || valid;
      if (options_.ranks.size() == 1)
        options_.on_answer(answer);
      else
        answers_.push_back(std::move(answer));
    }
    return exact || valid;
  }

  void trace(PuzzleTrace& trace, int64_t b, const SegmentView& view) {
    const int64_t seq = model_.config().seq_len;
    if (trace.inputs.empty()) {
      const Example example = data_.read(rows_[b].example);
      trace.example = rows_[b].example;
      trace.inputs.assign(example.inputs.begin(), example.inputs.begin() + seq);
      trace.labels = example.labels;
    }
    trace.predictions.push_back(view.predicted(b));
    // Files hold no NaN: a head that gives no number says 0.
    const auto chance = [](double logit) { return std::isnan(logit) ? 0 : probability(logit); };
    trace.q_halt.push_back(chance(view.q_halt[b]));
    trace.q_continue.push_back(chance(view.q_continue[b]));
  }

  void finish(const Row& row, double q_halt) {
    ++result_.count;
    const bool exact = row.exact.back();
    result_.exact_accuracy += exact;
    result_.solved[row.example] = exact ? '1' : '0';
    result_.lost_accuracy +=
        !exact && std::find(row.exact.begin(), row.exact.end(), true) != row.exact.end();
    result_.accuracy += row.accuracy.back();
    result_.mean_steps += static_cast<double>(row.exact.size());
    result_.q_halt_accuracy += (q_halt >= 0) == exact;
    ++result_.halt_histogram[row.halt_step];
    for (int64_t s = 0; s < segments_; ++s) {
      const size_t at = std::min<size_t>(s, row.exact.size() - 1);
      result_.exact_by_segment[s] += row.exact[at];
      result_.accuracy_by_segment[s] += row.accuracy[at];
    }
    const double q = probability(q_halt);
    if (std::isnan(q)) return;
    CalibrationBin& bin = result_.calibration[std::min<int>(
        kCalibrationBins - 1, static_cast<int>(q * kCalibrationBins))];
    bin.q_mean += q;
    ++bin.count;
    bin.exact += exact;
  }

  // With no puzzle left to enter, empty slots would only cost time.
  void compact(Carry& carry) {
    std::vector<int32_t> alive;
    std::vector<Row> rows;
    for (int64_t b = 0; b < carry.batch(); ++b) {
      if (rows_[b].example < 0) continue;
      alive.push_back(static_cast<int32_t>(b));
      rows.push_back(std::move(rows_[b]));
    }
    rows_ = std::move(rows);
    if (static_cast<int64_t>(alive.size()) < carry.batch())
      carry = carry.gather(from_vector(alive, {static_cast<int64_t>(alive.size())}));
  }

  EvalResult summary(double started) {
    add_up(result_, options_.ranks);
    failures_.append_to(result_, options_.ranks);
    if (options_.on_answer && options_.ranks.size() > 1)
      tell_answers(std::move(answers_), model_.config().seq_len, options_);
    const auto n = static_cast<double>(result_.count);
    for (double* mean : {&result_.exact_accuracy, &result_.accuracy, &result_.mean_steps,
                         &result_.q_halt_accuracy, &result_.lost_accuracy})
      *mean /= n;
    if (result_.valid_accuracy) *result_.valid_accuracy /= n;
    for (double& v : result_.exact_by_segment) v /= n;
    for (double& v : result_.accuracy_by_segment) v /= n;
    for (CalibrationBin& bin : result_.calibration)
      if (bin.count) bin.q_mean /= static_cast<double>(bin.count);
    result_.seconds = seconds_now() - started;
    return std::move(result_);
  }

  const Model& model_;
  const PuzzleDataset& data_;
  const EvalOptions& options_;
  int64_t segments_ = 0, total_ = 0;
  Range own_;  // the examples of this rank
  std::vector<Row> rows_;
  std::vector<double> residual_;  // of the segment just run, where it is asked for
  EvalResult result_;
  Random random_ = Random(options_.seed).fork("noise");
  FirstFailures failures_{options_.failures};
  std::vector<int32_t> back_;    // the inverse of options_.rename
  std::vector<Answer> answers_;  // of this rank's puzzles, where there are several ranks
};

}  // namespace

void check_halting(const ModelConfig& config, const EvalOptions& options) {
  const bool no_rule = config.halting == Halting::fixed && options.halt_by == HaltBy::q;
  HRM_CHECK(
      !options.halting || !no_rule,
      "[eval] this model was trained with halting fixed, so it has no rule to stop a puzzle by. "
      "HINT: leave out --halt; or hrm eval --halt --halt-by confidence --halt-threshold 0.9");
}

EvalResult evaluate(const Model& model, const PuzzleDataset& data, const EvalOptions& options) {
  return Evaluation(model, data, options).run();
}

void tell_answers(std::vector<Answer> own, int64_t seq_len, const EvalOptions& options) {
  std::ranges::sort(own, {}, &Answer::example);
  constexpr int64_t kNumbers = 7;
  std::vector<double> numbers;
  std::vector<int32_t> tokens;
  for (const Answer& a : own) {
    numbers.insert(numbers.end(), {static_cast<double>(a.example), a.q_halt, a.q_continue,
                                   a.residual, static_cast<double>(a.segments),
                                   static_cast<double>(a.exact), static_cast<double>(a.solved)});
    tokens.insert(tokens.end(), a.tokens.begin(), a.tokens.end());
  }
  const auto count = std::ssize(own);
  const Tensor all_numbers =
                   options.ranks.gather(from_values(numbers, {count, kNumbers}, DType::f64)),
               all_tokens = options.ranks.gather(from_vector(tokens, {count, seq_len}));
  const double* row = all_numbers.data<double>();
  const int32_t* token = all_tokens.data<int32_t>();
  for (int64_t i = 0; i < all_numbers.size(0); ++i, row += kNumbers, token += seq_len) {
    Answer a;
    a.example = static_cast<int64_t>(row[0]);
    a.tokens.assign(token, token + seq_len);
    a.q_halt = row[1];
    a.q_continue = row[2];
    a.residual = row[3];
    a.segments = static_cast<int64_t>(row[4]);
    a.exact = row[5] != 0;
    a.solved = row[6] != 0;
    options.on_answer(a);
  }
}

PuzzleTrace solve_one(const Model& model, const std::vector<int>& inputs, int32_t puzzle_id,
                      const EvalOptions& options) {
  const int64_t seq = model.config().seq_len, input_len = model.config().input_len();
  HRM_CHECK(static_cast<int64_t>(inputs.size()) == input_len, "[solve] the model takes ", input_len,
            " tokens, got ", inputs.size());
  check_halting(model.config(), options);
  const NoGradGuard no_grad;
  Batch batch;
  batch.inputs = from_vector(std::vector<int32_t>(inputs.begin(), inputs.end()), {1, input_len});
  batch.labels = full({1, seq}, kIgnoreLabel, DType::i32);
  batch.puzzle_ids = full({1}, puzzle_id, DType::i32);
  batch.rows = 1;
  const int64_t segments = options.segments > 0 ? options.segments : model.config().halt_max_steps;
  PuzzleTrace trace;
  trace.inputs.assign(inputs.begin(), inputs.begin() + seq);
  Carry carry = initial_carry(model, 1);
  for (int64_t s = 0; s < segments; ++s) {
    begin_segment(model, carry, batch, Refill::reference);
    const SegmentView view(model.config(), eval_segment(model, carry, segments),
                           options.halt_by == HaltBy::confidence);
    check_number(view.head[0]);
    trace.predictions.push_back(view.predicted(0));
    trace.q_halt.push_back(probability(view.q_halt[0]));
    trace.q_continue.push_back(probability(view.q_continue[0]));
    if (view.halt_margin(0) <= options.threshold) continue;
    if (trace.halts_at == 0) trace.halts_at = s + 1;
    if (options.halting) break;
  }
  return trace;
}

}  // namespace hrm
