#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <new>

#include "hrm/cli/commands.h"

// OpenMP threads spin at barriers, by default for so long that two programs on the same cores bring
// each other almost to a halt (measured: 7 samples/s instead of 100). A short spin costs 2 % alone.
// The runtime reads the limit before main, so the program starts itself once more with it.
static void limit_spinning(char** argv) {
  if (std::getenv("GOMP_SPINCOUNT") || std::getenv("OMP_WAIT_POLICY")) return;
  ::setenv("GOMP_SPINCOUNT", "10000", 1);
  std::error_code none;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", none);
  ::execv(self.c_str(), argv);  // returns only on failure; then we go on as we are
}

int main(int argc, char** argv) {
  using namespace hrm;
  limit_spinning(argv);
  set_command_line(argc, argv);
  CLI::App app(
      "hrm: trains and runs Hierarchical Reasoning Models, from scratch, on your CPU or GPU.\n"
      "\n"
      "  hrm demo                          train a 4x4 Sudoku model in minutes and watch it think\n"
      "  hrm data sudoku --out DIR         make a data set\n"
      "  hrm train --preset P --data DIR   train on it\n"
      "  hrm solve PUZZLE --run RUN        solve one puzzle, segment by segment\n"
      "  hrm arc predict --run RUN         vote on ARC tasks, write submission.json\n"
      "  hrm lab figure 4                  an experiment: models, table, page with charts\n",
      "hrm");
  app.set_version_flag("--version", std::string("hrm ") + kVersion);
  app.require_subcommand(1);
  app.footer("`hrm COMMAND --help` explains a command. Presets: `hrm info`.");
  app.get_formatter()->column_width(34);
  add_demo_command(app);
  add_train_command(app);
  add_eval_command(app);
  add_solve_command(app);
  add_report_command(app);
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
  try {
    app.parse(argc, argv);
    return 0;
  } catch (const CLI::Success& request) {  // --help, --version
    return app.exit(request);
  } catch (const CLI::RuntimeError& error) {  // a command's own exit status
    return error.get_exit_code();
  } catch (const CLI::ParseError& error) {
    std::fprintf(stderr, "hrm: %s. HINT: hrm %s--help\n", error.what(),
                 argc > 1 && argv[1][0] != '-' ? (std::string(argv[1]) + " ").c_str() : "");
    return 2;
  } catch (const Error& error) {
    std::fprintf(stderr, "hrm: %s\n", error.what());
  } catch (const std::bad_alloc&) {
    std::fprintf(stderr, "hrm: out of memory. HINT: use a smaller batch\n");
  } catch (const std::exception& error) {
    std::fprintf(stderr, "hrm: %s\n", error.what());
  }
  return 1;
}
