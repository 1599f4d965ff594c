#include "hrm/eval_result.h"

namespace hrm {
namespace {

// Calls f(key, field) for every plain field of each struct.
template <class Result, class F>
void result_fields(Result& r, const F& f) {
  f("step", r.step), f("count", r.count);
  f("accuracy", r.accuracy), f("exact_accuracy", r.exact_accuracy);
  f("mean_steps", r.mean_steps), f("q_halt_accuracy", r.q_halt_accuracy);
  f("seconds", r.seconds);
  f("exact_by_segment", r.exact_by_segment), f("accuracy_by_segment", r.accuracy_by_segment);
  f("halt_histogram", r.halt_histogram);
  f("lost_accuracy", r.lost_accuracy), f("solved", r.solved);
}
template <class Bin, class F>
void bin_fields(Bin& b, const F& f) {
  f("q_mean", b.q_mean), f("count", b.count), f("exact", b.exact);
}
template <class Trace, class F>
void trace_fields(Trace& t, const F& f) {
  f("inputs", t.inputs), f("labels", t.labels), f("predictions", t.predictions);
  f("q_halt", t.q_halt), f("q_continue", t.q_continue);
}

auto writer(Json& json) {
  return [&json](const char* key, const auto& field) { json[key] = field; };
}
auto reader(const Json& json) {
  return [&json](const char* key, auto& field) {
    if (json.contains(key)) json.at(key).get_to(field);
  };
}

}  // namespace

Json to_json(const EvalResult& result) {
  Json json;
  result_fields(result, writer(json));
  if (result.valid_accuracy) json["valid_accuracy"] = *result.valid_accuracy;
  json["calibration"] = Json::array(), json["traces"] = Json::array();
  for (const CalibrationBin& bin : result.calibration)
    bin_fields(bin, writer(json["calibration"].emplace_back()));
  for (const PuzzleTrace& trace : result.traces)
    trace_fields(trace, writer(json["traces"].emplace_back()));
  return json;
}

EvalResult eval_result_from_json(const Json& json, const std::string& source) {
  EvalResult result;
  try {
    result_fields(result, reader(json));
    if (json.contains("valid_accuracy"))
      result.valid_accuracy = json["valid_accuracy"].get<double>();
    for (const Json& bin : json.value("calibration", Json::array()))
      bin_fields(result.calibration.emplace_back(), reader(bin));
    for (const Json& trace : json.value("traces", Json::array()))
      trace_fields(result.traces.emplace_back(), reader(trace));
  } catch (const nlohmann::json::exception& error) {
    detail::fail("[report] ", source, " is not an evaluation: ", error.what());
  }
  return result;
}

}  // namespace hrm
