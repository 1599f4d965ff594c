#include "docs/course/4_blocked_matmul/exercise.h"

namespace hrm::course {

void blocked_matmul(const SlowMatrix& a, const SlowMatrix& b, SlowMatrix& c) {
  // Your code here.
  not_written_yet("blocked_matmul", a, b, c);
}

}  // namespace hrm::course
