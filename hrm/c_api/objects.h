// What the handles of hrm/c_api.h stand for, and what its functions share.
//
//     int hrm_segment(hrm_refinement* refinement) {
//       return status([&] { object(refinement).run_segment(); });
//     }
#pragma once

#include <exception>
#include <memory>
#include <string>
#include <vector>

#include "hrm/c_api.h"
#include "hrm/train/loaded_run.h"

struct hrm_model {
  explicit hrm_model(hrm::LoadedRun loaded);

  hrm::Config config;
  std::shared_ptr<const hrm::Task> task;
  std::shared_ptr<const hrm::Model> model;
  int64_t step;  // of the training
  std::string updates, json;
  // What was returned last.
  std::string text;
  std::vector<std::byte> bytes;
};

namespace hrm::c_api {

// Keeps the message, as one line, for hrm_error().
void remember_error(const char* message) noexcept;

// What f() returns, or `failed` if it throws.
template <class R, class F>
R guarded(R failed, const F& f) {
  try {
    return f();
  } catch (const std::bad_alloc&) {
    remember_error("[memory] there is not enough. HINT: a smaller batch, or a smaller model");
  } catch (const std::exception& error) {
    remember_error(error.what());
  } catch (...) {
    remember_error("[c_api] an unknown error");
  }
  return failed;
}

// 0, or -1 if f() throws.
template <class F>
int status(const F& f) {
  return guarded(-1, [&] {
    f();
    return 0;
  });
}

// What a handle points to; an Error for NULL.
template <class T>
T& object(T* handle) {
  HRM_CHECK(handle, "[c_api] a handle is NULL. HINT: hrm_error() after the call that returned it");
  return *handle;
}

template <class T>
T* required(T* pointer, const char* name) {
  HRM_CHECK(pointer, "[c_api] ", name, " is NULL");
  return pointer;
}

// Tokens of so many cells from the caller, each within the vocabulary.
Tokens tokens_of(const hrm_model& model, const int32_t* tokens, int64_t count, const char* name);

// Is set while an object is changed: what fails half-way leaves it set, and the object is not to be
// used any more.
class Change {
 public:
  // An Error if an earlier change has failed. `advice`: what to do then.
  Change(bool& under_way, const char* advice) : under_way_(under_way) {
    HRM_CHECK(!under_way_,
              "[c_api] an earlier call on this object failed half-way. HINT: ", advice);
    under_way_ = true;
  }
  void done() { under_way_ = false; }
  Change(const Change&) = delete;
  Change& operator=(const Change&) = delete;

 private:
  bool& under_way_;
};

}  // namespace hrm::c_api
