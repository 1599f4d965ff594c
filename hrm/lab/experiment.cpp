#include "hrm/lab/experiment.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <map>
#include <sstream>

#include "hrm/lab/records.h"
#include "hrm/presets.h"
#include "hrm/support/json.h"
#include "hrm/support/project_files.h"
#include "hrm/support/text.h"
#include "hrm/tasks/registry.h"

namespace hrm::lab {
namespace fs = std::filesystem;
namespace {

// The text of a value as a word: strings without quotes.
std::string word(const Json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

// More models or judgements than anybody can train: a file that multiplies without end.
constexpr size_t kMostTrials = 10'000;
constexpr size_t kMostJudgements = 100'000;  // of all trials
constexpr size_t kMostMembers = 1000;        // of a list or an object in the file
constexpr size_t kMostAxes = 20;
constexpr size_t kMostCommand = 1 << 16;  // characters of a command

void replace_all(std::string& text, const std::string& what, const std::string& with) {
  for (size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += with.size()) {
    text.replace(at, what.size(), with);
    HRM_CHECK(text.size() <= kMostCommand, "[lab] a command has more than ", kMostCommand,
              " characters once '", what, "' is replaced");
  }
}

// What an experiment may pass to which command. Not among it is what the lab passes itself, and
// what writes anywhere else than below --out: a file may come from a stranger.
const std::map<std::string, Words> kCommands = {
    {"data sudoku",
     {"--side", "--from", "--count", "--givens", "--minimal", "--min-rating", "--test",
      "--subsample-train", "--augment", "--seed"}},
    {"data maze",
     {"--size", "--count", "--test", "--min-path", "--unique", "--walls", "--from", "--test-from",
      "--seed"}},
    {"data arc",
     {"--from", "--form", "--variants", "--kinds", "--only", "--task", "--without", "--canvas",
      "--seed"}},
    {"data tokens", {"--from"}},
    {"train",
     {"--preset", "--data", "--task", "--init", "--set", "--dtype", "--tf32", "--no-cuda-graph"}},
    {"eval",
     {"--checkpoint", "--data", "--split", "--variants", "--max", "--batch", "--segments", "--halt",
      "--halt-threshold", "--halt-by", "--noise", "--noise-every-segment", "--seed", "--rollouts",
      "--select", "--relabel", "--device", "--tf32"}},
    {"arc predict",
     {"--checkpoint", "--data", "--variants", "--kinds", "--seed", "--segments", "--halt",
      "--batch", "--task", "--shuffle", "--device", "--tf32"}}};

// The same with `data KIND` of every kind of puzzle that a generator draws.
const std::map<std::string, Words>& allowed_commands() {
  static const std::map<std::string, Words> all = [] {
    std::map<std::string, Words> commands = kCommands;
    for (const TaskKind& kind : task_kinds())
      if (kind.generator)
        commands["data " + std::string(kind.name)] = {"--side", "--count", "--test", "--seed"};
    return commands;
  }();
  return all;
}

// Reads one file; every error names it.
class Reader {
 public:
  Reader(Json json, const Path& file, const ExperimentOptions& options)
      : file_(file), options_(options), json_(std::move(json)) {
    check(json_.is_object(), "must hold an object");
    check_sizes(json_);
    if (options.full && json_.contains("full")) {
      const Json full = json_["full"];
      check(full.is_object(), "full must be an object, got ", brief(full));
      json_.merge_patch(full);
    }
    only_keys(json_,
              {"title", "question", "article", "data", "train", "set", "vary", "seeds", "evaluate",
               "curve", "average", "charts", "compare", "full"},
              "");
  }

  Experiment read() {
    Experiment e;
    e.name = file_.stem();
    check(!e.name.starts_with('.') && e.name != "data" && e.name != "models" && e.name != "locks",
          "an experiment may not be called '", e.name, "'. HINT: rename the file");
    e.title = text("title");
    e.question = text("question");
    e.article = text("article");
    e.curve = Members(json_, file_.string()).flag("curve", false);
    e.average = {"seed"};
    for (const Json& label : list("average")) e.average.push_back(word(label));
    e.charts = list("charts");
    for (const Json& chart : e.charts) check_chart(chart);
    e.compare = list("compare");
    for (const Json& pair : e.compare)
      check(pair.is_array() && pair.size() == 2 && pair[0].is_object() && pair[1].is_object(),
            "compare: must hold pairs of objects, got ", brief(pair));
    run_ = {{"data", json_.value("data", Json::object())},
            {"train", json_.value("train", Json(""))},
            {"set", json_.value("set", Json::object())},
            {"evaluate", json_.value("evaluate", Json({{"test", ""}}))}};
    const Json seeds = json_.contains("seeds") ? list("seeds") : Json({0, 1, 2});
    const std::vector<Setting> all = settings();
    check_count(all.size(), seeds.size());
    for (const auto& [labels, run] : all)
      for (const Json& seed : seeds) add_trial(e, labels, run, seed);
    check_names(e);
    keep_only(e);
    return e;
  }

 private:
  template <class... Parts>
  void check(bool holds, const Parts&... parts) const {
    HRM_CHECK(holds, "[lab] ", file_.string(), ": ", parts...);
  }
  std::string text(const char* key) const {
    const Json value = json_.value(key, Json(""));
    check(value.is_string(), key, " must be text, got ", brief(value));
    return value;
  }
  Json list(const char* key) const {
    const Json value = json_.value(key, Json::array());
    check(value.is_array(), key, " must be a list, got ", brief(value));
    return value;
  }
  void only_keys(const Json& object, const std::vector<std::string>& known,
                 const std::string& where) const {
    check(object.is_object(), where, "must be an object, got ", brief(object));
    for (const auto& [key, value] : object.items()) {
      const std::string close = nearest(key, known);
      check(std::find(known.begin(), known.end(), key) != known.end(), where, "unknown key '", key,
            "'", close.empty() ? "" : ". HINT: did you mean '" + close + "'?");
    }
  }

  // Every list and object: what is combined from them stays bounded, too.
  void check_sizes(const Json& json) const {
    check(!json.is_structured() || json.size() <= kMostMembers, "a list or an object may have ",
          kMostMembers, " members, got ", json.size());
    if (json.is_structured())
      for (const Json& member : json) check_sizes(member);
  }
  void check_count(size_t some, size_t times) const {
    check(times == 0 || some <= kMostTrials / times, "at most ", kMostTrials,
          " models are possible");
  }
  // What the page takes from a chart, so that no page fails when its models are trained.
  void check_chart(const Json& chart) const {
    only_keys(chart, {"title", "x", "series", "y", "where", "published"}, "charts: ");
    for (const auto& [key, value] : chart.items())
      check(!value.is_null(), "charts: ", key, " must not be null. HINT: leave it out");
    const Members json(chart, file_.string() + ": charts");
    for (const char* key : {"title", "x", "y"}) json.text(key, "");
    if (json.has("where")) json.object("where");
    if (json.has("series"))
      for (const Json& name :
           chart["series"].is_array() ? chart["series"] : Json::array({chart["series"]}))
        check(name.is_string(), "charts: series must be labels, got ", brief(name));
    if (!json.has("published")) return;
    for (const auto& [name, points] : json.object("published").json().items()) {
      check(points.is_object(), "charts: published: ", name, " must be an object of points, got ",
            brief(points));
      for (const auto& [x, y] : points.items())
        Members(points, file_.string() + ": charts: published: " + name).number(x, -1e15, 1e15);
    }
  }

  // The labels and values that charts and comparisons name: a page would fail, or be empty, when
  // all is trained.
  void check_names(const Experiment& e) const {
    // Those that a judgement adds by itself.
    Words labels = {"evaluation", "segment", "step", "rollouts", "select"};
    const auto note = [&](const Labels& some) {
      for (const auto& [name, value] : some)
        if (std::find(labels.begin(), labels.end(), name) == labels.end()) labels.push_back(name);
    };
    for (const Trial& t : e.trials) {
      note(t.labels);
      for (const Judgement& j : t.judgements) note(j.labels);
    }
    const auto check_name = [&](const std::string& where, const std::string& name,
                                const Words& more) {
      const auto among = [&](const Words& words) {
        return std::find(words.begin(), words.end(), name) != words.end();
      };
      if (among(labels) || among(more)) return;
      Words known = labels;
      known.insert(known.end(), more.begin(), more.end());
      const std::string close = nearest(name, known);
      check(false, where, " names '", name, "'. HINT: ",
            close.empty() ? "there are " + join(known, ", ") : "did you mean '" + close + "'?");
    };
    for (const Json& pair : e.compare)
      for (const Json& where : pair)
        for (const auto& [name, value] : where.items()) check_name("compare", name, {});
    for (const Json& chart : e.charts) {
      if (chart.contains("where"))
        for (const auto& [name, value] : chart["where"].items())
          check_name("charts: where", name, {});
      if (chart.contains("x")) check_name("charts: x", chart["x"], kRecordValues);
      if (chart.contains("series"))
        for (const Json& name :
             chart["series"].is_array() ? chart["series"] : Json::array({chart["series"]}))
          check_name("charts: series", name, {});
      if (!chart.contains("y")) continue;
      const std::string y = chart["y"];
      check(std::find(kRecordValues.begin(), kRecordValues.end(), y) != kRecordValues.end(),
            "charts: y names '", y, "'. HINT: there are ", join(kRecordValues, ", "));
    }
  }

  using Setting = std::pair<Labels, Json>;  // and what it runs

  // {"set": {"hidden_size": value}} for "set.hidden_size".
  Json patch_at(const std::string& path, const Json& value) const {
    std::vector<std::string> keys;
    std::istringstream parts(path);
    for (std::string key; std::getline(parts, key, '.');) keys.push_back(key);
    const Words known = {"data", "train", "set", "evaluate"};
    check(!keys.empty() && keys.size() <= 8 && !path.ends_with('.') &&
              std::find(keys.begin(), keys.end(), "") == keys.end() &&
              std::find(known.begin(), known.end(), keys[0]) != known.end(),
          "vary: a path must be a setting such as set.hidden_size, got '", path, "'");
    Json patch = value;
    for (; !keys.empty(); keys.pop_back()) {
      Json outer = Json::object();
      outer[keys.back()] = std::move(patch);
      patch = std::move(outer);
    }
    return patch;
  }

  // The values of an axis as patches on the run: {"name", "values": {LABEL: PATCH, ...}}, or
  // {"name", "path": "set.hidden_size", "values": [...]}; without a path they only have a label.
  std::vector<std::pair<std::string, Json>> values_of(const Json& axis) const {
    only_keys(axis, {"name", "path", "values"}, "vary: ");
    check(axis.contains("name") && axis["name"].is_string(), "vary: an axis needs a name");
    const Json values = axis.value("values", Json());
    check(values.is_structured() && !values.empty(), "vary: ", word(axis["name"]), " needs values");
    std::vector<std::pair<std::string, Json>> patches;
    if (values.is_object()) {
      for (const auto& [label, patch] : values.items()) {
        only_keys(patch, {"data", "train", "set", "evaluate"}, "vary: " + label + ": ");
        patches.emplace_back(label, patch);
      }
      return patches;
    }
    const bool has_path = axis.contains("path");
    check(!has_path || axis["path"].is_string(), "vary: path must be text");
    for (const Json& value : values)
      patches.emplace_back(word(value), has_path ? patch_at(axis["path"].get<std::string>(), value)
                                                 : Json::object());
    return patches;
  }

  // `vary` is a list of axes, whose values are combined; or a list of such lists, one behind the
  // other.
  std::vector<Setting> settings() const {
    Json grids = list("vary");
    if (grids.empty() || grids[0].is_object()) grids = Json::array({grids});
    std::vector<Setting> all;
    for (const Json& grid : grids) {
      check(grid.is_array(), "vary: must be a list of axes, or a list of lists of axes");
      check(grid.size() <= kMostAxes, "vary: at most ", kMostAxes, " axes are possible, got ",
            grid.size());
      std::vector<Setting> product = {{{}, run_}};
      for (const Json& axis : grid) {
        const auto values = values_of(axis);
        check_count(product.size(), values.size());
        std::vector<Setting> next;
        for (const auto& [labels, run] : product)
          for (const auto& [label, patch] : values) {
            Setting s{labels, run};
            s.first.emplace_back(axis["name"], label);
            s.second.merge_patch(patch);
            next.push_back(s);
          }
        product = std::move(next);
      }
      all.insert(all.end(), product.begin(), product.end());
      check_count(all.size(), 1);
    }
    return all;
  }

  std::string arc_folder() const {
    check(!options_.arc.empty(),
          "needs ARC tasks. HINT: git clone https://github.com/fchollet/ARC-AGI, then "
          "--arc ARC-AGI/data");
    // Spelled one way, so that the same folder is the same data set.
    return fs::weakly_canonical(options_.arc).string();
  }

  // Splits at blanks, after {label} was replaced by its value.
  Words words(std::string command, const Labels& labels) const {
    for (const auto& [name, value] : labels) replace_all(command, "{" + name + "}", value);
    std::istringstream in(command);
    Words out;
    for (std::string w; in >> w;) {
      // Written with an equals sign, an option is the same as in two words.
      const size_t equals = w.find('=');
      if (w.starts_with("--") && equals != std::string::npos) {
        out.push_back(w.substr(0, equals));
        w.erase(0, equals + 1);
      }
      if (w.find("{arc}") != std::string::npos) replace_all(w, "{arc}", arc_folder());
      out.push_back(w);
    }
    return out;
  }

  void check_words(const Words& words, const std::string& where) const {
    const bool two = words.size() > 1 && (words[0] == "data" || words[0] == "arc");
    const std::string command = words[0] + (two ? " " + words[1] : "");
    const auto allowed = allowed_commands().find(command);
    Words commands;
    for (const auto& [name, options] : allowed_commands()) commands.push_back(name);
    check(allowed != allowed_commands().end(), where, "an experiment may not run `hrm ", command,
          "`. HINT: it may run ", join(commands, ", "));
    for (const std::string& w : words) {
      const std::string& option = w;
      const bool number =
          w.size() > 1 && (std::isdigit(static_cast<unsigned char>(w[1])) || w[1] == '.');
      if (!w.starts_with('-') || number) continue;
      const Words& options = allowed->second;
      check(std::find(options.begin(), options.end(), option) != options.end(), where,
            "an experiment may not pass ", option, " to `hrm ", command, "`. HINT: it may pass ",
            join(options, ", "));
    }
    check_sources(words, where);
  }

  // Where puzzles come from: a pipe or a device might have no end.
  void check_sources(const Words& words, const std::string& where) const {
    bool source = false;
    for (const std::string& w : words) {
      if (w.starts_with("--")) source = w == "--from" || w == "--test-from";
      if (!source || w.starts_with("--")) continue;
      std::error_code none;
      const auto status = fs::status(w, none);
      check(w != "-" && !fs::is_other(status) && !fs::is_fifo(status) &&
                !fs::is_character_file(status) && !fs::is_block_file(status) &&
                !fs::is_socket(status),
            where, "an experiment may read files and folders, not ", w);
    }
  }

  void add_trial(Experiment& e, Labels labels, const Json& run, const Json& seed) {
    check(seed.is_number_integer() && seed >= 0, "seeds must be numbers from 0, got ", brief(seed));
    labels.emplace_back("seed", word(seed));
    Trial t;
    t.labels = labels;
    check(run["data"].is_object() && !run["data"].empty(), "data must name a data set");
    // A data set that depends on the setting has a name of its own for each.
    std::map<std::string, std::string> names;
    for (const auto& [name, command] : run["data"].items()) {
      check(command.is_string(), "data: ", name, " must be the words behind `hrm data`");
      const Words made = words(command, labels);
      Words whole = {"data"};
      whole.insert(whole.end(), made.begin(), made.end());
      check_words(whole, "data: " + name + ": ");
      std::string& known = data_names_[{name, made}];
      for (int& i = versions_[name]; known.empty(); ++i) {
        const std::string candidate = i == 0 ? name : name + "-" + std::to_string(i + 1);
        if (!e.data.contains(candidate)) known = candidate;
      }
      names[name] = known;
      e.data[known] = made;
    }
    const auto place = [&](Words& all) {
      for (std::string& w : all)
        for (const auto& [name, unique] : names)
          replace_all(w, "{data:" + name + "}", "{data:" + unique + "}");
    };
    t.train = words("train " + word(run["train"]), labels);
    check_words(t.train, "train: ");
    if (std::find(t.train.begin(), t.train.end(), "--data") == t.train.end())
      t.train.insert(t.train.end(), {"--data", "{data:" + run["data"].begin().key() + "}"});
    place(t.train);
    t.train.insert(t.train.end(), {"--seed", word(seed)});
    check(run["set"].is_object(), "set must be an object of settings");
    for (const auto& [key, value] : run["set"].items())
      t.train.insert(t.train.end(), {"--set", key + "=" + word(value)});
    for (const std::string& item : options_.settings)
      t.train.insert(t.train.end(), {"--set", item});
    check_settings(t.train);
    check(run["evaluate"].is_object(), "evaluate must be an object of judgements");
    for (const auto& [name, how] : run["evaluate"].items()) add_judgements(t, name, how);
    judgements_ += t.judgements.size();
    check(judgements_ <= kMostJudgements, "at most ", kMostJudgements, " judgements are possible");
    for (Judgement& j : t.judgements) place(j.words);
    e.trials.push_back(std::move(t));
  }

  // {NAME: COMMAND}, or {NAME: {"run": COMMAND, KEY: [values], ...}}: one for each combination.
  void add_judgements(Trial& t, const std::string& name, const Json& how) const {
    check(how.is_string() || (how.is_object() && how.contains("run")), "evaluate: ", name,
          " must be a command, or an object with a command as \"run\", got ", brief(how));
    std::vector<Labels> all = {{{"evaluation", name}}};
    if (how.is_object())
      for (const auto& [key, values] : how.items()) {
        if (key == "run") continue;
        check(values.is_array(), "evaluate: ", name, ": ", key, " must be a list");
        check_count(all.size(), values.size());
        std::vector<Labels> next;
        for (const Labels& labels : all)
          for (const Json& value : values) {
            next.push_back(labels);
            next.back().emplace_back(key, word(value));
          }
        all = std::move(next);
      }
    for (const Labels& labels : all) {
      Labels known = t.labels;
      known.insert(known.end(), labels.begin(), labels.end());
      t.judgements.push_back({labels, words(word(how.is_object() ? how["run"] : how), known)});
      if (!t.judgements.back().words.empty())
        check_words(t.judgements.back().words, "evaluate: " + name + ": ");
    }
  }

  // The mistakes that `hrm train` would find only after the first models are trained.
  void check_settings(const Words& train) const {
    const auto has = [&](const char* option) {
      return std::ranges::find(train, option) != train.end();
    };
    check(!has("--init") || has("--preset"),
          "train: --init needs --preset here, so that it is known how long the training is");
    try {
      asked_for(train).first.validate();
    } catch (const Error& error) {
      throw Error("[lab] " + file_.string() + ": " + error.what());
    }
  }

  // Every label of the trials with each of its values, as --only takes them.
  static std::string known_labels(const std::vector<Trial>& trials) {
    std::vector<std::pair<std::string, Words>> known;
    for (const Trial& t : trials)
      for (const auto& label : t.labels) {
        const auto same = [&](const auto& k) { return k.first == label.first; };
        auto at = std::find_if(known.begin(), known.end(), same);
        if (at == known.end()) at = known.insert(at, {label.first, {}});
        const std::string item = label.first + "=" + label.second;
        if (std::find(at->second.begin(), at->second.end(), item) == at->second.end())
          at->second.push_back(item);
      }
    Words all;
    for (const auto& [name, items] : known) all.insert(all.end(), items.begin(), items.end());
    return join(all, ", ");
  }

  // The items of --only. A value may hold commas.
  Words only_items() const {
    std::istringstream in(options_.only);
    Words items;
    for (std::string part; std::getline(in, part, ',');)
      if (items.empty() || part.find('=') != std::string::npos)
        items.push_back(part);
      else
        items.back() += "," + part;
    return items;
  }

  void keep_only(Experiment& e) const {
    e.partial = !options_.only.empty();
    if (!e.partial) return;
    const std::string known = known_labels(e.trials);
    std::string asked;
    for (const std::string& item : only_items()) {
      const size_t at = item.find('=');
      check(at != std::string::npos, "--only takes label=value, got '", item, "'. HINT: there are ",
            known);
      const std::pair<std::string, std::string> wanted(item.substr(0, at), item.substr(at + 1));
      std::erase_if(e.trials, [&](const Trial& t) {
        return std::find(t.labels.begin(), t.labels.end(), wanted) == t.labels.end();
      });
      asked += (asked.empty() ? "" : " and ") + item;
      check(!e.trials.empty(), "no model has ", asked, ". HINT: there are ", known);
    }
  }

  Path file_;
  const ExperimentOptions& options_;
  Json json_, run_;
  std::map<std::pair<std::string, Words>, std::string> data_names_;  // of a name and its words
  std::map<std::string, int> versions_;                              // of a name
  size_t judgements_ = 0;
};

}  // namespace

std::string to_string(const Labels& labels) {
  std::string text;
  for (const auto& [name, value] : labels) text += (text.empty() ? "" : ",") + name + "=" + value;
  return text;
}

std::string to_string(const Words& words) {
  std::string text;
  for (const std::string& w : words) {
    const bool plain = !w.empty() && w.find_first_of(" '\"$&|;<>*?()") == std::string::npos;
    text += (text.empty() ? "" : " ") + (plain ? w : "'" + w + "'");
  }
  return text;
}

std::pair<Config, Words> asked_for(const Words& train) {
  std::pair<Config, Words> asked;
  for (size_t i = 0; i < train.size(); ++i) {
    if (train[i] == "--preset" && i + 1 < train.size())
      asked.first = preset(train[++i]);
    else if (train[i] == "--set" && i + 1 < train.size())
      asked.first.set_from(train[++i]);
    else
      asked.second.push_back(train[i]);
  }
  return asked;
}

Experiment parse_experiment(Json json, const Path& file, const ExperimentOptions& options) {
  return Reader(std::move(json), file, options).read();
}

Experiment read_experiment(const Path& file, const ExperimentOptions& options) {
  return parse_experiment(read_json(file), file, options);
}

std::vector<Path> list_experiments(const Path& folder) {
  std::vector<Path> files;
  if (fs::is_directory(folder))
    for (const auto& entry : fs::directory_iterator(folder))
      if (entry.path().extension() == ".json") files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

Path experiments_folder() {
  const Path folder = file_of_project("examples/experiments", "experiments");
  if (!folder.empty()) return folder;
  detail::fail(
      "[lab] the folder examples/experiments is neither beside the program nor here. "
      "HINT: hrm lab run FILE takes any file");
}

}  // namespace hrm::lab
