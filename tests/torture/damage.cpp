// Damaged files of every kind that the program reads. None may crash it, stall it or bring out
// anything but one clear line; a damaged checkpoint may never change a training.
#include "tests/torture/mutate.h"
#include "tests/torture/stage.h"

namespace hrm::torture {
namespace fs = std::filesystem;
namespace {

// What must happen beside good behaviour.
enum class Promise {
  none,      // an answer or an error
  refused,   // an error: the file is covered by a checksum
  training,  // the training is refused or ends as if nothing had been damaged
  older,     // the training goes on from the checkpoint before and ends in the same way
};

struct Kind {
  const char* name;
  const char* original;  // a folder, or the damaged file itself
  const char* file;      // in the folder; "" if `original` is a file
  Format format;
  int64_t count;                // files in the long form
  std::vector<Words> commands;  // "@" in a word stands for the copy of `original`
  Promise promise = Promise::none;
};

constexpr const char* kState = "checkpoints/step_00000040/state.json";
constexpr const char* kModel = "checkpoints/step_00000040/model.safetensors";
constexpr const char* kMoments = "checkpoints/step_00000040/training.safetensors";

std::vector<Kind> kinds_of_runs() {
  const std::vector<Words> resume = {{"train", "--run", "@", "--resume", "--threads", "1"}};
  const std::vector<Words> eval = {{"eval", "--run", "@", "--max", "2", "--threads", "1"}};
  const std::vector<Words> views = {{"report", "@"}, {"info", "@"}};
  return {
      {"state.json", "at40", kState, Format::json, 160, resume, Promise::training},
      {"state.json, an older one is there", "at40", kState, Format::json, 120, resume,
       Promise::older},
      {"model.safetensors", "at40", kModel, Format::bytes, 120, resume, Promise::training},
      {"model.safetensors, an older one is there", "at40", kModel, Format::bytes, 60, resume,
       Promise::older},
      {"training.safetensors", "at40", kMoments, Format::bytes, 120, resume, Promise::training},
      {"training.safetensors, an older one is there", "at40", kMoments, Format::bytes, 60, resume,
       Promise::older},
      {"best/model.safetensors", "base", "best/model.safetensors", Format::bytes, 120, eval,
       Promise::refused},
      {"config.json", "base", "config.json", Format::json, 300, {eval[0], views[0], views[1]}},
      {"evaluation.json", "base", "evaluation.json", Format::json, 300, views},
      {"metrics.jsonl",
       "base",
       "metrics.jsonl",
       Format::json_lines,
       240,
       {{"report", "@"},
        {"compare", "@", "--out", "compared.html"},
        {"metrics", "@", "--tensorboard", "board", "--csv", "metrics.csv"}}},
  };
}

std::vector<Kind> kinds_of_data() {
  const std::vector<Words> sudoku = {{"data", "show", "@", "--count", "2"},
                                     {"eval", "--run", "base", "--data", "@", "--max", "2"}};
  const std::vector<Words> arc = {{"data", "show", "@", "--count", "3"}, {"audit", "@"}};
  const std::vector<Words> official = {
      {"audit", "@"},
      {"arc", "predict", "--run", "ro", "--data", "@", "--out", "predicted", "--threads", "1"}};
  return {
      {"dataset.json", "d4", "test/dataset.json", Format::json, 240, sudoku},
      {"task.json", "d4", "task.json", Format::json, 200, sudoku},
      {"inputs.npy", "d4", "test/all__inputs.npy", Format::bytes, 200, sudoku},
      {"arc.json", "da", "arc.json", Format::json, 300, arc},
      {"identifiers.json", "do", "identifiers.json", Format::json, 120, official},
      {"official inputs.npy", "do", "test/all__inputs.npy", Format::bytes, 80, official},
      {"official puzzle_identifiers.npy", "do", "test/all__puzzle_identifiers.npy", Format::bytes,
       80, official},
  };
}

std::vector<Kind> kinds_of_files() {
  return {
      {"submission.json",
       "ra/predictions/submission.json",
       "",
       Format::json,
       240,
       {{"arc", "score", "@", "--from", "arc"}}},
      {"task file",
       "arc/evaluation/e1.json",
       "",
       Format::json,
       260,
       {{"data", "arc", "--from", "@", "--canvas", "auto", "--variants", "2", "--out", "made",
         "--replace"},
        {"audit", "@"}}},
      {"experiment",
       "lab.json",
       "",
       Format::json,
       240,
       {{"lab", "run", "@", "--only", "no=such", "--out", "lab"}}},
      {"import file",
       "w.safetensors",
       "",
       Format::bytes,
       200,
       {Words{"import", "@", "--run", "imported", "--preset", "sudoku4", "--data", "d4"} +
        tiny_model()}},
  };
}

Words with_name(Words words, const std::string& name) {
  for (std::string& word : words)
    if (word == "@") word = name;
  return words;
}

// What one case works on.
struct Case {
  Path copy;     // of the kind's original
  Path damaged;  // the damaged file once more, which no command changes
};

Case prepare(const Kind& kind, int64_t index, Random& random) {
  const Path original = kind.original;
  const bool folder = fs::is_directory(original);
  const Path copy = folder ? Path("case") : Path("case-" + original.filename().string());
  if (folder) copy_folder(original, copy);
  const std::string whole = read_file(folder ? original / kind.file : original);
  const bool deep = index == 0 && kind.format != Format::bytes;
  const std::string changed = deep ? deep_json() : damaged(whole, kind.format, random);
  const Path file = folder ? copy / kind.file : copy;
  const Path again = "damaged-" + file.filename().string();
  write_file(file, changed);
  write_file(again, changed);
  if (kind.promise == Promise::training) fs::remove_all(checkpoint_of(copy, 20));
  return {copy, again};
}

std::string broken_promise(Promise promise, const Result& result, const Path& run,
                           const Outcome& expected) {
  switch (promise) {
    case Promise::none:
      return "";
    case Promise::refused:
      return result.succeeded() ? "was accepted" : "";
    case Promise::older:
      if (!result.succeeded())
        return "was refused, though an older one is there: " + result.describe();
      return difference(expected, outcome_of(run, kSavedTraining.steps));
    case Promise::training:
      if (!result.succeeded()) return "";
      return difference(expected, outcome_of(run, kSavedTraining.steps));
  }
  return "";
}

void damage_once(Torture& torture, const Kind& kind, int64_t index, const Outcome& expected) {
  Random random = torture.random(std::string(kind.name) + " " + std::to_string(index));
  const Case files = prepare(kind, index, random);
  std::string why;
  for (const Words& words : kind.commands) {
    const Words command = with_name(words, files.copy.string());
    const Result result = run(command);
    torture.ledger.count("runs of the program on damaged files");
    torture.ledger.count(result.succeeded() ? "  accepted" : "  refused");
    why = misbehaviour(result);
    if (why.empty()) why = broken_promise(kind.promise, result, files.copy, expected);
    if (why.empty()) continue;
    why += " (case " + std::to_string(index) + ", " + joined(command) + ")";
    break;
  }
  torture.ledger.record("damaged: " + std::string(kind.name), why, files.damaged);
  fs::remove_all("imported");
}

}  // namespace

void damage_files(Torture& torture) {
  const Outcome expected = outcome_of("base", kSavedTraining.steps);
  int64_t files = 0;
  for (const auto& kinds : {kinds_of_runs(), kinds_of_data(), kinds_of_files()}) {
    for (const Kind& kind : kinds) {
      const int64_t count = torture.cases(kind.count, 5);
      for (int64_t index = 0; index < count; ++index) damage_once(torture, kind, index, expected);
      files += count;
      say("  " + std::to_string(files) + " files, the last " + kind.name);
    }
  }
  torture.ledger.count("damaged files", files);
}

}  // namespace hrm::torture
