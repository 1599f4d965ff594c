#include "hrm/config.h"

#include <charconv>
#include <cmath>
#include <type_traits>

#include "hrm/support/text.h"

namespace hrm {
namespace {

template <class... Parts>
[[noreturn]] void reject(const Parts&... parts) {
  detail::fail("[config] ", parts...);
}

template <class T>
T parse(const std::string& key, const std::string& text) {
  if constexpr (std::is_same_v<T, std::string>) {
    if (!is_utf8(text)) reject(key, " must be UTF-8 text, got '", printable(text), "'");
    return text;
  } else if constexpr (std::is_same_v<T, bool>) {
    if (text == "true" || text == "1" || text == "on") return true;
    if (text == "false" || text == "0" || text == "off") return false;
    reject(key, " must be true or false, got '", text, "'");
  } else if constexpr (std::is_enum_v<T>) {
    std::vector<std::string> names = EnumNames<T>::names;
    // Tensors have more types than a model computes in.
    if constexpr (std::is_same_v<T, DType>)
      std::erase_if(names, [](const std::string& name) { return name == "i32" || name == "u8"; });
    for (size_t i = 0; i < names.size(); ++i)
      if (names[i] == text) return static_cast<T>(i);
    std::string list;
    for (const std::string& name : names) list += (list.empty() ? "" : ", ") + name;
    reject(key, " must be one of ", list, ", got '", text, "'");
  } else {
    T value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size())
      reject(key, std::is_integral_v<T> ? " must be a whole number" : " must be a number",
             ", got '", text, "'");
    return value;
  }
}

template <class T>
Json to_value(const T& value) {
  if constexpr (std::is_enum_v<T>)
    return hrm::to_string(value);
  else
    return value;
}

template <class T>
void from_value(const Members& json, const char* key, T& field) {
  if constexpr (std::is_enum_v<T>)
    field = parse<T>(key, json.text(key));
  else if constexpr (std::is_same_v<T, std::string>)
    field = json.text(key);
  else if constexpr (std::is_same_v<T, bool>)
    field = json.flag(key);
  else if constexpr (std::is_integral_v<T>)
    field = json.integer(key, std::numeric_limits<T>::min(), std::numeric_limits<T>::max());
  else
    field = json.number(key, std::numeric_limits<T>::lowest(), std::numeric_limits<T>::max());
}

std::vector<std::string> all_keys(Config config) {
  std::vector<std::string> keys;
  const auto collect = [&](const char* key, auto&, const char*) { keys.push_back(key); };
  config.model.fields(collect), config.train.fields(collect);
  return keys;
}

std::string suggestion(const std::string& word, const std::vector<std::string>& candidates) {
  const std::string close = nearest(word, candidates);
  return close.empty() ? "" : ". HINT: did you mean '" + close + "'?";
}

// The gradient rules and what stands behind their names. What they do is in gradient_strategy.h and
// equilibrium.h.
struct RuleParameter {
  const char* name;
  double low, high;
  bool whole;
};
struct RuleForm {
  const char* name;
  std::vector<RuleParameter> parameters;
};
const std::vector<RuleForm>& rule_forms() {
  constexpr double kMost = 1e6;
  const RuleParameter k{"K", 1, kMost, true};
  const RuleParameter k_from_0{"K", 0, kMost, true};
  const RuleParameter lambda{"LAMBDA", 1e-6, 1, false};
  static const std::vector<RuleForm> forms = {
      {"one_step", {}},         {"last_k", {k}},         {"last_cycle", {}}, {"full_bptt", {}},
      {"checkpointed", {}},     {"neumann", {k_from_0}}, {"anderson", {k}},  {"broyden", {k}},
      {"phantom", {lambda, k}}, {"damped", {lambda, k}},
  };
  return forms;
}

// "phantom:LAMBDA:K"
std::string text_of(const RuleForm& form) {
  std::string text = form.name;
  for (const RuleParameter& p : form.parameters) text += std::string(":") + p.name;
  return text;
}

double parse_rule_number(const std::string& word, const RuleForm& form, const RuleParameter& p,
                         const std::string& rule) {
  double value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  const bool is_number = error == std::errc() && end == word.data() + word.size();
  const bool fits = is_number && value >= p.low && value <= p.high;
  if (p.whole && (!fits || value != std::floor(value)))
    reject("gradient ", text_of(form), ": ", p.name, " must be a whole number in ",
           static_cast<int64_t>(p.low), "..", static_cast<int64_t>(p.high), ", got '", rule, "'");
  if (!fits)
    reject("gradient ", text_of(form), ": ", p.name, " must be a number in ", p.low, "..", p.high,
           ", got '", rule, "'");
  return value;
}

template <class Group>
void read_group(const Members& json, Group& group) {
  std::vector<std::string> known;
  group.fields([&](const char* key, auto& field, const char*) {
    known.push_back(key);
    if (json.json().contains(key)) from_value(json, key, field);
  });
  for (const auto& [key, value] : json.json().items())
    if (std::find(known.begin(), known.end(), key) == known.end())
      reject("unknown key '", key, "'", suggestion(key, known));
}

// Raises an Error unless low <= value <= high.
template <class T>
void in_range(const char* key, T value, T low, T high) {
  if (!(value >= low && value <= high))
    reject(key, " must be in ", low, "..", high, ", got ", value);
}

constexpr int64_t kMany = int64_t{1} << 40;

}  // namespace

