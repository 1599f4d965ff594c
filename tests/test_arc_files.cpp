// Files of ARC tasks: every form that is read, and what is wrong with its place.
#include <nlohmann/json.hpp>

#include "hrm/support/text.h"
#include "hrm/tasks/arc_files.h"
#include "tests/support/arc.h"
#include "tests/support/limits.h"
#include "tests/support/support.h"

using namespace hrm;
using namespace hrm::test;
namespace fs = std::filesystem;

namespace {

// One test of task files; `dir` holds the tasks of `data` in the folder set.
struct TaskFiles {
  const ArcData data = small_arc_data();
  const TempDir dir;

  TaskFiles() { write_arc_tasks(dir / "set", data); }

  // A file with this text is refused with this message.
  void refuses(const std::string& text, const std::string& message) const {
    write_text(dir / "bad/x.json", text);
    expect_error([&] { load_all_arc({dir / "bad"}); }, message);
  }
  // A task whose first input is `grid`, and one that has a name.
  static std::string with(const std::string& grid) {
    return R"({"train": [{"input": )" + grid +
           R"(, "output": [[1]]}], "test": [{"input": [[1]]}]})";
  }
  static std::string named(const std::string& name) {
    return with("[[1]]").insert(1, "\"name\": " + Json(name).dump() + ", ");
  }

