#include "hrm/view/page_files.h"

// The assembler puts the files into the object, so that they are files to every other tool: to an
// editor, to the formatter and to the playground, which takes them as they are. Their paths start
// where the compiler does, at the root of the repository.
asm(R"(
  .pushsection .rodata
hrm_style_begin:
  .incbin "hrm/view/style.css"
hrm_style_end:
hrm_viewer_begin:
  .incbin "hrm/view/viewer.js"
hrm_viewer_end:
  .globl hrm_style_begin, hrm_style_end, hrm_viewer_begin, hrm_viewer_end
  .popsection
)");

extern "C" {
extern const char hrm_style_begin[], hrm_style_end[], hrm_viewer_begin[], hrm_viewer_end[];
}

namespace hrm {

std::string_view style_sheet() { return {hrm_style_begin, hrm_style_end}; }
std::string_view viewer_script() { return {hrm_viewer_begin, hrm_viewer_end}; }

}  // namespace hrm