GradientRule parse_gradient_rule(const std::string& text) {
  std::vector<std::string> words;
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find(':', at), text.size());
    words.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  std::string list;
  std::vector<std::string> names;
  for (const RuleForm& form : rule_forms()) {
    list += (list.empty() ? "" : ", ") + text_of(form);
    names.push_back(form.name);
    if (words[0] != form.name) continue;
    if (words.size() != form.parameters.size() + 1)
      reject("gradient must be of the form ", text_of(form), ", got '", text, "'");
    GradientRule rule{form.name, {}};
    for (size_t i = 0; i < form.parameters.size(); ++i)
      rule.numbers.push_back(parse_rule_number(words[i + 1], form, form.parameters[i], text));
    return rule;
  }
  reject("gradient must be one of ", list, ", got '", text, "'", suggestion(words[0], names));
}

int64_t ModelConfig::prefix() const {
  if (puzzle_emb_ndim == 0) return 0;
  return puzzle_emb_len > 0 ? puzzle_emb_len : (puzzle_emb_ndim + hidden_size - 1) / hidden_size;
}

int64_t extra_inputs(Conditioning conditioning, int64_t context_pairs, int64_t seq_len) {
  if (conditioning == Conditioning::task) return 10;
  return conditioning == Conditioning::context ? 2 * context_pairs * seq_len : 0;
}

int64_t ModelConfig::input_len() const {
  return seq_len + extra_inputs(conditioning, context_pairs, seq_len);
}

void ModelConfig::validate() const {
  in_range<int64_t>("seq_len", seq_len, 1, 1 << 20);
  in_range<int64_t>("vocab_size", vocab_size, 2, 1 << 24);
  in_range<int64_t>("num_puzzle_identifiers", num_puzzle_identifiers, 1, kMany);
  in_range<int64_t>("hidden_size", hidden_size, 1, 1 << 16);
  in_range<int64_t>("num_heads", num_heads, 1, hidden_size);
  in_range<int64_t>("H_layers", H_layers, levels == Levels::shared ? 0 : 1, 1000);
  in_range<int64_t>("L_layers", L_layers, levels == Levels::single ? 0 : 1, 1000);
  in_range<int64_t>("H_cycles", H_cycles, 1, 100000);
  in_range<int64_t>("L_cycles", L_cycles, levels == Levels::single ? 0 : 1, 100000);
  in_range("expansion", expansion, 0.01, 1000.0);
  in_range<int64_t>("puzzle_emb_ndim", puzzle_emb_ndim, 0, 1 << 20);
  in_range<int64_t>("puzzle_emb_len", puzzle_emb_len, 0, 1 << 16);
  in_range<int64_t>("context_pairs", context_pairs, 1, 100);
  if (conditioning != Conditioning::variant && puzzle_emb_ndim == 0)
    reject("conditioning ", to_string(conditioning), " needs a puzzle_emb_ndim above 0");
  in_range("rms_norm_eps", rms_norm_eps, 0.0, 1.0);
  in_range("rope_theta", rope_theta, 1.0, 1e12);
  in_range<int64_t>("halt_max_steps", halt_max_steps, 1, 100000);
  in_range("halt_exploration_prob", halt_exploration_prob, 0.0, 1.0);
  if (!is_floating(dtype)) reject("dtype must be f32, bf16 or f64, got '", to_string(dtype), "'");
  if (puzzle_emb_ndim == 0 && puzzle_emb_len > 0)
    reject("puzzle_emb_len must be 0 when puzzle_emb_ndim is 0, got ", puzzle_emb_len);
  if (prefix() * hidden_size < puzzle_emb_ndim)
    reject("puzzle_emb_len ", puzzle_emb_len, " is too short for puzzle_emb_ndim ", puzzle_emb_ndim,
           " at hidden_size ", hidden_size);
  if (pos_encodings == PosEncoding::rope && !mlp_t && hidden_size / num_heads % 2 != 0)
    reject("rope needs an even head size, got hidden_size / num_heads = ", hidden_size / num_heads,
           ". HINT: change num_heads or pos_encodings");
  if (continue_loss && q_head == QHead::halt_only)
    reject("continue_loss needs q_head halt_and_continue");
  parse_gradient_rule(gradient);
}