  void read_a_folder() const;
  void read_combined_files() const;
  void read_one_name_twice() const;
  void refuse_what_is_no_task() const;
  void refuse_grids() const;
  void refuse_names() const;
  void refuse_solutions() const;
  void refuse_folders() const;
};

void TaskFiles::read_a_folder() const {
  int64_t repeated = 0;
  const auto loaded = load_arc({dir / "set"}, &repeated);
  REQUIRE(loaded.size() == 3);
  CHECK(loaded[0].id == "bbbb");  // evaluation comes first by name
  CHECK(loaded[0].evaluated);
  CHECK(loaded[2].train == data.tasks[0].train);
  CHECK(repeated == 0);
}

// Kaggle's combined files, with the answers beside them.
void TaskFiles::read_combined_files() const {
  Json challenge = Json::parse(arc_task_text(data.tasks[1]));
  const Json answers = {challenge["test"][0]["output"], challenge["test"][1]["output"]};
  for (Json& t : challenge["test"]) t.erase("output");
  write_text(dir / "k/arc_evaluation_challenges.json", Json({{"bbbb", challenge}}).dump());
  CHECK(load_all_arc({dir / "k"})[0].test[0].output.empty());
  write_text(dir / "k/arc_evaluation_solutions.json", Json({{"bbbb", answers}}).dump());
  write_text(dir / "k/sample_submission.json", "{}");
  const auto combined = load_all_arc({dir / "k"});
  REQUIRE(combined.size() == 1);
  CHECK(combined[0].evaluated);
  CHECK(combined[0].test == data.tasks[1].test);
}

// One name in two sets: evaluation wins, whatever the order.
void TaskFiles::read_one_name_twice() const {
  int64_t repeated = 0;
  const std::string task = arc_task_text(data.tasks[1]);
  write_text(dir / "old/training/bbbb.json", task);
  const auto both = load_arc({dir / "old", dir / "set"}, &repeated);
  CHECK(repeated == 1);
  CHECK(both.size() == 3);
  CHECK(std::count_if(both.begin(), both.end(), [](const auto& t) { return t.evaluated; }) == 2);
  write_text(dir / "set/training/sub/cccc.json", task);
  expect_error([&] { load_all_arc({dir / "set"}); }, "two tasks are named cccc");
}

void TaskFiles::refuse_what_is_no_task() const {
  refuses("", "x.json is not valid JSON");
  refuses("{\"train\": [", "x.json is not valid JSON");
  refuses("[]", "must be an object with \"train\" and \"test\"");
  refuses("{}", "must be an object with \"train\" and \"test\"");
  refuses(R"({"train": [], "test": []})", "at least one pair");
  refuses(R"({"train": [{"input": [[1]]}], "test": [{"input": [[1]]}]})",
          "train[0] needs an \"output\"");
  refuses(R"({"train": [{"output": [[1]]}], "test": []})", "x.json: train[0] needs an \"input\"");
  refuses(R"({"train": [3], "test": []})", "x.json: train[0] needs an \"input\"");
  refuses(R"({"train": 3, "test": []})", "x.json: train must be a list of pairs");
  refuses(R"({"a": )" + with("[[1]]") + R"(, "b": {"train": []}})",
          "x.json: b must be an object with \"train\" and \"test\"");
  refuses(std::string(100'000, '[') + std::string(100'000, ']'), "nested more than 64 levels");
}

void TaskFiles::refuse_grids() const {
  refuses(with("[[1, 2], [3]]"), "x.json: train[0].input row 1 has 1 cells, row 0 has 2");
  refuses(with("[[1, 10]]"), "train[0].input row 0 column 1 is 10, a colour is 0..9");
  refuses(with("[[1, -1]]"), "column 1 is -1");
  refuses(with("[[\"a\"]]"), "row 0 column 0 is \"a\"");
  refuses(with("[[1.5]]"), "is 1.5");
  refuses(with("[]"), "must be a list of rows");
  refuses(with("3"), "must be a list of rows");
  Json wide = Json::array({Json::array()});
  for (int i = 0; i < 31; ++i) wide[0].push_back(0);
  refuses(with(wide.dump()), "must be a list of 1 to 30 colours, got 31");
  Json tall = Json::array();
  for (int i = 0; i < 31; ++i) tall.push_back({0});
  refuses(with(tall.dump()), "has 31 rows, at most 30");
}

void TaskFiles::refuse_names() const {
  for (const char* name : {"", ".", "..", "../../victim", "/absolute", "a/b", "a\\b", ".hidden",
                           "a..b", "x\x1b]0;owned", "two\nlines", "\xc2\x9b"}) {
    const std::string shown = printable(name);
    refuses(named(name), "x.json: a task cannot be named '" + shown + "'");
    const Json combined = {{name, Json::parse(with("[[1]]"))}};
    refuses(combined.dump(), "a task cannot be named '" + shown + "'");
    ArcData renamed = data;
    renamed.tasks[0].id = name;
    expect_error([&] { parse_arc_data(Json::parse(arc_data_text(renamed)), "arc.json"); },
                 "arc.json: task 0: a task cannot be named");
  }
  refuses(named(std::string(201, 'x')), "1 to 200 bytes");
  refuses(with("[[1]]").insert(1, "\"name\": 7, "), "x.json: 'name' must be text, got 7");
  write_text(dir / "bad/x.json", named("\u00e9 1"));
  CHECK(load_all_arc({dir / "bad"})[0].id == "\xc3\xa9 1");
  std::vector<ArcTask> tasks = data.tasks;
  expect_error([&] { keep_tasks(tasks, {"bbbc"}); },
               "no task 'bbbc' in the data. HINT: did you mean 'bbbb'?");
}

void TaskFiles::refuse_solutions() const {
  write_text(dir / "solved/y_challenges.json", Json({{"t", Json::parse(with("[[1]]"))}}).dump());
  write_text(dir / "solved/y_solutions.json", R"({"t": "[[1]]"})");
  expect_error([&] { load_all_arc({dir / "solved"}); }, "solution of t must be a list of grids");
  write_text(dir / "solved/y_solutions.json", "[]");
  expect_error([&] { load_all_arc({dir / "solved"}); }, "must be an object with the outputs");
}

void TaskFiles::refuse_folders() const {
  expect_error([&] { load_all_arc({dir / "nothing"}); }, "there is no");
  fs::create_directories(dir / "empty/inside");
  expect_error([&] { load_all_arc({dir / "empty"}); },
               "[arc] " + (dir / "empty").string() + " holds no .json files. HINT: a clone of");
  const auto with_one_more_file = [&] {
    const OneMoreFile limit;
    load_all_arc({dir / "empty"});
  };
  expect_error(with_one_more_file,
               "[arc] cannot look into " + (dir / "empty").string() + ": Too many open files");
}

}  // namespace

TEST_CASE(
    "arc: tasks in files, folders and combined files; what is wrong is named with its place") {
  const TaskFiles files;
  files.read_a_folder();
  files.read_combined_files();
  files.read_one_name_twice();
  files.refuse_what_is_no_task();
  files.refuse_grids();
  files.refuse_names();
  files.refuse_solutions();
  files.refuse_folders();
}
