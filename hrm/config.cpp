#include "hrm/config.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <type_traits>

#include <nlohmann/json.hpp>

#include "hrm/gradient_rule.h"
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
    const std::vector<std::string> names = setting_values<T>();
    for (size_t i = 0; i < names.size(); ++i)
      if (names[i] == text) return static_cast<T>(i);
    reject(key, " must be one of ", join(names, ", "), ", got '", text, "'");
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

std::vector<std::string> all_keys(const Config& config) {
  std::vector<std::string> keys;
  const auto collect = [&](const Setting& setting, const auto&) { keys.push_back(setting.name); };
  config.groups([&](const char*, const auto& group) { group.fields(collect); });
  return keys;
}

template <class Group>
void read_group(const Members& json, Group& group) {
  std::vector<std::string> known;
  group.fields([&](const Setting& setting, auto& field) {
    known.push_back(setting.name);
    if (json.json().contains(setting.name)) from_value(json, setting.name, field);
  });
  for (const auto& [key, value] : json.json().items())
    if (std::find(known.begin(), known.end(), key) == known.end())
      reject("unknown key '", key, "'", did_you_mean(key, known));
}

// Raises an Error for a number that is outside its row's range.
void check_range(const Setting& setting, const auto& value) {
  using T = std::decay_t<decltype(value)>;
  if constexpr (std::is_arithmetic_v<T> && !std::is_same_v<T, bool>) {
    const auto [low, high] = setting.range;
    const auto number = static_cast<double>(value);
    if (number >= low && number <= high) return;
    if (high == std::numeric_limits<double>::infinity())
      reject(setting.name, " must be ", static_cast<T>(low), " or more, got ", value);
    reject(setting.name, " must be in ", static_cast<T>(low), "..", static_cast<T>(high), ", got ",
           value);
  }
}

}  // namespace

int64_t ModelConfig::prefix() const {
  if (puzzle_emb_ndim == 0) return 0;
  return puzzle_emb_len > 0 ? puzzle_emb_len : (puzzle_emb_ndim + hidden_size - 1) / hidden_size;
}

int64_t ModelConfig::side() const {
  const auto root = static_cast<int64_t>(std::lround(std::sqrt(static_cast<double>(seq_len))));
  return root * root == seq_len ? root : 0;
}

int64_t extra_inputs(Conditioning conditioning, int64_t context_pairs, int64_t seq_len) {
  if (conditioning == Conditioning::task) return 10;
  return conditioning == Conditioning::context ? 2 * context_pairs * seq_len : 0;
}

int64_t ModelConfig::input_len() const {
  return seq_len + extra_inputs(conditioning, context_pairs, seq_len);
}

double ModelConfig::halt_threshold() const {
  if (halting == Halting::act) return 1 - act_epsilon;
  return halting == Halting::ponder ? ponder_threshold : halt_confidence;
}

bool ModelConfig::halts_early() const {
  return act && (halting == Halting::q_learning || halting == Halting::confidence);
}

void ModelConfig::validate() const {
  fields([](const Setting& setting, const auto& value) { check_range(setting, value); });
  if (num_heads > hidden_size)
    reject("num_heads must be at most hidden_size ", hidden_size, ", got ", num_heads);
  const auto needed = [](const char* name, int64_t value, bool may_be_zero) {
    if (value == 0 && !may_be_zero) reject(name, " must be 1 or more with these levels, got 0");
  };
  needed("H_layers", H_layers, levels == Levels::shared);
  needed("L_layers", L_layers, levels == Levels::single);
  needed("L_cycles", L_cycles, levels == Levels::single);
  constexpr int64_t kMostUpdates = 1000000;  // 6 as published
  if (H_cycles * (L_cycles + 1) > kMostUpdates)
    reject("a segment may have ", kMostUpdates, " updates, got ", H_cycles * (L_cycles + 1),
           ". HINT: a smaller H_cycles or L_cycles");
  if (conditioning != Conditioning::variant && puzzle_emb_ndim == 0)
    reject("conditioning ", to_string(conditioning), " needs a puzzle_emb_ndim above 0");
  if (!is_floating(dtype)) reject("dtype must be f32, bf16 or f64, got '", to_string(dtype), "'");
  if (puzzle_emb_ndim == 0 && puzzle_emb_len > 0)
    reject("puzzle_emb_len must be 0 when puzzle_emb_ndim is 0, got ", puzzle_emb_len);
  if (prefix() * hidden_size < puzzle_emb_ndim)
    reject("puzzle_emb_len ", puzzle_emb_len, " is too short for puzzle_emb_ndim ", puzzle_emb_ndim,
           " at hidden_size ", hidden_size);
  if (has_rope(pos_encodings) && !mlp_t && hidden_size / num_heads % 2 != 0)
    reject("rope needs an even head size, got hidden_size / num_heads = ", hidden_size / num_heads,
           ". HINT: change num_heads or pos_encodings");
  if (rope == Rope::grid) {
    const bool in_blocks = has_rope(pos_encodings) && !mlp_t;
    if (!in_blocks && conditioning != Conditioning::context)
      reject("rope grid needs attention and pos_encodings with rope. HINT: rope=flat");
    if (side() == 0)
      reject("rope grid is for square boards, got seq_len ", seq_len, ". HINT: rope=flat");
    if (hidden_size / num_heads % 4 != 0)
      reject("rope grid needs a head size that is a multiple of 4, got hidden_size / num_heads = ",
             hidden_size / num_heads, ". HINT: change num_heads, or rope=flat");
  }
  if (continue_loss && q_head == QHead::halt_only)
    reject("continue_loss needs q_head halt_and_continue");
  if (act_per_position && (halting != Halting::act || prefix() > 0))
    reject("act_per_position needs halting act and puzzle_emb_ndim 0");
  if (halting == Halting::act && halt_max_steps < 2)
    reject("halting act needs halt_max_steps 2 or more, got ", halt_max_steps);
  parse_gradient_rule(gradient);
}