void TrainConfig::validate() const {
  in_range<int64_t>("batch_size", batch_size, 1, 1 << 20);
  in_range<int64_t>("micro_batches", micro_batches, 1, batch_size);
  in_range<int64_t>("unroll_segments", unroll_segments, 1, 1000);
  if (unroll_segments > 1 && micro_batches > 1)
    reject("unroll_segments above 1 needs micro_batches 1, got ", micro_batches);
  in_range<int64_t>("total_steps", total_steps, 1, kMany);
  in_range("lr", lr, 0.0, 1e3);
  in_range("lr_min_ratio", lr_min_ratio, 0.0, 1.0);
  in_range<int64_t>("lr_warmup_steps", lr_warmup_steps, 0, kMany);
  in_range("beta1", beta1, 0.0, 0.999999999);
  in_range("beta2", beta2, 0.0, 0.999999999);
  in_range("weight_decay", weight_decay, 0.0, 1e3);
  in_range("puzzle_emb_lr", puzzle_emb_lr, 0.0, 1e3);
  in_range("puzzle_emb_weight_decay", puzzle_emb_weight_decay, 0.0, 1e3);
  in_range("clip_norm", clip_norm, 0.0, 1e30);
  in_range("ema", ema, 0.0, 0.999999999);
  in_range<int64_t>("seed", seed, 0, std::numeric_limits<int64_t>::max());
  in_range<int64_t>("eval_every", eval_every, 0, kMany);
  in_range<int64_t>("eval_puzzles", eval_puzzles, 0, kMany);
  in_range<int64_t>("final_eval_puzzles", final_eval_puzzles, -1, kMany);
  in_range<int64_t>("early_stop", early_stop, 0, kMany);
  in_range<int64_t>("checkpoint_every", checkpoint_every, 1, kMany);
  in_range<int64_t>("keep_checkpoints", keep_checkpoints, 1, 1000);
}

void Config::set(const std::string& key, const std::string& value) {
  bool found = false;
  const auto assign = [&](const char* name, auto& field, const char*) {
    if (key != name) return;
    field = parse<std::decay_t<decltype(field)>>(key, value);
    found = true;
  };
  model.fields(assign), train.fields(assign);
  if (!found) reject("unknown key '", key, "'", suggestion(key, all_keys(*this)));
}

void Config::set_from(const std::string& item) {
  const size_t at = item.find('=');
  if (at == std::string::npos || at == 0) reject("--set takes key=value, got '", item, "'");
  set(item.substr(0, at), item.substr(at + 1));
}

Json Config::to_json() const {
  Config copy = *this;
  Json json;
  json["preset"] = preset;
  json["data"] = data;
  if (!tasks.empty()) json["tasks"] = tasks;
  const auto write = [](Json& group) {
    return [&group](const char* key, auto& field, const char*) { group[key] = to_value(field); };
  };
  copy.model.fields(write(json["model"]));
  copy.train.fields(write(json["train"]));
  return json;
}

Config Config::from_json(const Json& top, const std::string& source) {
  const Members json(top, source);
  Config config;
  config.preset = json.text("preset", "");
  config.data = json.text("data", "");
  if (json.has("tasks"))
    for (const Json& task : json.list("tasks")) {
      CHECK(task.is_string(), "[config] ", source, ": 'tasks' must hold names, got ", brief(task));
      config.tasks.push_back(task.get<std::string>());
    }
  try {
    read_group(json.object("model"), config.model);
    read_group(json.object("train"), config.train);
    config.validate();
  } catch (const Error& error) {
    // A setting does not know where it came from.
    const std::string what = error.what(), tag = "[config] ";
    if (what.find(source) != std::string::npos || !what.starts_with(tag)) throw;
    reject(source, ": ", what.substr(tag.size()));
  }
  return config;
}

std::vector<Difference> differences(const Config& old_config, const Config& new_config) {
  std::vector<Difference> found;
  const Json before = old_config.to_json(), after = new_config.to_json();
  for (const char* group : {"model", "train"})
    for (const auto& [key, value] : after[group].items())
      if (before[group][key] != value)
        found.push_back({key, before[group][key].dump(), value.dump()});
  if (old_config.tasks != new_config.tasks)
    found.push_back({"tasks", Json(old_config.tasks).dump(), Json(new_config.tasks).dump()});
  return found;
}

bool may_change_on_resume(const std::string& key) {
  static const std::vector<std::string> keys = {"total_steps",        "lr",
                                                "lr_min_ratio",       "clip_norm",
                                                "weight_decay",       "puzzle_emb_lr",
                                                "eval_every",         "eval_puzzles",
                                                "final_eval_puzzles", "early_stop",
                                                "checkpoint_every",   "keep_checkpoints"};
  return std::find(keys.begin(), keys.end(), key) != keys.end();
}

}  // namespace hrm
