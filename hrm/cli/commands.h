// The subcommands of the binary. Each add_ function registers one with its options and what it
// does.
#pragma once

#include "hrm/cli/command.h"
#include "hrm/eval/evaluate.h"
#include "hrm/support/version.h"
#include "hrm/train/loaded_run.h"

namespace hrm {

// Exit statuses beside 0, as grep and diff have them. A script can tell an answer that is "no" (not
// solved, something is shared) from an error.
inline constexpr int kExitNo = 1;
inline constexpr int kExitError = 2;
inline constexpr int kExitUsage = 3;

void add_demo_command(Command app);
void add_train_command(Command app);
void add_eval_command(Command app);
void add_solve_command(Command app);
void add_report_command(Command app);
void add_playground_command(Command app);
void add_info_command(Command app);
void add_import_command(Command app);
void add_export_command(Command app);
void add_data_command(Command app);
void add_audit_command(Command app);
void add_arc_command(Command app);
void add_adapt_command(Command app);
void add_lab_command(Command app);
void add_compare_command(Command app);
void add_metrics_command(Command app);

// Of `hrm arc`: farm, and farm-task, which it runs for each task.
void add_farm_commands(Command arc);

// The subcommands of `hrm lab`.
void add_experiment_commands(Command lab);  // figure, run, list
void add_gradients_command(Command lab);    // gradients
// An experiment of the project by its name, with the defaults of `hrm lab figure`.
void run_figure(const std::string& name);

// What help says of options that several commands have.
inline constexpr const char* kCheckpointHelp =
    "Which weights of the run: best (default), last, or a checkpoint folder.";
inline constexpr const char* kDataHelp =
    "The data set folder (default: the one that the run was trained on).";
inline constexpr const char* kSegmentsHelp =
    "The most segments a puzzle gets (default: as in training; more or fewer work, too).";
inline constexpr const char* kHaltHelp =
    "Stop a puzzle early, when the model's rule of halting says so.";
inline constexpr const char* kBatchHelp = "Puzzles that are computed at once.";
inline constexpr const char* kTasksHelp =
    "Files of ARC tasks (- is the standard input), or folders, searched to any depth.";
inline constexpr const char* kSetHelp = "Change any setting; `hrm info` lists them.";
inline constexpr const char* kTrainSeedHelp =
    "The seed of the weights, of the order of examples, of augmentation and exploration, and of "
    "puzzles that are made.";
inline constexpr const char* kDataSeedHelp = "The seed of the puzzles and of the split.";
inline constexpr const char* kReplaceHelp = "Replace the data set that the folder holds.";
inline constexpr const char* kSummaryHelp = "Print the summary as JSON.";
inline constexpr const char* kJsonHelp = "Print JSON.";

// Options that several commands share.
struct CommonOptions {
  int threads = 0;  // 0: what OpenMP finds
  std::string device_name = "cpu";
  bool tf32 = false, tune = false;
  void add(Command command);
  void add_threads(Command command);  // --threads alone
  void apply() const;                 // checks them, sets the number of threads, opens the GPU
  Device device() const { return device_name == "cuda" ? Device::cuda : Device::cpu; }
};

// The conditioning and the tasks of a configuration.
DataView view_of(const Config& config);
// The data set a run was trained on, or `data` if given; checks that it fits the model. If its
// puzzles are others, or in another order, the model's rows are arranged by name; an Error names a
// puzzle of an example that the run does not know.
PuzzleDataset open_data(LoadedRun& run, const std::string& data, const std::string& split,
                        const DataView& view);
// A line on stderr if the data set of a run was found beside it, and not where it was.
void note_moved_data(const Path& run);
void arrange_puzzle_rows(LoadedRun& run, const PuzzleDataset& data);

// Sets seq_len, vocab_size and num_puzzle_identifiers from a data set; a line on stderr says so if
// the preset was made for puzzles of another kind.
void adopt_data(Config& config, const PuzzleDataset& data);
// The items KEY=VALUE of --set, for a command that takes its sizes from a data set: an Error for
// one that the data would overwrite (check_settings says so before any work), or a number of heads
// that does not divide the width.
void check_settings(const std::vector<std::string>& items);
void apply_settings(Config& config, const std::vector<std::string>& items);
// config.json cannot hold a name that is not UTF-8. An Error for one that is read again from there;
// for one that is only shown, a name that can be stored.
void check_name(const Path& folder);
std::string stored_name(const Path& path);
// config.json of a new run folder: the configuration, the command line, the task (Task::to_json),
// and `init`, what the run started from (null: random weights).
// A run that `trains` says when and where, too.
void write_run_config(const Path& run, const Config& config, const Json& task, const Json& init,
                      bool trains = true);
// The same for a run that goes on with other settings, or whose data set lies elsewhere now.
void update_run_config(const Path& run, const Config& config);
// The summary of RUN/evaluation.json; null if there is none.
Json last_evaluation(const Path& run);
// The command line of this process, for config.json and messages.
void set_command_line(int argc, char** argv);
const std::string& command_line();

// A line on stderr if an ARC data set has not so many variants of a task.
void note_pool(int64_t wanted, const PuzzleDataset& data);
// Where a command says what it did: not among the data that it writes to `out`.
std::FILE* text_beside(const Path& out);
void print_json(const Json& json);
// "1,000 puzzles: 96.4 % solved exactly, 99.10 % of tokens right, 2.31 segments each, 1.2 s".
std::string describe(const EvalResult& result);

}  // namespace hrm