void TrainConfig::validate() const {
  fields([](const Setting& setting, const auto& value) { check_range(setting, value); });
  if (micro_batches > batch_size)
    reject("micro_batches must be at most batch_size ", batch_size, ", got ", micro_batches);
  if (bf16_gradients && micro_batches == 1)
    reject("bf16_gradients is about the sum over micro-batches, and there is one. HINT: ",
           "micro_batches=2 or more");
  if (optimizer != OptimizerKind::muon && momentum != TrainConfig().momentum)
    reject("momentum is a setting of optimizer=muon alone. HINT: leave it out");
  if (unroll_segments > 1 && late_start_share > 0)
    reject("late_start_share needs unroll_segments 1, got ", unroll_segments);
}

void LatticeConfig::validate() const {
  fields([](const Setting& setting, const auto& value) { check_range(setting, value); });
  if (bare_share + right_share > 1)
    reject("lattice_bare_share and lattice_right_share must add up to at most 1, got ", bare_share,
           " and ", right_share);
}

namespace {

// What a lattice reads of the settings of HRM, and what it does not of those of a training.
constexpr std::array kModelOfLattice = {
    "seq_len",    "vocab_size", "num_puzzle_identifiers", "refinement", "hidden_size",
    "num_heads",  "expansion",  "pos_encodings",          "mlp_t",      "rope",
    "rope_theta", "dtype",      "halt_max_steps"};
constexpr std::array kTrainNotOfLattice = {"unroll_segments",         "late_start_share",
                                           "late_start_updates",      "puzzle_emb_lr",
                                           "puzzle_emb_weight_decay", "refill"};

bool among(const auto& names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

// Raises an Error for the first setting of `group` that is not read, and not left alone either.
template <class Group>
void check_untouched(const Group& group, const auto& is_read, const std::string& choice,
                     const char* hint) {
  std::vector<Json> defaults;
  const Group untouched;
  untouched.fields(
      [&](const Setting&, const auto& value) { defaults.push_back(setting_value(value)); });
  size_t at = 0;
  group.fields([&](const Setting& setting, const auto& value) {
    if (!is_read(setting.name) && Json(setting_value(value)) != defaults[at])
      reject(setting.name, " is not a setting of ", choice, ". HINT: leave it out, or ", hint);
    ++at;
  });
}

// Whether a rule of halting reads a setting of the model; those that are of no rule are read.
bool read_by(Halting halting, std::string_view name) {
  if (name == "act") return halting == Halting::q_learning || halting == Halting::confidence;
  if (name.starts_with("act_")) return halting == Halting::act;
  if (name.starts_with("ponder_")) return halting == Halting::ponder;
  if (name == "halt_confidence") return halting == Halting::confidence;
  return true;
}

// What a rule of halting asks of the other settings.
void check_halting(const Config& config) {
  const ModelConfig& m = config.model;
  const TrainConfig& t = config.train;
  check_untouched(
      m, [&](const char* name) { return read_by(m.halting, name); },
      "halting " + std::string(to_string(m.halting)), "choose the rule that it belongs to");
  const bool whole = t.unroll_segments == m.halt_max_steps;
  if (m.halting == Halting::act && !whole)
    reject("halting act weighs all segments of a puzzle in one step: unroll_segments must be ",
           "halt_max_steps ", m.halt_max_steps, ", got ", t.unroll_segments);
  if (m.halting == Halting::ponder && !whole && t.unroll_segments != 1)
    reject("halting ponder weighs all segments of a puzzle in one step, or each by itself: ",
           "unroll_segments must be halt_max_steps ", m.halt_max_steps, " or 1, got ",
           t.unroll_segments);
  if (t.unroll_segments > 1 && t.micro_batches > 1 && m.halts_early())
    reject("unroll_segments ", t.unroll_segments, " with micro_batches ", t.micro_batches,
           " needs act=false, so that all puzzles of a batch halt together");
  const bool counts = m.halting == Halting::ponder || m.step_signal || m.input_once;
  if (t.late_start_share > 0 && counts)
    reject("late_start_share needs a model that does not count its segments, got halting ",
           to_string(m.halting), ", step_signal ", m.step_signal ? "true" : "false",
           ", input_once ", m.input_once ? "true" : "false");
}

}  // namespace

void Config::validate() const {
  model.validate();
  train.validate();
  lattice.validate();
  if (!is_lattice()) {
    check_halting(*this);
    return check_untouched(
        lattice, [](const char*) { return false; }, "refinement segments",
        "choose a preset of the other refinement");
  }
  if (model.side() == 0)
    reject("refinement lattice is for square boards, got seq_len ", model.seq_len,
           ". HINT: a preset of HRM");
  check_untouched(
      model, [](const char* name) { return among(kModelOfLattice, name); }, "refinement lattice",
      "choose a preset of the other refinement");
  check_untouched(
      train, [](const char* name) { return !among(kTrainNotOfLattice, name); },
      "refinement lattice", "choose a preset of the other refinement");
}

void Config::set(const std::string& key, const std::string& value) {
  bool found = false;
  const auto assign = [&](const Setting& setting, auto& field) {
    if (key != setting.name) return;
    field = parse<std::decay_t<decltype(field)>>(key, value);
    found = true;
  };
  groups([&](const char*, auto& group) { group.fields(assign); });
  if (!found) reject("unknown key '", key, "'", did_you_mean(key, all_keys(*this)));
}

void Config::set_from(const std::string& item) {
  const size_t at = item.find('=');
  if (at == std::string::npos || at == 0) reject("--set takes key=value, got '", item, "'");
  set(item.substr(0, at), item.substr(at + 1));
}

Json Config::to_json() const {
  Json json;
  json["preset"] = preset;
  json["data"] = data;
  if (!tasks.empty()) json["tasks"] = tasks;
  const auto write = [](Json& group) {
    return [&group](const Setting& setting, const auto& field) {
      group[setting.name] = setting_value(field);
    };
  };
  groups([&](const char* name, const auto& group) {
    if (is_lattice() || name != std::string_view("lattice")) group.fields(write(json[name]));
  });
  return json;
}

Config Config::from_json(const Json& top, const std::string& source) {
  const Members json(top, source);
  Config config;
  config.preset = json.text("preset", "");
  config.data = json.text("data", "");
  if (json.has("tasks"))
    for (const Json& task : json.list("tasks")) {
      HRM_CHECK(task.is_string(), "[config] ", source, ": 'tasks' must hold names, got ",
                brief(task));
      config.tasks.push_back(task.get<std::string>());
    }
  try {
    config.groups([&](const char* name, auto& group) {
      if (json.has(name) || name != std::string_view("lattice"))
        read_group(json.object(name), group);
    });
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
  for (const char* group : {"model", "train", "lattice"}) {
    if (!after.contains(group)) continue;
    const Json old = before.value(group, Json::object());
    for (const auto& [key, value] : after[group].items())
      if (!old.contains(key) || old[key] != value)
        found.push_back({key, old.value(key, Json()).dump(), value.dump()});
  }
  if (old_config.tasks != new_config.tasks)
    found.push_back({"tasks", Json(old_config.tasks).dump(), Json(new_config.tasks).dump()});
  return found;
}

bool may_change_on_resume(const std::string& key) {
  bool may = false;
  const auto look = [&](const Setting& setting, const auto&) {
    if (key == setting.name) may = setting.may_change_on_resume;
  };
  Config().groups([&](const char*, const auto& group) { group.fields(look); });
  return may;
}

}  // namespace hrm
