#include "hrm/train/not_finite.h"

#include <sstream>

#include "hrm/train/run_files.h"

namespace hrm {

// What a step that was not finite means, and what may help: a lower rate, from the newest
// checkpoint if that is far enough back, or from the start.
std::string advice(const NotFinite& failure, const Config& config, const Path& run) {
  const int64_t step = failure.step();
  std::string checkpoint;
  int64_t saved = -1;
  for (const Path& folder : list_checkpoints(run))
    if (const int64_t at = step_of_checkpoint(folder); at < step) {
      checkpoint = folder.filename().string();
      saved = at;
    }
  const TrainConfig& t = config.train;
  std::ostringstream text;
  text << failure.what() << "; no update was made from there on";
  std::ostringstream rate;  // the one that is in use: `hrm adapt` may train the puzzle's rows alone
  rate << "--set " << (t.lr > 0 ? "lr=" : "puzzle_emb_lr=")
       << (t.lr > 0 ? t.lr : t.puzzle_emb_lr) / 10;
  if (config.data.empty()) {  // adapt and farm: nothing of the run is kept
    text << ". HINT: a lower rate may help: " << rate.str();
  } else if (saved + 1 == step && saved >= 0) {
    text << ", and the weights of " << checkpoint
         << " lead there at once. HINT: start anew, in another --run folder with " << rate.str();
  } else {
    const bool plain = run.string().find(' ') == std::string::npos;
    const std::string name = plain ? run.string() : "'" + run.string() + "'";
    text << (saved < 0 ? "; there is no checkpoint yet, so the run starts anew"
                       : "; the checkpoint before it is " + checkpoint)
         << ". HINT: a lower rate may help: `hrm train --run " << name << " --resume " << rate.str()
         << "`";
    // The steps of adam_atan2 do not depend on the size of the gradient.
    if (t.optimizer != OptimizerKind::adam_atan2) text << ", or --set clip_norm=1";
  }
  return text.str();
}

}  // namespace hrm
