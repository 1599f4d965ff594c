#include "hrm/eval/eval_result.h"

#include <iterator>

#include <nlohmann/json.hpp>

namespace hrm {
namespace {

constexpr int64_t kMost = int64_t{1} << 50;  // of steps, puzzles and seconds
constexpr int64_t kMostTokens = 1 << 24;     // of a vocabulary
constexpr int64_t kMostCells = 1 << 20;      // of a puzzle
constexpr int64_t kMostSegments = 100'000;

// Whether a list is there and as long as it must be.
void check_size(const std::string& source, const char* key, size_t is, size_t must) {
  HRM_CHECK(is == must, "[report] ", source, ": '", key, "' must have ", must, " entries, got ",
            is);
}

std::vector<int> tokens_of(const Json& list, const std::string& what) {
  const std::vector<int64_t> wide = integers_of(list, kIgnoreLabel, kMostTokens, what);
  return {wide.begin(), wide.end()};
}

PuzzleTrace trace_from_json(const Members& json) {
  PuzzleTrace trace;
  trace.inputs = tokens_of(json.list("inputs"), json.source() + ": 'inputs'");
  trace.labels = tokens_of(json.list("labels"), json.source() + ": 'labels'");
  for (const Json& tokens : json.list("predictions")) {
    trace.predictions.push_back(tokens_of(tokens, json.source() + ": a prediction"));
    check_size(json.source(), "predictions", trace.predictions.back().size(), trace.inputs.size());
  }
  trace.q_halt = json.numbers("q_halt", 0, 1);
  trace.q_continue = json.numbers("q_continue", 0, 1);
  HRM_CHECK(!trace.inputs.empty() && std::ssize(trace.inputs) <= kMostCells, "[report] ",
            json.source(), ": 'inputs' must have 1..", kMostCells, " entries, got ",
            trace.inputs.size());
  if (!trace.labels.empty())
    check_size(json.source(), "labels", trace.labels.size(), trace.inputs.size());
  if (json.has("notes")) {
    for (const Json& note : json.list("notes")) {
      HRM_CHECK(note.is_string(), "[report] ", json.source(), ": 'notes' must hold text, got ",
                brief(note));
      trace.notes.push_back(note.get<std::string>());
    }
    check_size(json.source(), "notes", trace.notes.size(), trace.predictions.size());
  }
  trace.example = json.integer("example", -1, kMost, -1);
  const size_t chances = trace.notes.empty() ? trace.predictions.size() : 0;
  check_size(json.source(), "q_halt", trace.q_halt.size(), chances);
  check_size(json.source(), "q_continue", trace.q_continue.size(), chances);
  return trace;
}

Json trace_to_json(const PuzzleTrace& trace) {
  Json json = {{"inputs", trace.inputs},
               {"labels", trace.labels},
               {"predictions", trace.predictions},
               {"q_halt", trace.q_halt},
               {"q_continue", trace.q_continue}};
  if (!trace.notes.empty()) json["notes"] = trace.notes;
  if (trace.example >= 0) json["example"] = trace.example;
  return json;
}

CalibrationBin bin_from_json(const Members& json) {
  CalibrationBin bin;
  bin.q_mean = json.number("q_mean", 0, 1);
  bin.count = json.integer("count", 0, kMost);
  bin.exact = json.integer("exact", 0, bin.count);
  return bin;
}

void read_segments(const Members& json, EvalResult& r) {
  if (!json.has("exact_by_segment")) return;
  r.exact_by_segment = json.numbers("exact_by_segment", 0, 1);
  const size_t segments = r.exact_by_segment.size();
  HRM_CHECK(segments <= kMostSegments, "[report] ", json.source(), ": at most ", kMostSegments,
            " segments are possible, got ", segments);
  if (json.has("accuracy_by_segment")) {
    r.accuracy_by_segment = json.numbers("accuracy_by_segment", 0, 1);
    check_size(json.source(), "accuracy_by_segment", r.accuracy_by_segment.size(), segments);
  }
  if (json.has("halt_histogram")) {
    r.halt_histogram = json.integers("halt_histogram", 0, kMost);
    check_size(json.source(), "halt_histogram", r.halt_histogram.size(),
               segments + (r.halt_histogram.empty() ? 0 : 1));
  }
}

// visit(number) for everything that is counted or summed.
template <class Visit>
void each_sum(EvalResult& r, const Visit& visit) {
  visit(r.count);
  for (double* sum :
       {&r.accuracy, &r.exact_accuracy, &r.mean_steps, &r.q_halt_accuracy, &r.lost_accuracy})
    visit(*sum);
  if (r.valid_accuracy) visit(*r.valid_accuracy);
  for (double& sum : r.exact_by_segment) visit(sum);
  for (double& sum : r.accuracy_by_segment) visit(sum);
  for (int64_t& count : r.halt_histogram) visit(count);
  for (CalibrationBin& bin : r.calibration) {
    visit(bin.q_mean);
    visit(bin.count);
    visit(bin.exact);
  }
}

}  // namespace

void add_up(EvalResult& sums, const Communicator& ranks) {
  if (ranks.size() == 1) return;
  std::vector<double> own;
  each_sum(sums, [&](auto& number) { own.push_back(static_cast<double>(number)); });
  const auto count = static_cast<int64_t>(own.size());
  const Tensor all = ranks.sum(from_values(own, {count}, DType::f64));
  const double* next = all.data<double>();
  each_sum(sums,
           [&](auto& number) { number = static_cast<std::decay_t<decltype(number)>>(*next++); });
  for (const std::string& solved : ranks.gather(sums.solved))
    for (size_t i = 0; i < solved.size(); ++i)
      if (solved[i] == '1') sums.solved[i] = '1';
  Json traces = Json::array();
  for (size_t i = 0; i < sums.traces.size(); ++i)
    if (!sums.traces[i].inputs.empty()) traces.push_back({i, trace_to_json(sums.traces[i])});
  for (const std::string& text : ranks.gather(traces.dump()))
    for (const Json& trace : Json::parse(text))
      sums.traces[trace[0].get<size_t>()] = trace_from_json(Members(trace[1], "a rank's trace"));
}

bool FirstFailures::would_keep(int64_t example) const {
  return most_ > 0 && (std::ssize(kept_) < most_ || example < kept_.rbegin()->first);
}

void FirstFailures::keep(PuzzleTrace trace) {
  if (!would_keep(trace.example)) return;
  kept_[trace.example] = std::move(trace);
  if (std::ssize(kept_) > most_) kept_.erase(std::prev(kept_.end()));
}

void FirstFailures::append_to(EvalResult& result, const Communicator& ranks) const {
  if (most_ == 0) return;
  FirstFailures all(most_);
  if (ranks.size() == 1) {
    all = *this;
  } else {
    Json own = Json::array();
    for (const auto& [example, trace] : kept_) own.push_back(trace_to_json(trace));
    for (const std::string& text : ranks.gather(own.dump()))
      for (const Json& trace : Json::parse(text))
        all.keep(trace_from_json(Members(trace, "a rank's trace")));
  }
  for (const auto& [example, trace] : all.kept_) result.traces.push_back(trace);
}

Json to_json(const EvalResult& r) {
  Json json = {{"step", r.step},
               {"count", r.count},
               {"accuracy", r.accuracy},
               {"exact_accuracy", r.exact_accuracy},
               {"mean_steps", r.mean_steps},
               {"q_halt_accuracy", r.q_halt_accuracy},
               {"seconds", r.seconds},
               {"exact_by_segment", r.exact_by_segment},
               {"accuracy_by_segment", r.accuracy_by_segment},
               {"halt_histogram", r.halt_histogram},
               {"lost_accuracy", r.lost_accuracy},
               {"solved", r.solved},
               {"calibration", Json::array()},
               {"traces", Json::array()}};
  if (r.valid_accuracy) json["valid_accuracy"] = *r.valid_accuracy;
  for (const CalibrationBin& bin : r.calibration)
    json["calibration"].push_back(
        {{"q_mean", bin.q_mean}, {"count", bin.count}, {"exact", bin.exact}});
  for (const PuzzleTrace& trace : r.traces) json["traces"].push_back(trace_to_json(trace));
  return json;
}

EvalResult eval_result_from_json(const Json& top, const std::string& source) {
  const Members json(top, source);
  EvalResult r;
  r.step = json.integer("step", 0, kMost, 0);
  r.count = json.integer("count", 0, kMost, 0);
  r.accuracy = json.number("accuracy", 0, 1, 0);
  r.exact_accuracy = json.number("exact_accuracy", 0, 1, 0);
  r.mean_steps = json.number("mean_steps", 0, kMost, 0);
  r.q_halt_accuracy = json.number("q_halt_accuracy", 0, 1, 0);
  if (json.has("valid_accuracy")) r.valid_accuracy = json.number("valid_accuracy", 0, 1);
  r.seconds = json.number("seconds", 0, kMost, 0);
  r.lost_accuracy = json.number("lost_accuracy", 0, 1, 0);
  r.solved = json.text("solved", "");
  HRM_CHECK(r.solved.find_first_not_of("01") == std::string::npos, "[report] ", source,
            ": 'solved' must hold a 0 or a 1 for each puzzle");
  read_segments(json, r);
  if (json.has("calibration"))
    for (const Json& bin : json.list("calibration"))
      r.calibration.push_back(bin_from_json(Members(bin, source + ": a bin of 'calibration'")));
  if (json.has("traces"))
    for (const Json& trace : json.list("traces"))
      r.traces.push_back(
          trace_from_json(Members(trace, source + ": trace " + std::to_string(r.traces.size()))));
  return r;
}

}  // namespace hrm
