#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <new>

#include <nlohmann/json.hpp>

#include "hrm/cli/commands.h"
#include "hrm/cli/print.h"
#include "hrm/cli/program.h"
#include "hrm/presets.h"
#include "hrm/support/text.h"
#include "nn/distributed/job.h"
#include "tensor/mapped_files.h"

namespace hrm {
namespace {

// OpenMP threads spin at barriers, by default for so long that two programs on the same cores bring
// each other almost to a halt (measured: 7 samples/s instead of 100). A short spin costs 2 % alone.
// The runtime reads the limit before main, so the program starts itself once more with it.
void limit_spinning(char** argv) {
  if (std::getenv("GOMP_SPINCOUNT") || std::getenv("OMP_WAIT_POLICY")) return;
  ::setenv("GOMP_SPINCOUNT", "10000", 1);
  std::error_code none;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", none);
  ::execv(self.c_str(), argv);  // returns only on failure; then we go on as we are
}

void add_commands(Command app) {
  add_demo_command(app);
  add_train_command(app);
  add_eval_command(app);
  add_solve_command(app);
  add_report_command(app);
  add_playground_command(app);
  add_compare_command(app);
  add_metrics_command(app);
  add_data_command(app);
  add_arc_command(app);
  add_adapt_command(app);
  add_audit_command(app);
  add_lab_command(app);
  add_info_command(app);
  add_import_command(app);
  add_export_command(app);
}

// Documents that the program writes about itself.
void add_document_commands(const Program& program) {
  const auto shell = std::make_shared<std::string>("bash");
  const Command completion = program.root().command(
      "completion", "Print a script with which a shell completes the words of a command line.");
  completion.choice("shell", *shell, {"bash", "zsh", "fish"}, "The shell (default: bash).");
  completion.footer(
      "Use it in this shell: eval \"$(hrm completion)\" in bash, eval \"$(hrm completion zsh)\" in "
      "zsh, hrm completion fish | source in fish. `make install` installs all three.");
  completion.action([&program, shell] {
    std::vector<std::string> names;
    for (const PresetInfo& p : presets()) names.push_back(p.name);
    print("{}", program.completion(*shell, {{"--preset", names}}));
  });
  const Command manual = program.root().command("manual", "Print the manual page.");
  manual.footer("Read it: hrm manual | man -l -");
  manual.action([&program] { print("{}", program.manual_page()); });
}

// The words of the command line. `hrm help train` is `hrm train --help`, and `hrm` alone `hrm
// --help`.
std::vector<std::string> words_of(int argc, char** argv) {
  std::vector<std::string> words(argv + 1, argv + argc);
  const bool help = words.empty() || words[0] == "help";
  if (!words.empty() && help) words.erase(words.begin());
  if (help) words.push_back("--help");
  return words;
}

// Several processes that do the same side by side, without knowing of each other, are a mistake.
void check_processes(const std::vector<std::string>& words) {
  const std::string command = words.front();
  const std::vector<std::string> together = {"train",    "eval",       "arc predict",
                                             "arc farm", "lab figure", "lab run"};
  const bool known = std::ranges::any_of(together, [&](const std::string& name) {
    return name == command || (words.size() > 1 && name == command + " " + words[1]);
  });
  HRM_CHECK(launched_processes() == 1 || known || command.starts_with("-"), "[", command,
            "] is for one process, and the launcher has started ", launched_processes(),
            ". HINT: mpirun, srun and torchrun are for hrm ", alternatives(together),
            " (in a shell that srun started: unset SLURM_STEP_NUM_TASKS)");
}

// Runs the command and returns the exit status; every error is one line on stderr.
int run(Program& program, int argc, char** argv) {
  std::string message;
  try {
    const std::vector<std::string> words = words_of(argc, argv);
    check_processes(words);
    program.run(words);
    return 0;
  } catch (const ExitStatus& exit) {
    return exit.status;
  } catch (const UsageError& error) {
    print(stderr, "hrm: {}\n", one_line(error.what()));
    return kExitUsage;
  } catch (const Error& error) {
    message = error.what();
  } catch (const std::bad_alloc&) {
    message = "[allocate] out of memory. HINT: use a smaller batch";
  } catch (const std::filesystem::filesystem_error& error) {
    message = "[file] cannot use " + error.path1().string() + ": " + error.code().message();
  } catch (const nlohmann::json::exception&) {
    message = "[json] a file that was read holds a value of the wrong type. HINT: is it damaged?";
  } catch (const std::exception& error) {
    message = std::string("[hrm] internal error: ") + error.what();
  }
  print(stderr, "hrm: {}\n", one_line(message));
  return kExitError;
}

// What was printed may still lie in a buffer. False, with a line on stderr, if it cannot be
// written.
bool flush_output() {
  std::cout.flush();
  if (std::fflush(stdout) == 0 && !std::ferror(stdout) && std::cout.good()) return true;
  // An earlier write may have failed: another one tells the reason.
  errno = 0;
  std::fputc('\n', stdout);
  std::fflush(stdout);
  print(stderr, "hrm: [write] cannot write to standard output: {}\n",
        errno ? std::strerror(errno) : "a part of it is lost");
  return false;
}

}  // namespace
}  // namespace hrm

int main(int argc, char** argv) {
  using namespace hrm;
  limit_spinning(argv);
  set_command_line(argc, argv);
  explain_truncated_files(kExitError);
  Program program(
      "hrm: trains and runs Hierarchical Reasoning Models, from scratch, on your CPU or GPU.\n"
      "\n"
      "  hrm demo                          train a 4x4 Sudoku model in minutes and watch it think\n"
      "  hrm data sudoku --out DIR         make a data set\n"
      "  hrm train --preset P --data DIR   train on it\n"
      "  hrm solve PUZZLE --run RUN        solve one puzzle, segment by segment\n"
      "  hrm arc predict --run RUN         vote on ARC tasks, write submission.json\n"
      "  hrm lab figure 4                  an experiment: models, table, page with charts\n",
      std::string("hrm ") + kVersion,
      "`hrm help COMMAND` explains a command. Presets: `hrm info`.\n"
      "Exit status: 0 done; 1 the answer is no (solve: not solved; audit: something is shared);\n"
      "2 an error; 3 a command line that makes no sense; 130 or 143 stopped by a signal.");
  add_commands(program.root());
  add_document_commands(program);
  const int status = run(program, argc, argv);
  if (flush_output()) return status;
  return status == 0 || status == kExitNo ? kExitError : status;
}
