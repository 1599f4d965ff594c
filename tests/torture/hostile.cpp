// Files that are well formed and mean harm: names of tasks that are paths, names with terminal
// escapes, experiments that name other folders, symbolic links in a run folder. Nothing outside may
// change.
#include "tests/torture/stage.h"

namespace hrm::torture {
namespace fs = std::filesystem;
namespace {

// The folder of a case. What the program is told to write to lies in it, as deep as a hostile name
// climbs up, and beside that what must not change.
const Path kSandbox = "sandbox";
const Path kOutside = kSandbox / "outside";
const Path kOut = kSandbox / "deep" / "out";

void make_sandbox() {
  fs::remove_all(kSandbox);
  fs::create_directories(kOutside / "step_00000001");
  write_file(kOutside / "thesis.txt", "the only copy\n");
  write_file(kOutside / "step_00000001" / "foreign.txt", "not of this run\n");
  fs::create_directories(kOut);
  write_file(kOut / "keep.txt", "was here before\n");
}

// All that must be as it was: everything but what is new in `writable`.
std::map<std::string, std::string> fixed_part(const Path& writable) {
  std::map<std::string, std::string> all = contents(kSandbox);
  const std::string inside = fs::relative(writable, kSandbox).string() + "/";
  std::erase_if(all, [&](const auto& entry) {
    return entry.first.starts_with(inside) && !entry.first.ends_with("keep.txt");
  });
  return all;
}

std::vector<std::string> hostile_names() {
  return {"../../outside",
          fs::absolute(kOutside).string(),
          "",
          ".",
          "..",
          "x/../../../outside",
          ".hidden",
          "a/b",
          "a\\b",
          "../outside/thesis.txt",
          "evil \x1b]0;pwned\x07\x1b[2J",
          std::string("zero\0byte", 9),
          "line\nbreak",
          std::string(5000, 'n')};
}

struct Way {
  const char* form;  // of the file: combined, single or arc.json
  Words words;       // of a command that reads sandbox/tasks.json
};

// The ways by which a name in a task file comes in. Files of one task hold it as "name", combined
// ones as a key.
std::vector<Way> ways() {
  const std::string file = (kSandbox / "tasks.json").string();
  const Words farm =
      Words{"arc", "farm", "--from", file, "--out", kOut.string(), "--budget", "0.1s"} +
      Words{"--variants", "2", "--pool", "2", "--jobs", "1"} + tiny_model();
  return {
      {"combined", farm},
      {"single", farm},
      {"single",
       {"adapt", "--run", "ra", "--puzzle", file, "--budget", "0.1s", "--variants", "2", "--pool",
        "2", "--out", (kOut / "adapted").string()}},
      {"combined",
       {"data", "arc", "--from", file, "--canvas", "auto", "--variants", "2", "--out",
        (kOut / "made").string()}},
      {"combined", {"audit", file}},
      {"arc.json", {"data", "show", kSandbox.string()}},
  };
}

void write_tasks(const std::string& form, const std::string& name) {
  Json task = Json::parse(read_file("arc/evaluation/e1.json"));
  Json file;
  if (form == "combined") {
    file[name] = task;
  } else if (form == "single") {
    file = task;
    file["name"] = name;
  } else {
    file = Json::parse(read_file("da/arc.json"));
    file["tasks"][0]["id"] = name;
    write_file(kSandbox / "arc.json", file.dump());
    return;
  }
  write_file(kSandbox / "tasks.json", file.dump());
}

void use_name(Torture& torture, const std::string& name, const Way& way) {
  make_sandbox();
  write_tasks(way.form, name);
  const auto before = fixed_part(kOut);
  const Result result = run(way.words);
  const std::string where = " (the task " + Json(name).dump() + ", " + joined(way.words) + ")";
  const std::string changed = first_change(before, fixed_part(kOut));
  torture.ledger.record("hostile task names: nothing outside changes",
                        changed.empty() ? "" : changed + where);
  std::string why = misbehaviour(result);
  if (why.empty() && result.succeeded()) why = "was accepted";
  torture.ledger.record("hostile task names: refused with a clear line",
                        why.empty() ? "" : why + where);
}

// Experiments whose words or names lead to other places than --out. The experiment's file has them
// in the place that `path` points to.
struct Lure {
  const char* path;
  std::string value;
};

std::vector<Lure> lures() {
  const std::string sudoku = "sudoku --side 4 --count 200 --test 20";
  const std::string outside = fs::absolute(kOutside).string();
  const std::string thesis = fs::absolute(kOutside / "thesis.txt").string();
  return {
      {"/data/s", "maze --size 5 --min-path 3 --count 10 --test 2 --csv " + thesis},
      {"/data/s", sudoku + " --out " + outside},
      {"/data/s", sudoku + " --replace --out=" + outside},
      {"/data/s", sudoku + "; touch " + outside + "/new"},
      {"/train", "--preset sudoku4 --run " + outside},
      {"/train", "--preset sudoku4 --run=" + outside + "/new"},
      {"/evaluate/q/run", "export . --out " + thesis},
      {"/evaluate/roll", "eval --data " + outside + " --out " + thesis},
      {"/title", "../../../outside"},
      {"/vary/0/name", "../../../outside"},
  };
}

void follow_lure(Torture& torture, const Lure& lure) {
  make_sandbox();
  Json experiment = Json::parse(read_file("lab.json"));
  experiment[Json::json_pointer(lure.path)] = lure.value;
  const Path file = kSandbox / "experiment.json";
  write_file(file, experiment.dump());
  const auto before = fixed_part(kOut);
  const Result result = run({"lab", "run", file.string(), "--out", kOut.string(), "--jobs", "1"});
  const std::string where = std::string(" (") + lure.path + ": " + lure.value + ")";
  const std::string changed = first_change(before, fixed_part(kOut));
  torture.ledger.record("hostile experiments: nothing outside changes",
                        changed.empty() ? "" : changed + where);
  const std::string why = misbehaviour(result);
  torture.ledger.record("hostile experiments: an answer or a clear line",
                        why.empty() ? "" : why + where);
}

// A name in a run folder that becomes a link to something outside.
struct Link {
  const char* name;
  const char* target;  // in sandbox/outside
  bool copied;         // whether the target is a copy of what the name was
};

constexpr Link kLinks[] = {
    {"metrics.jsonl", "thesis.txt", false},
    {"metrics.jsonl", "metrics.jsonl", true},
    {"metrics.jsonl", "not_there", false},
    {"config.json", "config.json", true},
    {"config.json.tmp", "thesis.txt", false},
    {"evaluation.json", "evaluation.json", true},
    {"evaluation.json.tmp", "thesis.txt", false},
    {"report.html", "thesis.txt", false},
    {"report.html.tmp", "thesis.txt", false},
    {"report.html.tmp", "not_there", false},
    {"lock", "thesis.txt", false},
    {"lock", "not_there", false},
    {"best", "best", true},
    {"best", "step_00000001", false},
    {"best.tmp", "step_00000001", false},
    {"best/model.safetensors", "model.safetensors", true},
    {"checkpoints", "checkpoints", true},
    {"checkpoints", "not_there", false},
    {"checkpoints", "step_00000001", false},
    {"checkpoints/step_00000001", "step_00000001", false},
    {"checkpoints/step_00000040", "step_00000040", true},
    {"checkpoints/step_00000060", "step_00000001", false},
    {"checkpoints/step_00000060.tmp", "step_00000001", false},
};

void make_link(const Path& run, const Link& link) {
  const Path place = run / link.name;
  const Path target = kOutside / link.target;
  if (link.copied) {
    fs::remove_all(target);
    fs::copy(place, target, fs::copy_options::recursive);
  }
  fs::remove_all(place);
  fs::create_symlink(fs::absolute(target), place);
}

void follow_link(Torture& torture, const Link& link, const Words& words) {
  make_sandbox();
  const Path folder = kSandbox / "run";
  copy_folder("at40", folder);
  make_link(folder, link);
  const auto before = contents(kOutside);
  const Result result = run(words);
  const std::string where =
      std::string(link.name) + " -> " + link.target + ": " + joined(words) + ": ";
  const std::string changed = first_change(before, contents(kOutside));
  torture.ledger.record("links in a run folder: nothing outside changes",
                        changed.empty() ? "" : changed + where);
  const std::string why = misbehaviour(result);
  torture.ledger.record("links in a run folder: an answer or a clear line",
                        why.empty() ? "" : why + where);
}

}  // namespace

void use_hostile_names(Torture& torture) {
  const std::vector<std::string> names = hostile_names();
  const std::vector<Way> all_ways = ways();
  for (size_t i = 0; i < names.size(); ++i) {
    for (size_t way = 0; way < all_ways.size(); ++way)
      if (!torture.brief || way == i % all_ways.size()) use_name(torture, names[i], all_ways[way]);
  }
  const std::vector<Lure> all_lures = lures();
  for (size_t i = 0; i < all_lures.size(); ++i)
    if (!torture.brief || i % 4 == 0) follow_lure(torture, all_lures[i]);
}

void follow_links(Torture& torture) {
  const std::string folder = (kSandbox / "run").string();
  const Words commands[] = {{"train", "--run", folder, "--resume", "--threads", "1"},
                            {"report", folder},
                            {"eval", "--run", folder, "--max", "1"}};
  for (const Link& link : kLinks) {
    for (const Words& words : commands)
      if (!torture.brief || words[0] == "train") follow_link(torture, link, words);
  }
}

}  // namespace hrm::torture
