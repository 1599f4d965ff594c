// hrm playground: a page in which a model is watched, changed and trained.
#include <fcntl.h>
#include <spawn.h>
#include <unistd.h>

#include <cstdlib>

#include "hrm/c_api.h"
#include "hrm/cli/commands.h"
#include "hrm/cli/print.h"
#include "hrm/support/local_server.h"
#include "hrm/support/progress.h"
#include "hrm/support/stop_signals.h"
#include "hrm/support/text.h"
#include "hrm/view/playground_page.h"

namespace hrm {
namespace {

struct PlaygroundSettings {
  std::string run, checkpoint, out, page;
  int port = 0;
  bool no_browser = false;
};

// Base64 makes 4/3 of them, and browsers take texts of some hundred megabytes.
constexpr size_t kMostBytes = size_t{256} << 20;
constexpr int64_t kMostUpdates = 64;  // of a segment, as examples/playground/worker.js has it
constexpr int64_t kMostPuzzles = 12;

// Some puzzles that the run has not seen, if its data set is still there and has such.
std::vector<std::string> puzzles_of(LoadedRun& run) {
  std::vector<std::string> puzzles;
  try {
    const PuzzleDataset data = open_data(run, {}, "test", view_of(run.config));
    for (int64_t i = 0; i < std::min(data.num_examples(), kMostPuzzles); ++i)
      puzzles.push_back(run.task->text(data.read(i).inputs));
  } catch (const Error&) {
    puzzles.clear();  // the page has some of its own
  }
  return puzzles;
}

PlaygroundModel model_of(const PlaygroundSettings& s) {
  LoadedRun run = load_run(s.run, s.checkpoint);
  HRM_CHECK(run.task->kind() == "sudoku", "[playground] the page shows Sudoku only, and ", s.run,
            " is of ", run.task->kind(), ". HINT: hrm report shows every kind");
  PlaygroundModel model;
  model.label = printable(s.run);
  model.puzzles = puzzles_of(run);
  model.weights = safetensors_bytes(run.model->state_dict(kOfficialPrefix),
                                    model_metadata(run.config, *run.task, run.step));
  HRM_CHECK(model.weights.size() <= kMostBytes, "[playground] the weights of ", s.run, " take ",
            model.weights.size() >> 20, " MiB, and a page at most ", kMostBytes >> 20,
            ". HINT: hrm solve and hrm report show large models");
  // What the page would refuse.
  hrm_model* parsed = hrm_model_parse(model.weights.data(), model.weights.size(), nullptr);
  HRM_CHECK(parsed, hrm_error());
  const std::string updates = hrm_model_updates(parsed);
  hrm_model_free(parsed);
  HRM_CHECK(std::ssize(updates) <= kMostUpdates, "[playground] a segment of ", s.run, " has ",
            updates.size(), " updates, and the page shows at most ", kMostUpdates,
            ". HINT: hrm solve");
  return model;
}

// Opens the address in the user's browser, where there is a screen for it.
void open_browser(const std::string& address) {
  if (!std::getenv("DISPLAY") && !std::getenv("WAYLAND_DISPLAY")) return;
  posix_spawn_file_actions_t quiet;
  posix_spawn_file_actions_init(&quiet);
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    posix_spawn_file_actions_addopen(&quiet, stream, "/dev/null", O_RDWR, 0);
  std::string program = "xdg-open", argument = address;
  char* words[] = {program.data(), argument.data(), nullptr};
  // In a session of its own: Ctrl-C ends this program, not the browser.
  posix_spawnattr_t apart;
  posix_spawnattr_init(&apart);
  posix_spawnattr_setflags(&apart, POSIX_SPAWN_SETSID);
  pid_t child;
  posix_spawnp(&child, program.c_str(), &quiet, &apart, words, environ);
  posix_spawnattr_destroy(&apart);
  posix_spawn_file_actions_destroy(&quiet);
}

void run_playground(const PlaygroundSettings& s) {
  const Path file = s.page.empty() ? find_playground() : Path(s.page);
  std::string page = read_file(file);
  if (!s.run.empty()) page = with_model(page, file.string(), model_of(s));
  if (!s.out.empty()) {
    write_output(s.out, page);
    print(text_beside(s.out), "{}: {:.1f} MB; it needs no server and no network\n", s.out,
          static_cast<double>(page.size()) / 1e6);
    return;
  }
  const LocalServer server(s.port);
  const StopSignals signals;
  print("The page is at {} until Ctrl-C.\n", server.address());
  std::fflush(stdout);
  if (!s.no_browser) open_browser(server.address());
  server.serve(page, [] { return StopSignals::count() > 0; });
}

}  // namespace

void add_playground_command(Command app) {
  const Command command =
      app.command("playground",
                  "A page in which a model is watched, changed and trained: open it, or write it.");
  auto s = std::make_shared<PlaygroundSettings>();
  const Option run = command.text(
      "--run", s->run,
      "A run of Sudoku, or a file that `hrm export` wrote, to begin with (default: the "
      "models of the page).");
  command.text("--checkpoint", s->checkpoint, kCheckpointHelp).needs(run);
  const Option out =
      command.text("--out", s->out, "Write the page to this file, one for all, instead.");
  command
      .whole_number("--port", s->port, 0, 65535,
                    "The port of this machine where the page is (default: any free one).")
      .excludes(out);
  command.flag("--no-browser", s->no_browser, "Do not open the browser, only say the address.")
      .excludes(out);
  command.text("--page", s->page, "Another page than that of `make playground` or `make install`.");
  command.footer(
      "Only this machine sees the page. From another one: ssh -L 8080:127.0.0.1:8080 HOST hrm "
      "playground --port 8080");
  command.action([s] { run_playground(*s); });
}

}  // namespace hrm
