#include <omp.h>

#include "hrm/cli/commands.h"
#include "hrm/progress.h"
#include "kernels/cuda/gemm.h"
#include "kernels/cuda/runtime.h"
namespace hrm {
namespace fs = std::filesystem;
namespace {
std::string command_line;
}  // namespace

void set_command_line(int argc, char** argv) {
  for (int i = 0; i < argc; ++i) {
    const std::string word = i == 0 ? "hrm" : argv[i];
    const bool plain = word.find_first_of(" '\"$&|;<>*?()") == std::string::npos;
    command_line += (i ? " " : "") + (plain ? word : "'" + word + "'");
  }
}

void CommonOptions::add(CLI::App& command) {
  command.add_option("--threads", threads, "CPU threads (default: all cores)");
  command.add_option("--device", device_name, "cpu (default) or cuda")
      ->check(CLI::IsMember({"cpu", "cuda"}));
  command.add_flag("--tf32", tf32, "on a GPU: f32 products on the tensor cores, 10-bit operands");
}

void CommonOptions::apply() const {
  CHECK(threads >= 0 && threads <= 1024, "[threads] must be in 1..1024, got ", threads);
  if (threads > 0) omp_set_num_threads(threads);
  if (device() == Device::cpu) return;
  if constexpr (kBuiltWithCuda) {
    cuda::require_device();
    cuda::set_tf32(tf32);
  } else
    detail::fail("[device] this build has no CUDA backend. HINT: rebuild with `make CUDA=1`");
}

LoadedRun load_run(const Path& run, const std::string& which, Device device) {
  LoadedRun loaded;
  loaded.config = read_config(run);
  const std::vector<Path> steps = list_checkpoints(run);
  if (which.empty() || which == "best") {
    loaded.weights = run / "best";
    if (!fs::exists(loaded.weights)) {
      CHECK(which.empty(), "[run] ", run.string(),
            " has no best checkpoint yet. HINT: --checkpoint "
            "last");
      loaded.weights.clear();
    }
  }
  if (which == "last" || (which.empty() && loaded.weights.empty())) {
    CHECK(!steps.empty(), "[run] ", run.string(), " has no checkpoint. HINT: train it first");
    loaded.weights = steps.back();
  } else if (loaded.weights.empty()) {
    loaded.weights = which;
    CHECK(fs::is_directory(loaded.weights), "[run] ", which,
          " is no checkpoint. HINT: --checkpoint best, last or a folder under ", run.string(),
          "/checkpoints");
  }
  const Checkpoint checkpoint = read_checkpoint(loaded.weights, true);
  loaded.model = std::make_unique<Model>(loaded.config.model, nullptr, device);
  loaded.model->load_state_dict(checkpoint.model, kOfficialPrefix);
  loaded.step = checkpoint.state.value("step", int64_t{0});
  return loaded;
}

PuzzleDataset open_data(const LoadedRun& run, const std::string& data, const std::string& split) {
  const std::string folder = data.empty() ? run.config.data : data;
  CHECK(!folder.empty(), "[data] the run names no data set. HINT: --data DIR");
  PuzzleDataset dataset(folder, split);
  check_dataset_fits(run.config.model, dataset);
  return dataset;
}

void adopt_data(Config& config, const PuzzleDataset& data) {
  config.model.seq_len = data.info().seq_len;
  config.model.vocab_size = data.info().vocab_size;
  config.model.num_puzzle_identifiers = data.info().num_puzzle_identifiers;
}

void write_run_config(const Path& run, const Config& config, const TaskInfo& task) {
  std::error_code error;
  fs::create_directories(run, error);
  CHECK(!error, "[run] cannot create ", run.string(), ": ", error.message());
  Json json = config.to_json();
  json["task"] = {{"task", task.task},
                  {"side", task.side},
                  {"box_rows", task.box_rows},
                  {"box_cols", task.box_cols}};
  json["command"] = command_line;
  json["version"] = kVersion;
  write_file_atomically(run / "config.json", json.dump(2) + "\n");
}

std::string describe(const EvalResult& r) {
  char text[200];
  std::snprintf(text, sizeof text,
                "%s puzzles: %.1f %% solved exactly, %.2f %% of tokens right, %.2f segments each, "
                "%s",
                format_count(r.count).c_str(), 100 * r.exact_accuracy, 100 * r.accuracy,
                r.mean_steps, format_duration(r.seconds).c_str());
  return text;
}

}  // namespace hrm
