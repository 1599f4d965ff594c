/*
 * The C interface: a trained model refines one puzzle, segment by segment, until it says that it is
 * done.
 *
 *     build/cpu/hrm demo                                    # trains runs/demo-sudoku4
 *     build/cpu/examples/c_api runs/demo-sudoku4 41.2234.3..4..2.
 */
#include "hrm/c_api.h"

#include <stdio.h>
#include <stdlib.h>

static int fail(const char* what) {
  fprintf(stderr, "c_api: %s\n", what);
  return 2;
}

/* Prints the answer of every segment. 0 if the last one solves the puzzle, 1 if it does not. */
static int solve(hrm_model* model, const hrm_sizes* sizes, const int32_t* puzzle, int32_t* answer) {
  const char* wrong;
  hrm_halting halting;
  hrm_refinement* r = hrm_refine(model, puzzle, 1, 0, 0);
  if (!r) return fail(hrm_error());
  do {
    if (hrm_segment(r) != 0 || hrm_answers(r, answer) != 0 ||
        hrm_halting_values(r, &halting) != 0) {
      hrm_refinement_free(r);
      return fail(hrm_error());
    }
    printf("segment %d: %s  halt %.0f %%\n", hrm_segments_done(r), hrm_text(model, answer),
           100 * halting.q_halt);
  } while (halting.margin <= 0 && hrm_segments_done(r) < sizes->segments);
  hrm_refinement_free(r);
  wrong = hrm_wrong(model, puzzle, answer);
  if (!wrong) return fail(hrm_error());
  printf("%s%s\n", *wrong ? "not solved: " : "solved", wrong);
  return *wrong ? 1 : 0;
}

int main(int argc, char** argv) {
  hrm_sizes sizes;
  hrm_model* model;
  int32_t* cells; /* of the puzzle, then of the answer */
  int status;
  if (argc != 3) return fail("needs a run and a puzzle");
  model = hrm_model_open(argv[1], NULL);
  if (!model || hrm_model_sizes(model, &sizes) != 0) return fail(hrm_error());
  cells = calloc(2 * (size_t)sizes.cells, sizeof *cells);
  if (!cells) return fail("no memory");
  status = hrm_parse(model, argv[2], cells) == 0 ? solve(model, &sizes, cells, cells + sizes.cells)
                                                 : fail(hrm_error());
  free(cells);
  hrm_model_free(model);
  return status;
}
