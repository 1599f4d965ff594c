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
  std::string updates, json;
  // What was returned last.
  std::string text;
  std::vector<std::byte> bytes;
};

namespace hrm::c_api {

// Keeps the message for hrm_error().
void remember_error(const char* message);

// What f() returns, or `failed` if it throws.
template <class R, class F>
R guarded(R failed, const F& f) {
  try {
    return f();
  } catch (const std::bad_alloc&) {
    remember_error("[memory] there is not enough. HINT: a smaller batch, or a smaller model");
  } catch (const std::exception& error) {
    remember_error(error.what());
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

}  // namespace hrm::c_api
