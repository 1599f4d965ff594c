// hrm adapt.
#include <nlohmann/json.hpp>

#include "hrm/cli/arc_fit.h"
#include "hrm/cli/arc_output.h"
#include "hrm/cli/commands.h"
#include "hrm/cli/print.h"
#include "hrm/support/progress.h"
#include "hrm/support/stop_signals.h"
#include "hrm/tasks/arc_files.h"
#include "hrm/view/picture.h"

namespace hrm {
namespace {

struct AdaptSettings {
  std::string run, checkpoint, puzzle, out;
  FitSettings fit;
  bool json = false;
  CommonOptions common;
};

void adapt(const AdaptSettings& s) {
  s.common.apply();
  const StopSignals signals(StopSignals::Second::ends_the_process);
  LoadedRun run = load_run(s.run, s.checkpoint);
  const std::vector<ArcTask> tasks = load_all_arc({s.puzzle});
  HRM_CHECK(tasks.size() == 1, "[adapt] --puzzle must be a file of one task, got ", tasks.size());
  const int side = canvas_of(run.config.model);
  HRM_CHECK(run.config.model.vocab_size == kArcVocab && side * side == run.config.model.seq_len,
            "[adapt] ", s.run, " is no ARC model");
  Config config = run.config;
  config.train.batch_size = std::min<int64_t>(config.train.batch_size, 32);
  config.train.micro_batches = 1;
  config.train.refill = Refill::only_halted;
  const Path out =
      s.out.empty() ? Path("runs") / ("adapt-" + task_folder_name(tasks[0].id)) : Path(s.out);
  const TaskOutcome outcome = fit_task(tasks[0], config, &run, s.fit, out, true);
  write_predictions(out, {outcome});
  if (s.json) {
    Json json = {{"run", out.string()}, {"task", tasks[0].id}};
    json.update(scores_json({outcome}));
    return print_json(json);
  }
  Sheet sheet = task_sheet(tasks[0]);
  for (size_t i = 0; i < outcome.tests.size(); ++i) {
    SheetRow row{"prediction for test " + std::to_string(i + 1), {}};
    for (size_t c = 0; c < std::min<size_t>(2, outcome.tests[i].best.size()); ++c) {
      const Candidate& candidate = outcome.tests[i].best[c];
      row.panels.push_back({std::to_string(candidate.count) + " votes", candidate.grid});
    }
    sheet.push_back(row);
  }
  print("{}", sheet_text(sheet, use_colour(stdout)));
  print_scores({outcome});
  print("run folder {}, with submission.json\n", out.string());
}

}  // namespace

void add_adapt_command(Command app) {
  const Command command =
      app.command("adapt", "Fit a trained ARC model to a new task, and answer it.");
  auto s = std::make_shared<AdaptSettings>();
  command.text("--run", s->run, "The run folder of the trained model.").required();
  command.text("--checkpoint", s->checkpoint, kCheckpointHelp);
  command.text("--puzzle", s->puzzle, "The file of the task (- is the standard input).").required();
  command.text("--out", s->out, "The run folder to make (default: runs/adapt-TASK).");
  s->fit.network = false;
  command.flag("--network", s->fit.network,
               "Train all weights, not only the embedding rows of the task.");
  add_fit_options(command, s->fit);
  command.flag("--json", s->json, "Print the scores as JSON.");
  s->common.add_threads(command);
  command.action([s] {
    check_settings(s->fit.overrides);
    adapt(*s);
  });
}

}  // namespace hrm
